//! Compares values of a response with those of a count.

use psp_dashboard::domain::money::parse_decimal;
use rust_decimal::RoundingStrategy;
use serde_json::Value;

/// Every field of the count must be in the response with the same value.
pub(super) fn assert_says(path: &str, found: &Value, counted: &Value) {
    for (field, value) in counted.as_object().expect("a row") {
        let said = &found[field];
        if value.is_object() {
            assert_says(path, said, value);
        } else {
            assert!(is_equal(field, said, value), "{path}: {field} is {said} and not {value} in {found}");
        }
    }
}

/// Amounts in US dollars are rounded to cents.
pub(super) fn is_equal(field: &str, found: &Value, counted: &Value) -> bool {
    match counted {
        Value::Number(counted) if field.ends_with("_usd") => {
            let cents = parse_decimal(&counted.to_string()).expect("a decimal");
            let cents = cents.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            found.as_str().is_some_and(|found| parse_decimal(found) == Ok(cents))
        }
        counted => is_same(found, counted),
    }
}

/// Amounts are strings in a response and numbers in a count, and times have different formats.
pub(super) fn is_same(found: &Value, counted: &Value) -> bool {
    match (found, counted) {
        (Value::String(found), Value::Number(counted)) => {
            parse_decimal(found).ok().zip(parse_decimal(&counted.to_string()).ok()).is_some_and(|(a, b)| a == b)
        }
        (Value::Number(found), Value::Number(counted)) => found.as_f64() == counted.as_f64(),
        (Value::String(found), Value::String(counted)) => {
            let time = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().ok();
            found == counted || time(found).is_some_and(|found| Some(found) == time(counted))
        }
        _ => found == counted,
    }
}
