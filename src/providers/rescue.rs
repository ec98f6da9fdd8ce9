//! Reads what it can of a record that cannot be deserialized as it is.
//!
//! Serde rejects every repeated name. Most do not matter (the last one wins, as in most JSON parsers), but two amounts would
//! be a guess. A record that is not JSON at all stays malformed; its ids are read as far as they are visible, so that a later,
//! valid version of the same payment releases it from quarantine, and a cursor can pass it.

use super::structure::{MAX_DEPTH, is_too_deep, is_valid, repair, skip_blanks, string_end};

/// The names with a special meaning in the records of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordNames {
    /// A record in which one of these occurs twice is malformed: ids, and everything that decides about money.
    pub(super) once: &'static [&'static str],
    /// The names of ids, to be read from damaged records.
    pub(super) ids: &'static [&'static str],
}

/// Valid JSON in place of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rescued {
    pub(super) json: String,
    /// Why the record is malformed; `None` if it is not.
    pub(super) problem: Option<String>,
}

/// Why a record that can be deserialized is malformed nevertheless.
pub(super) fn structural_problem(raw: &str) -> Option<String> {
    is_too_deep(raw).then(|| format!("the record is nested deeper than {MAX_DEPTH} levels"))
}

/// `error` is why the record cannot be deserialized.
pub(super) fn rescue(raw: &str, error: &serde_json::Error, names: RecordNames) -> Rescued {
    let invalid = (!is_valid(raw)).then(|| format!("the record is not valid JSON ({error})"));
    match repair(raw, names.once) {
        Ok(repaired) => {
            let repeated = repaired.repeated.map(|name| format!("{name} occurs twice"));
            Rescued { json: repaired.json, problem: invalid.or(repeated) }
        }
        Err(reason) => {
            let problem = invalid.unwrap_or_else(|| format!("the record cannot be parsed: {reason}"));
            Rescued { json: visible_members(raw, names.ids), problem: Some(problem) }
        }
    }
}

/// An object of the members with these names that can be seen in `raw`, whatever surrounds them. A name that occurs twice
/// is left out.
fn visible_members(raw: &str, names: &[&str]) -> String {
    let members: Vec<String> =
        names.iter().filter_map(|name| Some(format!("\"{name}\":{}", visible_value(raw, name)?))).collect();
    format!("{{{}}}", members.join(","))
}

/// The string or number after the only occurrence of a name.
fn visible_value<'a>(raw: &'a str, name: &str) -> Option<&'a str> {
    let quoted = format!("\"{name}\"");
    let mut found = raw.match_indices(&quoted);
    let (at, _) = found.next().filter(|_| found.clone().next().is_none())?;
    let colon = skip_blanks(raw, at + quoted.len());
    let start = skip_blanks(raw, raw[colon..].starts_with(':').then_some(colon + 1)?);
    let end = if raw[start..].starts_with('"') {
        string_end(raw, start).ok()?
    } else {
        start + raw[start..].find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(raw.len() - start)
    };
    Some(&raw[start..end]).filter(|value| is_valid(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::explanation::quarantine_cause::QuarantineCause;

    const NAMES: RecordNames = RecordNames { once: &["id", "amount"], ids: &["id", "number"] };

    fn rescued(raw: &str) -> (String, Option<String>) {
        let error = serde_json::from_str::<i32>(raw).expect_err("not the expected shape");
        let rescued = rescue(raw, &error, NAMES);
        assert!(is_valid(&rescued.json), "{raw} became {}", rescued.json);
        let causes = rescued.problem.iter().map(|problem| QuarantineCause::from_sentence(problem));
        assert!(!causes.into_iter().any(|cause| cause == QuarantineCause::Other), "{:?}", rescued.problem);
        (rescued.json, rescued.problem)
    }

    #[test]
    fn last_of_repeated_members_wins_unless_it_matters() {
        for (raw, json, problem) in [
            (r#"{"id":1,"x":1,"x":2}"#, r#"{"id":1,"x":2}"#, None),
            (r#"{"id":1,"\u0078":1,"x":{"y":1,"y":[2]}}"#, r#"{"id":1,"x":{"y":[2]}}"#, None),
            (r#"{"id":1,"amount":1,"amount":1}"#, r#"{"amount":null,"id":1}"#, Some("amount occurs twice")),
            (r#"{"id":1,"id":2,"amount":1}"#, r#"{"amount":1,"id":null}"#, Some("id occurs twice")),
            (r#"{"id":1,"a":{"amount":1,"amount":2}}"#, r#"{"a":{"amount":null},"id":1}"#, Some("amount occurs twice")),
        ] {
            assert_eq!(rescued(raw), (json.to_owned(), problem.map(str::to_owned)), "{raw}");
        }
    }

    #[test]
    fn ids_of_damaged_records_are_read_if_they_are_visible() {
        for (raw, json) in [
            (r#"{"id":"7","amount":NaN}"#, r#"{"amount":null,"id":"7"}"#),
            ("{\"name\":\"D\\'S\tx\",\"id\":7}", r#"{"id":7,"name":null}"#),
            (r#"{"id":007}"#, r#"{"id":null}"#),
            (r#"{"name":"D"Souza","id" : "7","number":12}"#, r#"{"id":"7","number":12}"#),
            (r#"{"name":"D"Souza","id":"7","x":{"id":8},"number":012}"#, "{}"),
            (r#"{"id":"7"#, "{}"),
            (r#"{"id"#, "{}"),
        ] {
            let (rescued, problem) = rescued(raw);
            assert_eq!(rescued, json, "{raw}");
            assert!(problem.is_some_and(|problem| problem.starts_with("the record is not valid JSON (")), "{raw}");
        }
    }

    #[test]
    fn deep_nesting_is_a_problem() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(structural_problem(&nested(100)), None);
        let problem = structural_problem(&nested(101)).expect("too deep");
        assert_eq!(QuarantineCause::from_sentence(&problem), QuarantineCause::TooDeep);
        assert_eq!(structural_problem(&format!("[{}]", vec!["{}"; 500].join(","))), None);
    }
}
