//! The filter of a bulk action: an object with the query parameters of a list.

use serde_json::{Value, json};

use crate::web::http::fields::{Fields, FromFields, Object};
use crate::web::http::problem::Problem;

/// The filter of a list, and as it was given, for people.
///
/// # Errors
/// It has no condition: a forgotten filter must not mean everything.
pub(in crate::web) fn read_filter<T: FromFields>(filter: Option<Object>) -> Result<(T, Value), Problem> {
    let given: Object = filter.unwrap_or_default().into_iter().filter(|(_, value)| !is_blank(value)).collect();
    if given.is_empty() {
        return Err(Problem::field(
            "filter",
            "must have at least one condition, by the names of the list's parameters",
        ));
    }
    let stored = json!(given);
    let mut fields = Fields::from_object(given);
    fields.refuse_others(&T::names());
    let read = T::read(&mut fields);
    Ok((fields.finish(read).map_err(|problem| problem.within("filter"))?, stored))
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::filters::discrepancies::DiscrepancyQuery;

    #[test]
    fn filter_without_a_condition_is_refused() {
        let read = |filter: Value| read_filter::<DiscrepancyQuery>(serde_json::from_value(filter).expect("an object"));
        for blank in
            [Value::Null, json!({}), json!({"state": null}), json!({"state": []}), json!({"project": [" ", ""]})]
        {
            assert!(read(blank.clone()).is_err(), "{blank}");
        }
        let (_, stored) = read(json!({"state": ["open"], "project": ""})).expect("a filter");
        assert_eq!(stored, json!({"state": ["open"]}));
        for wrong in [json!({"sate": "open"}), json!({"state": "opened"}), json!({"state": {"is": "open"}})] {
            let problem = read(wrong.clone()).expect_err("an error").to_string();
            assert!(problem.starts_with("filter.s"), "{wrong}: {problem}");
        }
    }
}
