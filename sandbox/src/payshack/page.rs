//! The `data` of a list as it goes out, with what its faults add to it.

use crate::{
    broken::{Anatomy, broken, stands_beside},
    faults::PageFaults,
    json,
    switches::Switches,
};

use super::{
    entry::Entry,
    transaction::Transaction,
    transactions::Listing,
    wire::{self, Form},
};

const ANATOMY: Anatomy =
    Anatomy { ids: &["txnId", "transactionId", "_id"], amounts: &["/amount", "/paidAmount"], created: "createdAt" };

/// A record to write.
enum Piece<'a> {
    Entry(&'a Entry),
    Earlier(Transaction),
    Broken(&'a Transaction),
}

/// Renders one record.
pub(crate) fn record(entry: &Entry, switches: &Switches, faults: PageFaults) -> String {
    let mut out = String::new();
    write(&mut out, Piece::Entry(entry), Form::of(switches, faults.nul));
    out
}

/// Renders a page of a list with its paging fields.
pub(crate) fn render(
    entries: &[&Entry],
    total: usize,
    listing: &Listing,
    switches: &Switches,
    faults: PageFaults,
) -> String {
    let form = Form::of(switches, faults.nul);
    let mut out = String::with_capacity(1024 * entries.len() + 256);
    json::object(&mut out, |o| {
        o.array("transactions", pieces(entries, faults), |out, piece| write(out, piece, form));
        let pages = total.div_ceil(listing.limit);
        let next = if listing.page < pages { listing.page + 1 } else { 0 };
        o.bare("totalRecords", total).bare("perPage", listing.limit).bare("totalPages", pages);
        o.bare("currentPageNo", listing.page).bare("prevPage", listing.page.saturating_sub(1)).bare("nextPage", next);
    });
    out
}

/// A page may hold a record twice, and an older version of a record after the newer one.
fn pieces<'a>(entries: &[&'a Entry], faults: PageFaults) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(entries.len() + 2);
    for entry in entries {
        pieces.push(Piece::Entry(entry));
        if let Entry::Made(made) = entry
            && stands_beside(made.number.into(), faults.malformed)
        {
            pieces.push(Piece::Broken(made));
        }
    }
    if let (true, Some(entry)) = (faults.duplicate, entries.get(entries.len() / 2)) {
        pieces.push(Piece::Entry(entry));
    }
    let changed = entries.iter().find_map(|entry| match entry {
        Entry::Made(made) if made.modified > made.created => Some(made),
        _ => None,
    });
    if let (true, Some(made)) = (faults.stale, changed) {
        pieces.push(Piece::Earlier(made.earlier()));
    }
    pieces
}

fn write(out: &mut String, piece: Piece<'_>, form: Form) {
    match piece {
        Piece::Entry(Entry::Made(made)) => wire::write(out, made, form),
        Piece::Entry(Entry::Planted(planted)) => out.push_str(planted.raw.get()),
        Piece::Earlier(made) => wire::write(out, &made, form),
        Piece::Broken(made) => out.push_str(&broken_beside(made, form)),
    }
}

fn broken_beside(made: &Transaction, form: Form) -> String {
    let neighbour =
        Transaction { number: made.number + 1, order_id: format!("{}-X", made.order_id).into(), ..made.clone() };
    let mut rendered = String::new();
    wire::write(&mut rendered, &neighbour, form);
    broken(&rendered, made.number.into(), &ANATOMY)
}
