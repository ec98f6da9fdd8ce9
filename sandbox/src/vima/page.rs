//! One page as it goes out, with what its faults add to it.

use crate::{
    broken::{Anatomy, broken, stands_beside},
    faults::PageFaults,
    json,
    switches::{Envelope, Switches},
};

use super::{
    entry::Entry,
    operation::Operation,
    wire::{self, Form},
};

const ANATOMY: Anatomy = Anatomy {
    ids: &["operation_id"],
    amounts: &["/complete_amount", "/create_params/params/payment/amount/value"],
    created: "operation_created_at",
};

/// A record to write.
enum Piece<'a> {
    Entry(&'a Entry),
    Earlier(Operation),
    Broken(&'a Operation),
}

/// Renders a page.
pub(crate) fn render(entries: &[&Entry], switches: &Switches, faults: PageFaults) -> String {
    let form = Form::of(switches, faults.nul);
    let mut out = String::with_capacity(2048 * entries.len() + 32);
    let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(entries.len() + 2);
    for entry in entries {
        pieces.push(Piece::Entry(entry));
        if let Entry::Made(made) = entry
            && stands_beside(made.id, faults.malformed)
        {
            pieces.push(Piece::Broken(made));
        }
    }
    add_repetitions(&mut pieces, entries, faults);
    let write = |out: &mut String, piece: Piece<'_>| match piece {
        Piece::Entry(Entry::Made(made)) => wire::write(out, made, form),
        Piece::Entry(Entry::Planted(planted)) => out.push_str(planted.raw.get()),
        Piece::Earlier(made) => wire::write(out, &made, form),
        Piece::Broken(made) => out.push_str(&broken_beside(made, form)),
    };
    match switches.vima_envelope {
        Envelope::Array => json::array(&mut out, pieces, write),
        Envelope::Wrapped => json::object(&mut out, |o| {
            o.array("operations", pieces, write);
        }),
    }
    out
}

/// A page may hold a record twice, and an older version of a record after the newer one.
fn add_repetitions<'a>(pieces: &mut Vec<Piece<'a>>, entries: &[&'a Entry], faults: PageFaults) {
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
}

fn broken_beside(made: &Operation, form: Form) -> String {
    let neighbour = Operation {
        id: made.id + 1,
        create_id: made.create_id + 1,
        update_id: made.update_id + 1,
        key: format!("{}-X", made.key).into(),
        ..made.clone()
    };
    let mut rendered = String::new();
    wire::write(&mut rendered, &neighbour, form);
    broken(&rendered, made.id, &ANATOMY)
}
