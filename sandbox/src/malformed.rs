//! Malformed records: the `malformed` fault adds a malformed companion after a share of the records.
//!
//! A companion has its own id and lacks a required field or has an invalid one. It is not a payment, so the ground truth
//! only counts it.

use serde_json::Value;

use crate::id_hash::{Salt, hash, in_share};

pub(crate) struct RequiredFields {
    pub(crate) ids: &'static [&'static str],
    /// JSON pointers.
    pub(crate) amounts: &'static [&'static str],
    pub(crate) created: &'static str,
}

pub(crate) fn has_malformed_companion(id: u128, share: f64) -> bool {
    in_share(share, id, Salt::Malformed)
}

/// Makes a serialized record malformed; the id decides how.
pub(crate) fn make_malformed(json: &str, id: u128, required: &RequiredFields) -> String {
    let Ok(mut record) = serde_json::from_str::<Value>(json) else { return "null".into() };
    match (hash(id, Salt::Malformed) >> 3) % 6 {
        0 => remove(&mut record, required.ids),
        1 => overwrite(&mut record, required.amounts, &Value::Null),
        2 => overwrite(&mut record, required.amounts, &Value::from("a hundred")),
        3 => remove(&mut record, &[required.created]),
        4 => overwrite(&mut record, &[&format!("/{}", required.created)], &Value::from("yesterday")),
        _ => record = Value::from(format!("record {id} could not be read")),
    }
    record.to_string()
}

fn remove(record: &mut Value, names: &[&str]) {
    if let Some(fields) = record.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

fn overwrite(record: &mut Value, pointers: &[&str], value: &Value) {
    for pointer in pointers {
        if let Some(field) = record.pointer_mut(pointer) {
            *field = value.clone();
        }
    }
}
