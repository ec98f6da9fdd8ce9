//! Malformed records: one beside each record of the drawn share.
//!
//! A broken record is a neighbour with an identity of its own from which something indispensable is missing. It is no
//! payment, so the truth only counts it.

use serde_json::Value;

use crate::chance::{Aspect, falls_in, grain};

/// Where a provider's records keep what they cannot do without.
pub(crate) struct Anatomy {
    pub(crate) ids: &'static [&'static str],
    /// JSON pointers.
    pub(crate) amounts: &'static [&'static str],
    pub(crate) created: &'static str,
}

/// Whether a broken record stands beside the one with this id.
pub(crate) fn stands_beside(id: u128, share: f64) -> bool {
    falls_in(share, id, Aspect::Malformed)
}

/// Breaks a rendered record in the way that belongs to its id.
pub(crate) fn broken(rendered: &str, id: u128, anatomy: &Anatomy) -> String {
    let Ok(mut record) = serde_json::from_str::<Value>(rendered) else { return "null".into() };
    match (grain(id, Aspect::Malformed) >> 3) % 6 {
        0 => remove(&mut record, anatomy.ids),
        1 => overwrite(&mut record, anatomy.amounts, &Value::Null),
        2 => overwrite(&mut record, anatomy.amounts, &Value::from("a hundred")),
        3 => remove(&mut record, &[anatomy.created]),
        4 => overwrite(&mut record, &[&format!("/{}", anatomy.created)], &Value::from("yesterday")),
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
        if let Some(place) = record.pointer_mut(pointer) {
            *place = value.clone();
        }
    }
}
