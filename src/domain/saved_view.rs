//! Filters that someone saved under a name.
//!
//! The service stores them and does not interpret them: which filters a page has is decided by the console, which may be newer or
//! older than the service. So the page is a short name instead of an enum.

use std::collections::BTreeMap;

use serde_json::Value;

use super::access::{KeyId, Principal, Role};

/// The most views of one owner.
pub const MAX_VIEWS: u64 = 200;
const MAX_NAME: usize = 200;
const MAX_PAGE: usize = 40;
const MAX_FILTERS: usize = 50;
const MAX_VALUES: usize = 100;
const MAX_BYTES: usize = 8 << 10;

/// The values of the filters by their names: each a string, a number, a boolean or a list of them.
pub type Filters = BTreeMap<String, Value>;

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewProperties {
    pub name: String,
    pub page: String,
    pub filters: Filters,
    /// Whether everyone sees it.
    pub shared: bool,
}

/// What is wrong with a name.
pub fn check_name(name: &str) -> Result<(), String> {
    let length = name.trim().chars().count();
    if (1..=MAX_NAME).contains(&length) && !name.contains(char::is_control) {
        return Ok(());
    }
    Err(format!("must have 1 to {MAX_NAME} characters and no control characters"))
}

/// What is wrong with the name of a page.
pub fn check_page(page: &str) -> Result<(), String> {
    let is_valid = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if (1..=MAX_PAGE).contains(&page.len()) && page.chars().all(is_valid) {
        return Ok(());
    }
    Err(format!("must be the name of a page, such as payments: 1 to {MAX_PAGE} lower-case letters, digits and hyphens"))
}

/// What is wrong with filters.
pub fn check_filters(filters: &Filters) -> Result<(), String> {
    if filters.len() > MAX_FILTERS {
        return Err(format!("has {} filters, and at most {MAX_FILTERS} are allowed", filters.len()));
    }
    for (name, value) in filters {
        if name.is_empty() || name.contains(char::is_control) {
            return Err("has a filter whose name is empty or has control characters".to_owned());
        }
        check_value(value).map_err(|problem| format!("has the filter {name}, which {problem}"))?;
    }
    let bytes: usize = filters.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    if bytes > MAX_BYTES { Err(format!("is longer than {} KiB", MAX_BYTES >> 10)) } else { Ok(()) }
}

fn check_value(value: &Value) -> Result<(), String> {
    match value {
        // PostgreSQL cannot store a NUL.
        Value::String(text) if text.contains('\0') => Err("has a NUL character".to_owned()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(()),
        Value::Array(items) if items.len() > MAX_VALUES => Err(format!("has more than {MAX_VALUES} values")),
        Value::Array(items) if items.iter().any(Value::is_array) => Err("has a list within a list".to_owned()),
        Value::Array(items) => items.iter().try_for_each(check_value),
        Value::Null | Value::Object(_) => Err("is not a string, a number, a boolean or a list of them".to_owned()),
    }
}

/// What a caller may do with a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewAccess {
    /// It does not exist for the caller.
    Hidden,
    Read,
    Change,
}

impl ViewAccess {
    /// A personal view is for its owner alone, not even for admins. A shared one is seen by all, and changed by its owner and by
    /// admins, because its owner may be gone.
    #[must_use]
    pub fn of(caller: &Principal, owner: KeyId, shared: bool) -> Self {
        match (caller.key_id == owner, shared) {
            (true, _) => Self::Change,
            (false, true) if caller.role == Role::Admin => Self::Change,
            (false, true) => Self::Read,
            (false, false) => Self::Hidden,
        }
    }
}

/// Whether the caller may make a view visible to everyone.
#[must_use]
pub fn may_share(caller: &Principal) -> bool {
    caller.role >= Role::Operator
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::access::ProjectScope;

    fn filters(value: Value) -> Filters {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn filters_are_names_with_values() {
        for (value, problem) in [
            (json!({}), None),
            (json!({"status": "failed", "project": ["a", "b"], "min_amount": 100, "excel": true}), None),
            (json!({"search": "₹ 1,000"}), None),
            (json!({"project": []}), None),
            (json!({"a": null}), Some("has the filter a, which is not a string")),
            (json!({"a": {"b": 1}}), Some("has the filter a, which is not a string")),
            (json!({"a": [["b"]]}), Some("list within a list")),
            (json!({"a": [{"b": 1}]}), Some("has the filter a, which is not a string")),
            (json!({"a": "\u{0}"}), Some("NUL")),
            (json!({"a": ["\u{0}"]}), Some("NUL")),
            (json!({"a\n": "b"}), Some("control characters")),
            (json!({"": "b"}), Some("empty")),
            (json!({"a": vec!["b"; 101]}), Some("more than 100 values")),
            (json!({"a": "b".repeat(9_000)}), Some("longer than 8 KiB")),
        ] {
            let found = check_filters(&filters(value.clone())).err();
            match (problem, found) {
                (None, None) => {}
                (Some(part), Some(message)) => assert!(message.contains(part), "{value}: {message}"),
                (expected, found) => panic!("{value}: {found:?} instead of {expected:?}"),
            }
        }
        let many = (0..51).map(|number| (number.to_string(), json!("a"))).collect();
        assert_eq!(check_filters(&many), Err("has 51 filters, and at most 50 are allowed".to_owned()));
    }

    #[test]
    fn names_and_pages_are_short_texts() {
        for (name, valid) in [("Failed today", true), ("н", true), ("", false), ("  ", false), ("a\nb", false)] {
            assert_eq!(check_name(name).is_ok(), valid, "{name:?}");
        }
        assert!(check_name(&"a".repeat(200)).is_ok() && check_name(&"a".repeat(201)).is_err());
        for (page, valid) in [("payments", true), ("sync-runs", true), ("Payments", false), ("", false), ("a/b", false)]
        {
            assert_eq!(check_page(page).is_ok(), valid, "{page:?}");
        }
        assert!(check_page(&"a".repeat(40)).is_ok() && check_page(&"a".repeat(41)).is_err());
    }

    #[test]
    fn personal_views_are_private_and_shared_ones_are_changed_by_owner_or_admin() {
        let key = |number| KeyId(Uuid::from_u128(number));
        let caller = |number, role| Principal::of_key(key(number), "a", role, ProjectScope::All);
        let owner = key(100);
        for (number, role, shared, expected) in [
            (100, Role::Viewer, false, ViewAccess::Change),
            (100, Role::Viewer, true, ViewAccess::Change),
            (101, Role::Admin, false, ViewAccess::Hidden),
            (101, Role::Admin, true, ViewAccess::Change),
            (101, Role::Operator, true, ViewAccess::Read),
            (101, Role::Viewer, true, ViewAccess::Read),
            (101, Role::Viewer, false, ViewAccess::Hidden),
        ] {
            let access = ViewAccess::of(&caller(number, role), owner, shared);
            assert_eq!(access, expected, "{number} {role:?} {shared}");
        }
        assert_eq!(Role::ALL.map(|role| may_share(&caller(1, role))), [false, true, true]);
    }
}
