//! Writes a page of operations, including the records that faults add.

use crate::{
    faults::{Fault, PageFaults},
    json_writer,
    malformed::{RequiredFields, make_malformed},
    switches::{PageEnvelope, Switches, VimaEmptyList},
};

use super::{
    entry::Entry,
    operation::Operation,
    wire::{self, RecordFormat},
};

const REQUIRED: RequiredFields = RequiredFields {
    ids: &["operation_id"],
    amounts: &["/complete_amount", "/create_params/params/payment/amount/value"],
    amount: "complete_amount",
    created: "operation_created_at",
};

enum PageItem<'a> {
    Entry(&'a Entry),
    Previous(Operation),
    MalformedCompanion(&'a Operation, Fault),
}

/// A page; `None` if it is empty and has no content then.
pub(crate) fn render(entries: &[&Entry], switches: &Switches, faults: PageFaults) -> Option<String> {
    if entries.is_empty() {
        match switches.vima_empty_list {
            VimaEmptyList::List => {}
            VimaEmptyList::Null => return Some("null".to_owned()),
            VimaEmptyList::OperationsNull => return Some(r#"{"operations":null}"#.to_owned()),
            VimaEmptyList::DataList => return Some(r#"{"data":[]}"#.to_owned()),
            VimaEmptyList::NoContent => return None,
        }
    }
    let format = RecordFormat::new(switches, faults.records);
    let mut out = String::with_capacity(2048 * entries.len() + 32);
    let mut items: Vec<PageItem<'_>> = Vec::with_capacity(entries.len() + 2);
    for entry in entries {
        items.push(PageItem::Entry(entry));
        if let Entry::Generated(operation) = entry {
            let companions = faults.records.companions(operation.id);
            items.extend(companions.map(|fault| PageItem::MalformedCompanion(operation, fault)));
        }
    }
    add_repetitions(&mut items, entries, faults);
    let write = |out: &mut String, item: PageItem<'_>| match item {
        PageItem::Entry(Entry::Generated(operation)) => wire::write(out, operation, format),
        PageItem::Entry(Entry::Fixture(fixture)) => out.push_str(fixture.raw.get()),
        PageItem::Previous(operation) => wire::write(out, &operation, format),
        PageItem::MalformedCompanion(operation, fault) => out.push_str(&malformed_companion(operation, fault, format)),
    };
    match switches.vima_envelope {
        PageEnvelope::Array => json_writer::array(&mut out, items, write),
        PageEnvelope::Wrapped => json_writer::object(&mut out, |o| {
            o.array("operations", items, write);
        }),
    }
    Some(out)
}

/// Adds a duplicate record, and an older version of a record after the newer one, if the faults say so.
fn add_repetitions<'a>(items: &mut Vec<PageItem<'a>>, entries: &[&'a Entry], faults: PageFaults) {
    if let (true, Some(entry)) = (faults.duplicate, entries.get(entries.len() / 2)) {
        items.push(PageItem::Entry(entry));
    }
    let changed = entries.iter().find_map(|entry| match entry {
        Entry::Generated(operation) if operation.modified > operation.created => Some(operation),
        _ => None,
    });
    if let (true, Some(operation)) = (faults.stale, changed) {
        items.push(PageItem::Previous(operation.previous_version()));
    }
}

fn malformed_companion(operation: &Operation, fault: Fault, format: RecordFormat) -> String {
    let companion = Operation {
        id: operation.id + 1,
        create_id: operation.create_id + 1,
        update_id: operation.update_id + 1,
        key: format!("{}-X", operation.key).into(),
        ..operation.clone()
    };
    let mut json = String::new();
    wire::write(&mut json, &companion, format);
    make_malformed(&json, operation.id, fault, &REQUIRED)
}
