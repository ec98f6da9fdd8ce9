//! The forms in which a payment's key is written: both providers' keys are compared, so a client has to undo all of them.

use crate::{
    faults::{Fault, RecordFaults},
    id_hash::{Salt, hash},
    json_writer::ObjectWriter,
};

/// Writes the key of the record with this id: a text, or a number if it is one and `as_number` is set.
pub(crate) fn write_key(
    o: &mut ObjectWriter<'_>,
    name: &str,
    key: &str,
    as_number: bool,
    id: u128,
    faults: RecordFaults,
) {
    let is_number = is_number(key);
    if is_number && faults.has_form(Fault::FloatKey, id) {
        if hash(id, Salt::RecordFault(Fault::FloatKey as u8)).is_multiple_of(2) {
            o.unquoted(name, format_args!("{key}.0"));
        } else {
            o.unquoted(name, format_args!("{}.{}E{}", &key[..1], &key[1..], key.len() - 1));
        }
    } else if faults.has_form(Fault::InvisibleKey, id) {
        o.text(name, &format!("\u{feff}{}\u{200b}{}\u{a0}", &key[..1], &key[1..]));
    } else if is_number && as_number {
        o.unquoted(name, key);
    } else {
        o.text(name, key);
    }
}

/// Whether the key can be written as a JSON number. All keys are ASCII.
fn is_number(key: &str) -> bool {
    key.len() > 1 && !key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit())
}
