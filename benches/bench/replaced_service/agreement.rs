//! Whether both services report the same numbers.

use chrono::{DateTime, FixedOffset};
use rust_decimal::Decimal;
use serde_json::Value;

/// Where `theirs` has a value that `ours` does not have, if anywhere. Ours may have more fields.
pub(super) fn difference(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => theirs.iter().find_map(|(name, theirs)| {
            difference(&format!("{path}/{name}"), ours.get(name).unwrap_or(&Value::Null), theirs)
        }),
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let items = ours.iter().zip(theirs).enumerate();
            items.into_iter().find_map(|(index, (ours, theirs))| difference(&format!("{path}/{index}"), ours, theirs))
        }
        _ => (!equal(ours, theirs)).then(|| format!("{path}: ours {ours}, theirs {theirs}")),
    }
}

/// The same, except that a total of ours may be only a lower bound.
pub(super) fn difference_of_pages(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    let mut theirs = theirs.clone();
    let is_possible = ours["total"].as_i64() <= theirs["total"].as_i64();
    if ours["total_relation"] == "at_least" && is_possible {
        for name in ["total", "pages"] {
            theirs[name] = ours[name].clone();
        }
    }
    difference(path, ours, &theirs)
}

/// Where two CSV files with the same columns differ, if anywhere.
pub(super) fn difference_of_files(ours: &str, theirs: &str) -> Option<String> {
    difference("line", &lines(ours), &lines(theirs))
}

fn lines(csv: &str) -> Value {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.records().map(|record| record.expect("CSV").iter().map(Value::from).collect::<Value>()).collect()
}

/// Whether two values are equal as text, as numbers or as times.
fn equal(ours: &Value, theirs: &Value) -> bool {
    let equal_numbers = number(ours).is_some_and(|ours| number(theirs) == Some(ours));
    ours == theirs || equal_numbers || time(ours).is_some_and(|ours| time(theirs) == Some(ours))
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn time(value: &Value) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok()
}
