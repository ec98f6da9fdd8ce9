//! Looking into a planted record without changing a byte of it.
//!
//! A test plants any JSON value and it is served back as it came. The indexes and the truth still have to know its ids,
//! times and exact amount, so fields are read from the raw text: a number stays the digits that were written.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::moment::Moment;

/// The value at a path of field names; `None` where the path leaves the record or ends at `null`.
pub(crate) fn at<'a>(record: &'a RawValue, path: &[&str]) -> Option<&'a RawValue> {
    let mut here = record;
    for name in path {
        let fields: HashMap<String, &'a RawValue> = serde_json::from_str(here.get()).ok()?;
        here = fields.get(*name)?;
    }
    (here.get() != "null").then_some(here)
}

/// A string or a number, as text.
pub(crate) fn text(record: &RawValue, path: &[&str]) -> Option<String> {
    let value = at(record, path)?.get();
    if value.starts_with('"') {
        return serde_json::from_str(value).ok();
    }
    value.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| value.to_owned())
}

/// The first of the paths that leads to a string or a number which is not blank.
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

pub(crate) fn moment(record: &RawValue, path: &[&str]) -> Option<Moment> {
    Moment::parse(text(record, path)?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_digits_survive() {
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
