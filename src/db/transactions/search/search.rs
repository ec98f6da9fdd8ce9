//! Finds a part of a text in the ids and in what is said of the payer.
//!
//! One index for the five ids together and one for the three personal fields, of the fields joined by a character that no
//! text that is searched for contains: an index for each field would be walked for each search, and cost twice as much to
//! store. A viewer's search never touches the second.
//!
//! Of three digits there are only a thousand, and each stands in one of twenty payments: a reference of twelve digits was
//! ten lists of half a million payments (85 ms of processor time at ten million). So where a text has a long run of digits,
//! the index is asked for the last ones of it alone, and what it finds is compared with the whole. Rejected: an index of fours instead of
//! threes, made by a function of our own, which costs three times as much for each payment that is stored.

use sqlx::{Postgres, QueryBuilder};

use super::filter::Search;
use crate::db::types::escape_like;

/// The ids as they are searched: as the expression of `transactions_by_parts_of_ids`.
const IDS: &str = "searched_ids(source_id, reference_id, client_operation_id, order_id, utr)";
/// What is personal: as the expression of `transactions_by_parts_of_person`.
const PERSON: &str = "searched_person(user_email, user_phone, user_name)";

/// So many digits in a row leave some hundreds among ten million payments.
const TELLING_DIGITS: usize = 6;

/// The payments that contain the text, row by row.
pub(in crate::db) fn push_match(query: &mut QueryBuilder<Postgres>, search: &Search) {
    push_either(query, search, |query, field| push_contains(query, field, search));
}

/// The same, by the indexes.
pub(in crate::db) fn push_indexed_match(query: &mut QueryBuilder<Postgres>, search: &Search) {
    push_either(query, search, |query, field| {
        query.push(format!("{field} LIKE lower(")).push_bind(telling_pattern(&search.text)).push("::text) AND ");
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

/// A comparison that no index serves.
fn push_contains(query: &mut QueryBuilder<Postgres>, field: &str, search: &Search) {
    query.push(format!("strpos({field}, lower(")).push_bind(search.text.clone()).push("::text)) > 0");
}

/// A pattern that whatever contains the text matches: of its longest run of digits the last [`TELLING_DIGITS`], or all of it
/// where there is no run as long.
fn telling_pattern(text: &str) -> String {
    let runs = text.split(|letter: char| !letter.is_ascii_digit());
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    let part = match longest.len().checked_sub(TELLING_DIGITS) {
        Some(skipped) => &longest[skipped..],
        None => text,
    };
    format!("%{}%", escape_like(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_asked_for_the_last_of_many_digits_alone() {
        for (text, pattern) in [
            ("abc", "%abc%"),
            ("123456", "%123456%"),
            ("402118868194", "%868194%"),
            ("SP-402118868194x1234567_", "%868194%"),
            ("asha.rao12345@", "%asha.rao12345@%"),
            ("asha.rao123456@", "%123456%"),
            ("50%", r"%50\%%"),
            (r"\%12345", r"%\\\%12345%"),
        ] {
            assert_eq!(telling_pattern(text), pattern, "{text}");
        }
    }
}
