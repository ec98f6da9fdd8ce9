//! Distinguishes a JSON field that is null from one that is missing.
//!
//! A list that is null says that there is nothing; a response without the list is another response.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// For `#[serde(default, borrow, deserialize_with = "present")]`: the text of a field, also if it is `null`; `None` if it is
/// missing.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
