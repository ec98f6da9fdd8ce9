//! What a request says, field by field: of its query and of its body alike.
//!
//! Reading goes on after a fault, so that whoever asks mends every field in one go. poem-openapi's own parameters were
//! rejected: they stop at the first, know no lists by commas, and make a signature of twenty arguments of a filter.

use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::NaiveDate;
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::problem::{FieldError, Problem};
use crate::domain::money::{Currency, parse_decimal};

/// Something that is read from the fields of a request.
pub(in crate::web) trait FromFields: Sized {
    /// Reads it; none where a field is at fault.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// A value that is read from the text of one field.
pub(in crate::web) trait ParseField: Sized {
    /// Reads it, or says what it must be.
    fn parse_field(text: &str) -> Result<Self, String>;
}

/// The fields of a request, and what is wrong with them.
#[derive(Debug, Default)]
pub(in crate::web) struct Fields {
    values: Vec<(String, String)>,
    /// Lists of a JSON object, which alone has them.
    arrays: Vec<(String, Vec<Value>)>,
    /// Those that are named, and say nothing.
    blanks: Vec<String>,
    faults: Vec<FieldError>,
}

impl Fields {
    /// The fields of a query; empty ones count as absent.
    pub(in crate::web) fn of_query(query: Vec<(String, String)>) -> Self {
        let mut fields = Self::default();
        for (name, text) in query {
            fields.take(name, &text);
        }
        fields
    }

    /// The fields of a JSON object; nulls count as absent.
    pub(in crate::web) fn of_object(object: serde_json::Map<String, Value>) -> Self {
        let mut fields = Self::default();
        for (name, value) in object {
            match value {
                Value::Null => fields.blanks.push(name),
                // No text of the database can hold it.
                Value::String(text) if text.contains('\0') => fields.error(&name, "must not hold a NUL"),
                Value::String(text) => fields.take(name, &text),
                Value::Bool(_) | Value::Number(_) => fields.take(name, &value.to_string()),
                Value::Array(items) => fields.arrays.push((name, items)),
                Value::Object(_) => fields.error(&name, "must be a single value"),
            }
        }
        fields
    }

    fn take(&mut self, name: String, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            self.blanks.push(name);
        } else {
            self.values.push((name, text.to_owned()));
        }
    }

    /// Whether a field is named and says nothing: null, or an empty text. Only where that asks for something, as to take a
    /// value away, is it not the same as being absent.
    pub(in crate::web) fn is_blank(&self, name: &str) -> bool {
        self.blanks.iter().any(|blank| blank == name)
    }

    /// Notes that a field is at fault.
    pub(in crate::web) fn error(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// The value of a field that may be absent; none, with a fault noted, where it cannot be read.
    #[expect(clippy::option_option, reason = "the outer says whether it could be read, the inner whether it is there")]
    pub(in crate::web) fn optional<T: ParseField>(&mut self, name: &str) -> Option<Option<T>> {
        if self.arrays.iter().any(|(known, _)| known == name) {
            self.error(name, "must be a single value");
            return None;
        }
        let mut texts: Vec<String> = self.texts(name).map(str::to_owned).collect();
        match (texts.pop(), texts.is_empty()) {
            (None, _) => Some(None),
            (Some(text), true) => self.word(name, &text).map(Some),
            (Some(_), false) => {
                self.error(name, "is given more than once");
                None
            }
        }
    }

    /// The values of a field that takes several: by commas, or by being given more than once.
    pub(in crate::web) fn list<T: ParseField>(&mut self, name: &str) -> Option<Vec<T>> {
        let parts: Vec<String> = self
            .texts(name)
            .flat_map(|text| text.split(','))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect();
        let read: Vec<Option<T>> = parts.iter().map(|part| self.word(name, part)).collect();
        read.into_iter().collect()
    }

    /// The values of a list of a JSON object, which must have so many.
    pub(in crate::web) fn array<T: ParseField>(&mut self, name: &str, length: RangeInclusive<usize>) -> Option<Vec<T>> {
        let place = self.arrays.iter().position(|(known, _)| known == name);
        let items = place.map(|place| self.arrays.swap_remove(place).1).unwrap_or_default();
        if !length.contains(&items.len()) {
            let (least, most) = (length.start(), length.end());
            self.error(name, format!("must be a list of {least} to {most} values, and has {}", items.len()));
            return None;
        }
        let read = items.iter().enumerate().map(|(place, item)| {
            let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            self.word(&format!("{name}[{place}]"), &text)
        });
        read.collect::<Vec<Option<T>>>().into_iter().collect()
    }

    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    fn word<T: ParseField>(&mut self, name: &str, text: &str) -> Option<T> {
        T::parse_field(text).map_err(|message| self.error(name, message)).ok()
    }

    /// Notes every field that is not among `known`: a misspelt field must not be taken for an absent one.
    pub(in crate::web) fn refuse_others(&mut self, known: &[&str]) {
        let values = self.values.iter().map(|(name, _)| name);
        let given = values.chain(self.arrays.iter().map(|(name, _)| name)).chain(&self.blanks);
        let others: Vec<String> = given.filter(|name| !known.contains(&name.as_str())).cloned().collect();
        for name in others {
            self.error(&name, format!("is not known here; known are {}", known.join(", ")));
        }
    }

    /// What was read, if nothing was amiss.
    pub(in crate::web) fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(Problem::validation(self.faults)),
        }
    }
}

impl ParseField for String {
    fn parse_field(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ParseField for Currency {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a currency code, for example INR".to_owned())
    }
}

impl ParseField for Uuid {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a UUID".to_owned())
    }
}

impl ParseField for bool {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be true or false".to_owned())
    }
}

impl ParseField for u32 {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be a whole number".to_owned())
    }
}

impl ParseField for Decimal {
    fn parse_field(text: &str) -> Result<Self, String> {
        parse_decimal(text).map_err(|_| "must be an exact decimal, for example 1542.50".to_owned())
    }
}

impl ParseField for NaiveDate {
    fn parse_field(text: &str) -> Result<Self, String> {
        // chrono alone would take 2026-1-5 as well.
        let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
        day.ok_or_else(|| "must be a day, for example 2026-01-31".to_owned())
    }
}

impl ParseField for Tz {
    fn parse_field(text: &str) -> Result<Self, String> {
        Tz::from_str(text).map_err(|_| "must be an IANA time zone, for example Asia/Kolkata".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::status::Status;

    fn query(pairs: &[(&str, &str)]) -> Fields {
        Fields::of_query(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn lists_are_by_commas_or_by_repetition() {
        use Status::{Failed, Success};
        for (pairs, expected) in [
            (&[][..], vec![]),
            (&[("status", "")], vec![]),
            (&[("status", ",")], vec![]),
            (&[("status", "success")], vec![Success]),
            (&[("status", " success , failed,")], vec![Success, Failed]),
            (&[("status", "success"), ("status", "failed")], vec![Success, Failed]),
        ] {
            let mut fields = query(pairs);
            let read = fields.list::<Status>("status");
            assert_eq!(fields.finish(read).expect("a list"), expected, "{pairs:?}");
        }
    }

    #[test]
    fn every_fault_is_told_with_what_is_allowed() {
        let mut fields = query(&[("status", "done,won"), ("limit", "many"), ("page", "1"), ("page", "2")]);
        let status = fields.list::<Status>("status");
        let limit = fields.optional::<u32>("limit");
        let page = fields.optional::<u32>("page");
        let told = fields.finish(status.zip(limit).zip(page)).expect_err("four faults").to_string();
        for part in ["status: must be one of success, failed", "limit: must be a whole number", "page: is given more"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_misspelt_field_of_a_body_is_told() {
        let Value::Object(object) = json!({"sorce": "vima", "force": true, "to_date": null}) else {
            unreachable!("an object")
        };
        let mut fields = Fields::of_object(object);
        assert_eq!(fields.optional::<bool>("force"), Some(Some(true)));
        fields.refuse_others(&["source", "force", "to_date"]);
        let told = fields.finish(Some(())).expect_err("a fault").to_string();
        assert_eq!(told, "sorce: is not known here; known are source, force, to_date");
    }

    fn body(object: &Value) -> Fields {
        Fields::of_object(object.as_object().expect("an object").clone())
    }

    #[test]
    fn what_says_nothing_is_told_from_what_is_absent() {
        let fields = body(&json!({"assignee": null, "note": " ", "state": "open"}));
        let blank = ["assignee", "note", "state", "ids"].map(|name| fields.is_blank(name));
        assert_eq!(blank, [true, true, false, false]);
        assert!(body(&json!({"note": "a\0b"})).finish(Some(())).is_err());
        let mut misspelt = body(&json!({"asignee": null}));
        misspelt.refuse_others(&["assignee"]);
        assert!(misspelt.finish(Some(())).is_err());
    }

    #[test]
    fn lists_of_a_body_are_read_value_by_value() {
        for (ids, told) in [
            (json!([true, "false"]), None),
            (json!([]), Some("ids: must be a list of 1 to 2 values, and has 0")),
            (json!(null), Some("ids: must be a list of 1 to 2 values, and has 0")),
            (json!([true, true, true]), Some("ids: must be a list of 1 to 2 values, and has 3")),
            (json!([true, "maybe"]), Some("ids[1]: must be true or false")),
            (json!([null, [true]]), Some("ids[0]: must be true or false; ids[1]: must be true or false")),
        ] {
            let mut fields = body(&json!({"ids": ids}));
            let read = fields.array::<bool>("ids", 1..=2);
            let problem = fields.finish(read).err().map(|problem| problem.to_string());
            assert_eq!(problem.as_deref(), told, "{ids}");
        }
        let mut single = body(&json!({"force": [true]}));
        let read = single.optional::<bool>("force");
        assert_eq!(single.finish(read).expect_err("a list").to_string(), "force: must be a single value");
    }

    #[test]
    fn days_are_written_in_full() {
        assert!(NaiveDate::parse_field("2026-01-05").is_ok());
        for text in ["2026-1-5", "05.01.2026", "2026-02-30", "20260105"] {
            assert!(NaiveDate::parse_field(text).is_err(), "{text}");
        }
    }
}
