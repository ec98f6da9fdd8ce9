//! Fields as providers really send them.
//!
//! A field may be missing, null, or of another type than last week, and that is no reason to lose a payment. So a
//! record is first taken apart into [`Field`]s, which borrow the JSON text as it is, and each is then asked for what it
//! should be: a text, an amount, a time. Only who needs the field to be right (an amount, a time of creation) looks at
//! the [`FieldError`]; for the rest it counts as absent.
//!
//! Typed structs with `Option<String>` were rejected: one number in the place of a string fails the whole record. So
//! was `serde_json::Value`: it reads `100.00000000` through a float.

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

use crate::domain::money::{Currency, parse_decimal};

/// The longest text of a field, in bytes: an index of the database takes at most 2,704. Who sends more has sent
/// something else than a name or an id.
pub(super) const LONGEST_TEXT: usize = 1024;

/// The years in which a payment may happen; outside of them lies a zero that was printed as a time.
const YEARS: std::ops::Range<i32> = 2000..2100;

/// One field of a record, as the JSON text it came as; absent where it was missing or null.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Field<'a>(#[serde(borrow)] Option<&'a RawValue>);

/// Why a record cannot do with a field as it is. Says what was found without repeating what might be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    /// It is needed, and there is none.
    #[error("{field} is missing")]
    Missing { field: &'static str },
    /// It is there, and something else than it should be.
    #[error("{field} should be {expected} but is {found}")]
    Unreadable { field: &'static str, expected: &'static str, found: String },
}

impl<'a> Field<'a> {
    /// The text of a string, or of a number. Blank is absent, a NUL (which the database cannot hold) is replaced, and
    /// what is longer than [`LONGEST_TEXT`] is cut; the last two are said in the log.
    pub(super) fn text(self, name: &'static str) -> Option<String> {
        let text = self.whole_text()?;
        let mut text = if text.contains('\0') {
            tracing::warn!(field = name, "a NUL in a provider's text was replaced by U+FFFD");
            text.replace('\0', "\u{fffd}")
        } else {
            text.into_owned()
        };
        if text.len() > LONGEST_TEXT {
            tracing::warn!(field = name, bytes = text.len(), "a provider's text is too long and was cut");
            text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        }
        Some(text)
    }

    /// The whole text, for what is no record's (a token): as it is, however long.
    pub(super) fn uncut_text(self) -> Option<String> {
        self.whole_text().map(Cow::into_owned)
    }

    /// The text that tells records apart, which is never cut.
    pub(super) fn identity(self, name: &'static str) -> Result<Option<String>, FieldError> {
        match self.whole_text() {
            Some(text) if text.len() > LONGEST_TEXT => Err(self.unreadable(name, "an id")),
            _ => Ok(self.text(name)),
        }
    }

    /// An exact number, from a JSON number or a string; zeros at its end are no part of it.
    pub(super) fn decimal(self, name: &'static str) -> Result<Option<Decimal>, FieldError> {
        let Some(text) = self.text_or_fault(name, "an exact amount")? else { return Ok(None) };
        let number = parse_decimal(&text).map_err(|_| self.unreadable(name, "an exact amount"))?;
        Ok(Some(number.normalize()))
    }

    /// A time, in UTC where it names no zone, to the microsecond (as the database keeps it).
    pub(super) fn time(self, name: &'static str) -> Result<Option<DateTime<Utc>>, FieldError> {
        let Some(text) = self.text_or_fault(name, "a time")? else { return Ok(None) };
        parse_time(&text)
            .filter(|time| YEARS.contains(&time.year()))
            .map(|time| Some(time.trunc_subsecs(6)))
            .ok_or_else(|| self.unreadable(name, "a time"))
    }

    /// A currency code.
    pub(super) fn currency(self, name: &'static str) -> Result<Option<Currency>, FieldError> {
        let Some(text) = self.text_or_fault(name, "a currency code")? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.unreadable(name, "a currency code"))
    }

    /// A count, from a number or a string.
    pub(super) fn count(self) -> Option<u64> {
        parse_decimal(&self.whole_text()?).ok().filter(Decimal::is_integer)?.to_u64()
    }

    /// Yes or no: a truth value, or 1 or 0, as such or as a text; none where it is something else.
    pub(super) fn truth(self) -> Option<bool> {
        match self.0?.get().trim_matches('"').to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// Whether it says no: `false`, as a truth value or as a text.
    pub(super) fn is_false(self) -> bool {
        self.0.is_some_and(|json| json.get().trim_matches('"').eq_ignore_ascii_case("false"))
    }

    /// The elements of an array; none where it is something else.
    pub(super) fn list<T: Deserialize<'a>>(self) -> Vec<T> {
        self.0.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
    }

    /// The JSON text.
    pub(super) fn json(self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    /// The text of a string or a number, trimmed, as long as it is; a blank one is absent.
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

    /// As [`Self::whole_text`], but a truth value, a list or an object is a fault instead of absent.
    fn text_or_fault(self, name: &'static str, expected: &'static str) -> Result<Option<Cow<'a, str>>, FieldError> {
        match self.json().and_then(|json| json.bytes().next()) {
            None | Some(b'"' | b'-' | b'0'..=b'9') => Ok(self.whole_text()),
            Some(_) => Err(self.unreadable(name, expected)),
        }
    }

    fn unreadable(self, field: &'static str, expected: &'static str) -> FieldError {
        FieldError::Unreadable { field, expected, found: self.json().map_or_else(|| "absent".to_owned(), found) }
    }
}

/// What a JSON text is, in words. Shown as it is only where it looks like a number or a time gone wrong.
pub(super) fn found(json: &str) -> String {
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

/// The content of a JSON string. Half a surrogate pair (an emoji cut in two) becomes U+FFFD.
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

/// A time in the ways providers write it: RFC 3339, or with a blank in the middle, with a zone or without.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let text = text.replacen('T', " ", 1);
    let zoned = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z");
    let naive = || NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%d %H:%M:%S%.f");
    zoned.map(|time| time.to_utc()).or_else(|_| naive().map(|time| time.and_utc())).ok()
}

/// An object, or the default where the provider sent something else.
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
