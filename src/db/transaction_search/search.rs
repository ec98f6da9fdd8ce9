//! Finds a part of a text in the ids and in what is said of the payer.
//!
//! Ids and the Unique Transaction Reference are digits, and of three digits there are only a thousand: each stands in one of
//! twenty payments, so that `pg_trgm`, which indexes three characters, walked through lists of half a million payments for
//! each three of a reference's twelve digits (85 ms of processor time at ten million). So the index holds every four bytes
//! that follow each other, which finds the same in 4 ms at the same price for whoever stores payments. Three bytes are
//! found by all fours that begin with them, and therefore every field ends with a character that none contains.
//! What the index finds is compared once more, for four here and four there are no eight.
//!
//! Rejected too: a `tsvector` of fours, which knows prefixes by itself, but costs three times as much to store; eight
//! indexes, one a field, each to be walked for each search.

use sqlx::{Postgres, QueryBuilder};

use super::filter::Search;

/// The ids as they are searched: as the expression of `transactions_by_parts_of_ids`.
const IDS: &str = "searched_ids(source_id, reference_id, client_operation_id, order_id, utr)";
/// What is personal: as the expression of `transactions_by_parts_of_person`.
const PERSON: &str = "searched_person(user_email, user_phone, user_name)";

/// The length of what the indexes hold, in bytes.
const GRAM: usize = 4;

/// The payments that contain the text, row by row.
pub(super) fn push_match(query: &mut QueryBuilder<Postgres>, search: &Search) {
    push_either(query, search, |query, field| push_contains(query, field, search));
}

/// The same, by the indexes.
pub(super) fn push_indexed_match(query: &mut QueryBuilder<Postgres>, search: &Search) {
    // Lower case may have fewer bytes than there were; three characters always leave three.
    let comparison = if search.text.len() < GRAM { "&& search_grams_from" } else { "@> search_grams" };
    push_either(query, search, |query, field| {
        query.push(format!("search_grams({field}) {comparison}(lower("));
        query.push_bind(search.text.clone()).push("::text)) AND ");
        push_contains(query, field, search);
    });
}

fn push_either(query: &mut QueryBuilder<Postgres>, search: &Search, push: impl Fn(&mut QueryBuilder<Postgres>, &str)) {
    query.push("(");
    push(query, IDS);
    if search.personal {
        query.push(" OR ");
        push(query, PERSON);
    }
    query.push(")");
}

fn push_contains(query: &mut QueryBuilder<Postgres>, field: &str, search: &Search) {
    query.push(format!("{field} LIKE lower("));
    query.push_bind(format!("%{}%", super::escape_like(&search.text))).push("::text)");
}
