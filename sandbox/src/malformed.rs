//! Malformed records: a companion of a generated record that is not a payment.
//!
//! A companion has its own id. It lacks a required field, or a field is invalid or occurs twice, or it is not even JSON. The
//! ground truth only counts it.

use serde_json::{Value, json};

use crate::{
    faults::Fault,
    id_hash::{Salt, hash},
};

pub(crate) struct RequiredFields {
    pub(crate) ids: &'static [&'static str],
    /// JSON pointers.
    pub(crate) amounts: &'static [&'static str],
    pub(crate) amount: &'static str,
    pub(crate) created: &'static str,
}

/// Makes a serialized record malformed; the id decides about details.
pub(crate) fn make_malformed(json: &str, id: u128, fault: Fault, required: &RequiredFields) -> String {
    let details = hash(id, Salt::Malformed) >> 3;
    let first = |member: &str| json.replacen('{', &format!("{{{member},"), 1);
    match fault {
        Fault::Nan => first(&format!("\"damaged\":{}", ["NaN", "Infinity", "-Infinity"][(details % 3) as usize])),
        Fault::ControlChar => first("\"damaged\":\"a\u{1}\tb\""),
        Fault::BadEscape => first(r#""damaged":"D\'S""#),
        Fault::LeadingZero => first("\"damaged\":007"),
        Fault::StrayQuote => first(r#""damaged":"D"Souza""#),
        Fault::DuplicateKey => first(&format!("\"{0}\":1,\"{0}\":2", required.amount)),
        _ => malformed_value(json, id, fault, required).to_string(),
    }
}

fn malformed_value(json: &str, id: u128, fault: Fault, required: &RequiredFields) -> Value {
    let Ok(mut record) = serde_json::from_str::<Value>(json) else { return Value::Null };
    match fault {
        Fault::UnreadablePaidAmount => {
            for (name, value) in [("paidAmount", json!("1,500.00")), ("txnCharges", json!("1,500.00"))] {
                record[name] = value;
            }
            record["card_finish"] = json!([{"charged_fee": "1,500.00"}]);
        }
        Fault::HugeAmount => record[required.amount] = json!("70000000000000000000000000000"),
        Fault::OutlierId => {
            let outlier = 10_u128.pow(36) * u128::from(1 + hash(id, Salt::RecordFault(fault as u8)) % 99);
            record["operation_create_id"] = json!(outlier.to_string());
            record["operation_update_id"] = json!(outlier.to_string());
            record[required.created] = Value::Null;
        }
        _ => lacks_something(&mut record, id, required),
    }
    record
}

fn lacks_something(record: &mut Value, id: u128, required: &RequiredFields) {
    match (hash(id, Salt::Malformed) >> 3) % 6 {
        0 => remove(record, required.ids),
        1 => overwrite(record, required.amounts, &Value::Null),
        2 => overwrite(record, required.amounts, &Value::from("a hundred")),
        3 => remove(record, &[required.created]),
        4 => overwrite(record, &[&format!("/{}", required.created)], &Value::from("yesterday")),
        _ => *record = Value::from(format!("record {id} could not be read")),
    }
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
