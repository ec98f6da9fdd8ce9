//! Lenient parsing of JSON fields.
//!
//! A field may be missing, null, or of another type than last week, and that must not lose a payment. So a record is first
//! split into [`Field`]s, which borrow the JSON text, and each is then converted to its type: a text, an amount, a time.
//! Fields that a payment cannot do without, or that decide about money, report a [`FieldError`]; for other fields an invalid
//! value counts as absent.
//!
//! Typed structs with `Option<String>` were rejected: one number in place of a string fails the whole record. So was
//! `serde_json::Value`: it reads `100.00000000` through a float.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use self::key::{MAX_DIGITS, normal_key, whole_number};
use crate::domain::money::{Currency, is_plausible_amount, parse_decimal};
use crate::domain::version::SequenceId;

mod key;

/// In bytes. PostgreSQL indexes take at most 2,704; no name or id is longer than this.
pub(super) const MAX_TEXT: usize = 1024;

/// The years in which a payment can happen; other values are formatted zeros or garbage.
const YEARS: std::ops::Range<i32> = 2000..2100;

/// The JSON text of one field; absent if it is missing or null.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Field<'a>(#[serde(borrow)] Option<&'a RawValue>);

/// The messages describe the value without repeating personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    #[error("{field} is missing")]
    Missing { field: &'static str },
    #[error("{field} should be {expected} but is {found}")]
    Unreadable { field: &'static str, expected: &'static str, found: String },
    #[error("{field} occurs twice")]
    Repeated { field: &'static str },
}

impl<'a> Field<'a> {
    /// The text of a string or a number; a whole number is an integer however it is written. A blank text is absent, a NUL
    /// (which PostgreSQL cannot store) is replaced, and a text longer than [`MAX_TEXT`] is cut; the last two are logged.
    pub(super) fn text(self, name: &'static str) -> Option<String> {
        Some(storable(name, self.normal_text()?.into_owned()))
    }

    /// The unlimited text, for values that are not stored in a record, such as a token.
    pub(super) fn uncut_text(self) -> Option<String> {
        self.whole_text().map(Cow::into_owned)
    }

    /// The text of a key that is compared with keys of other records, without invisible characters.
    pub(super) fn key(self, name: &'static str) -> Option<String> {
        let key = normal_key(&self.normal_text()?);
        (!key.is_empty()).then(|| storable(name, key))
    }

    /// The key of the record itself, which is never cut. A number must fit the database's `numeric(38)`.
    pub(super) fn identity(self, name: &'static str) -> Result<Option<String>, FieldError> {
        let length = self.whole_text().map_or(0, |text| text.len());
        match self.key(name) {
            _ if length > MAX_TEXT => Err(self.unreadable(name, "an id")),
            Some(id) if is_too_long_number(&id) => Err(self.unreadable(name, "an id")),
            id => Ok(id),
        }
    }

    /// A position in a list of increasing ids. What is no number counts as absent, but a number that is too large does not.
    pub(super) fn sequence_id(self, name: &'static str) -> Result<Option<SequenceId>, FieldError> {
        match self.key(name) {
            Some(id) if is_too_long_number(&id) => Err(self.unreadable(name, "an id of at most 38 digits")),
            id => Ok(id.and_then(|id| id.parse().ok())),
        }
    }

    /// A [`Self::decimal`] that a payment can have.
    pub(super) fn amount(self, name: &'static str) -> Result<Option<Decimal>, FieldError> {
        match self.decimal(name)? {
            Some(amount) if !is_plausible_amount(amount) => Err(self.implausible(name)),
            amount => Ok(amount),
        }
    }

    /// The error of an amount that no payment can have.
    pub(super) fn implausible(self, name: &'static str) -> FieldError {
        self.unreadable(name, "an amount of at most 10^15")
    }

    /// An exact number from a JSON number or string, without trailing zeros.
    pub(super) fn decimal(self, name: &'static str) -> Result<Option<Decimal>, FieldError> {
        let Some(text) = self.text_or_error(name, "an exact amount")? else { return Ok(None) };
        let number = parse_decimal(&text).map_err(|_| self.unreadable(name, "an exact amount"))?;
        Ok(Some(number.normalize()))
    }

    /// A time, in UTC if it has no zone, truncated to microseconds as in the database. A leap second is the next second.
    pub(super) fn time(self, name: &'static str) -> Result<Option<DateTime<Utc>>, FieldError> {
        let Some(text) = self.text_or_error(name, "a time")? else { return Ok(None) };
        parse_time(&text)
            .map(without_leap_second)
            .filter(|time| YEARS.contains(&time.year()))
            .map(|time| Some(time.trunc_subsecs(6)))
            .ok_or_else(|| self.unreadable(name, "a time"))
    }

    pub(super) fn currency(self, name: &'static str) -> Result<Option<Currency>, FieldError> {
        let Some(text) = self.text_or_error(name, "a currency code")? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.unreadable(name, "a currency code"))
    }

    /// A non-negative integer from a number or a string.
    pub(super) fn count(self) -> Option<u64> {
        parse_decimal(&self.whole_text()?).ok().filter(Decimal::is_integer)?.to_u64()
    }

    /// `true`, `false`, 1 or 0, as a JSON value or as a string; otherwise `None`.
    pub(super) fn boolean(self) -> Option<bool> {
        match self.0?.get().trim_matches('"').to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// `false`, as a JSON value or as a string.
    pub(super) fn is_false(self) -> bool {
        self.0.is_some_and(|json| json.get().trim_matches('"').eq_ignore_ascii_case("false"))
    }

    /// The JSON of a list or an object; a blank text is absent, and anything else is an error.
    pub(super) fn composite(self, name: &'static str) -> Result<Option<&'a str>, FieldError> {
        match self.json() {
            Some(json) if json.starts_with(['[', '{']) => Ok(Some(json)),
            Some(json) if json.starts_with('"') && self.whole_text().is_none() => Ok(None),
            Some(_) => Err(self.unreadable(name, "a list or an object")),
            None => Ok(None),
        }
    }

    pub(super) fn json(self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    /// The unlimited text of a string or a number, trimmed; `None` if it is blank.
    fn whole_text(self) -> Option<Cow<'a, str>> {
        let json = self.json()?;
        let text = match json.as_bytes().first()? {
            b'"' => unquoted(json),
            b'-' | b'0'..=b'9' => Cow::Borrowed(json),
            _ => return None,
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            None
        } else if trimmed.len() == text.len() {
            Some(text)
        } else {
            Some(Cow::Owned(trimmed.to_owned()))
        }
    }

    /// As [`Self::whole_text`], but a whole JSON number is an integer, however it is written.
    fn normal_text(self) -> Option<Cow<'a, str>> {
        whole_number(self.json()?).map(Cow::Owned).or_else(|| self.whole_text())
    }

    /// As [`Self::whole_text`], but a boolean, a list or an object is an error instead of absent.
    fn text_or_error(self, name: &'static str, expected: &'static str) -> Result<Option<Cow<'a, str>>, FieldError> {
        match self.json().and_then(|json| json.bytes().next()) {
            None | Some(b'"' | b'-' | b'0'..=b'9') => Ok(self.whole_text()),
            Some(_) => Err(self.unreadable(name, expected)),
        }
    }

    fn unreadable(self, field: &'static str, expected: &'static str) -> FieldError {
        FieldError::Unreadable { field, expected, found: self.json().map_or_else(|| "absent".to_owned(), describe) }
    }
}

/// Describes a JSON value. The value itself is shown only if it looks like an invalid number or time.
pub(super) fn describe(json: &str) -> String {
    let text = json.trim_matches('"');
    let harmless = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit() || b" +-.,:TZe/".contains(&byte));
    match json.as_bytes().first() {
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
        Some(b't' | b'f') => json.to_owned(),
        Some(b'n') => "null".to_owned(),
        _ if harmless => format!("\"{text}\""),
        Some(b'"') => format!("a text of {} characters", text.chars().count()),
        _ => format!("a number of {} characters", text.len()),
    }
}

/// The content of a JSON string. Half a surrogate pair (a truncated emoji) becomes U+FFFD.
fn unquoted(json: &str) -> Cow<'_, str> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = String;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => Cow::Owned(serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).unwrap_or_default()),
    }
}

/// Accepts RFC 3339, also with a space instead of `T` and without a zone.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let text = text.replacen('T', " ", 1);
    let zoned = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z");
    let naive = || NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%d %H:%M:%S%.f");
    zoned.map(|time| time.to_utc()).or_else(|_| naive().map(|time| time.and_utc())).ok()
}

/// A text as the database can hold it.
fn storable(name: &'static str, mut text: String) -> String {
    if text.contains('\0') {
        tracing::warn!(field = name, "a NUL in a provider's text was replaced by U+FFFD");
        text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > MAX_TEXT {
        tracing::warn!(field = name, bytes = text.len(), "a provider's text is too long and was cut");
        text.truncate(text.floor_char_boundary(MAX_TEXT));
    }
    text
}

fn is_too_long_number(text: &str) -> bool {
    text.len() > MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// PostgreSQL has no leap seconds, and would sort and compare them differently than we do.
fn without_leap_second(time: DateTime<Utc>) -> DateTime<Utc> {
    let nanoseconds = time.timestamp_subsec_nanos().checked_sub(1_000_000_000);
    nanoseconds.and_then(|nanoseconds| DateTime::from_timestamp(time.timestamp() + 1, nanoseconds)).unwrap_or(time)
}

/// The members of an object in their order, including repeated ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, Field<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Members<'a>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All(PhantomData))
    }
}

impl<'a> Members<'a> {
    /// The member with this name; an error if there are several.
    pub(super) fn single(&self, name: &str, field: &'static str) -> Result<Option<Field<'a>>, FieldError> {
        let mut found = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| *value);
        let value = found.next();
        if found.next().is_some() { Err(FieldError::Repeated { field }) } else { Ok(value) }
    }
}

/// An object, or the default if the value is something else.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }
}

#[cfg(test)]
mod tests;
