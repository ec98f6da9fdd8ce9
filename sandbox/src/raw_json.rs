//! Reads fields of a fixture record without changing its text.
//!
//! Fixtures are served byte for byte, but the indexes and the ground truth need their ids, timestamps and exact amounts.
//! Fields are therefore read from the raw text, so that numbers keep their digits.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::timestamp::Timestamp;

/// The value at a path of field names; `None` if it is missing or `null`.
pub(crate) fn at<'a>(record: &'a RawValue, path: &[&str]) -> Option<&'a RawValue> {
    let mut value = record;
    for name in path {
        let fields: HashMap<String, &'a RawValue> = serde_json::from_str(value.get()).ok()?;
        value = fields.get(*name)?;
    }
    (value.get() != "null").then_some(value)
}

/// A string or a number, as text.
pub(crate) fn text(record: &RawValue, path: &[&str]) -> Option<String> {
    let value = at(record, path)?.get();
    if value.starts_with('"') {
        return serde_json::from_str(value).ok();
    }
    value.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| value.to_owned())
}

/// The first non-blank string or number at one of the paths.
pub(crate) fn first_text(record: &RawValue, paths: &[&[&str]]) -> Option<String> {
    paths.iter().filter_map(|path| text(record, path)).find(|text| !text.trim().is_empty())
}

pub(crate) fn decimal(record: &RawValue, path: &[&str]) -> Option<Decimal> {
    let digits = text(record, path)?;
    digits.trim().parse().ok().or_else(|| Decimal::from_scientific(digits.trim()).ok())
}

pub(crate) fn number(record: &RawValue, path: &[&str]) -> Option<u128> {
    text(record, path)?.trim().parse().ok()
}

pub(crate) fn timestamp(record: &RawValue, path: &[&str]) -> Option<Timestamp> {
    Timestamp::parse(text(record, path)?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let record: Box<RawValue> =
            serde_json::from_str(r#"{"a":{"b":100.10000000000000000001,"c":"7","d":null,"e":1e2},"f":[1]}"#).unwrap();
        assert_eq!(decimal(&record, &["a", "b"]).unwrap().to_string(), "100.10000000000000000001");
        assert_eq!(number(&record, &["a", "c"]), Some(7));
        assert_eq!(decimal(&record, &["a", "e"]), Some(Decimal::from(100)));
        assert!(
            at(&record, &["a", "d"]).is_none() && text(&record, &["f"]).is_none() && at(&record, &["f", "x"]).is_none()
        );
    }
}
