//! Writes the `data` of a list, including the records that faults add.

use crate::{
    faults::{Fault, PageFaults},
    json_writer,
    malformed::{RequiredFields, make_malformed},
    switches::Switches,
};

use super::{
    entry::Entry,
    transaction::Transaction,
    transaction_store::TransactionQuery,
    wire::{self, RecordFormat},
};

const REQUIRED: RequiredFields = RequiredFields {
    ids: &["txnId", "transactionId", "_id"],
    amounts: &["/amount", "/paidAmount"],
    amount: "amount",
    created: "createdAt",
};

enum PageItem<'a> {
    Entry(&'a Entry),
    Previous(Transaction),
    MalformedCompanion(&'a Transaction, Fault),
}

pub(crate) fn record(entry: &Entry, switches: &Switches, faults: PageFaults) -> String {
    let mut out = String::new();
    write(&mut out, PageItem::Entry(entry), RecordFormat::new(switches, faults.records));
    out
}

pub(crate) fn render(
    entries: &[&Entry],
    total: usize,
    query: &TransactionQuery,
    switches: &Switches,
    faults: PageFaults,
) -> String {
    let format = RecordFormat::new(switches, faults.records);
    let mut out = String::with_capacity(1024 * entries.len() + 256);
    json_writer::object(&mut out, |o| {
        o.array("transactions", page_items(entries, faults), |out, item| write(out, item, format));
        let pages = total.div_ceil(query.limit);
        let next = if query.page < pages { query.page + 1 } else { 0 };
        o.unquoted("totalRecords", total).unquoted("perPage", query.limit).unquoted("totalPages", pages);
        o.unquoted("currentPageNo", query.page)
            .unquoted("prevPage", query.page.saturating_sub(1))
            .unquoted("nextPage", next);
    });
    out
}

/// The records of a page, with malformed companions, a duplicate record, and an older version after the newer one if the
/// faults say so.
fn page_items<'a>(entries: &[&'a Entry], faults: PageFaults) -> Vec<PageItem<'a>> {
    let mut items = Vec::with_capacity(entries.len() + 2);
    for entry in entries {
        items.push(PageItem::Entry(entry));
        if let Entry::Generated(transaction) = entry {
            let companions = faults.records.companions(transaction.number.into());
            items.extend(companions.map(|fault| PageItem::MalformedCompanion(transaction, fault)));
        }
    }
    if let (true, Some(entry)) = (faults.duplicate, entries.get(entries.len() / 2)) {
        items.push(PageItem::Entry(entry));
    }
    let changed = entries.iter().find_map(|entry| match entry {
        Entry::Generated(transaction) if transaction.modified > transaction.created => Some(transaction),
        _ => None,
    });
    if let (true, Some(transaction)) = (faults.stale, changed) {
        items.push(PageItem::Previous(transaction.previous_version()));
    }
    items
}

fn write(out: &mut String, item: PageItem<'_>, format: RecordFormat) {
    match item {
        PageItem::Entry(Entry::Generated(transaction)) => wire::write(out, transaction, format),
        PageItem::Entry(Entry::Fixture(fixture)) => out.push_str(fixture.raw.get()),
        PageItem::Previous(transaction) => wire::write(out, &transaction, format),
        PageItem::MalformedCompanion(transaction, fault) => {
            out.push_str(&malformed_companion(transaction, fault, format));
        }
    }
}

fn malformed_companion(transaction: &Transaction, fault: Fault, format: RecordFormat) -> String {
    let companion = Transaction {
        number: transaction.number + 1,
        order_id: format!("{}-X", transaction.order_id).into(),
        ..transaction.clone()
    };
    let mut json = String::new();
    wire::write(&mut json, &companion, format);
    make_malformed(&json, transaction.number.into(), fault, &REQUIRED)
}
