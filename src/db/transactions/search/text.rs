//! Searches for a text in the ids and in the payer's personal fields.
//!
//! There is one trigram index for the five ids and one for the three personal fields, over the fields joined by a character that
//! no search text contains. An index per field would cost a lookup each, and twice the storage. A viewer's search never uses the
//! second one.
//!
//! There are only a thousand trigrams of digits, each in one of twenty transactions: a reference of twelve digits combined ten
//! lists of half a million rows (85 ms of CPU time at ten million). So for a text with a long run of digits only the last ones
//! are looked up in the index, and the rows found are compared with the whole text. Rejected: an index of four characters made by
//! a function of our own, which costs three times as much for every stored transaction.

use sqlx::{Postgres, QueryBuilder};

use super::filter::Search;
use crate::db::types::escape_like;

/// The expression of the index `transactions_by_parts_of_ids`.
const IDS: &str = "searched_ids(source_id, reference_id, client_operation_id, order_id, utr)";
/// The expression of the index `transactions_by_parts_of_person`.
const PERSON: &str = "searched_person(user_email, user_phone, user_name)";

/// This many digits in a row leave some hundreds of ten million transactions.
const SELECTIVE_DIGITS: usize = 6;

/// The expressions that a search compares. Each has an index.
pub(in crate::db) fn fields(search: &Search) -> &'static [&'static str] {
    if search.personal { &[IDS, PERSON] } else { &[IDS] }
}

/// The condition that a row contains the text, without an index.
pub(in crate::db) fn push_match(query: &mut QueryBuilder<Postgres>, search: &Search) {
    push_any(query, fields(search), |query, field| push_contains(query, field, search));
}

/// The condition that one of `fields` contains the text, for use with their indexes.
pub(in crate::db) fn push_indexed_match(query: &mut QueryBuilder<Postgres>, fields: &[&str], search: &Search) {
    push_any(query, fields, |query, field| {
        query.push(format!("{field} LIKE lower(")).push_bind(index_pattern(&search.text)).push("::text) AND ");
        push_contains(query, field, search);
    });
}

fn push_any(query: &mut QueryBuilder<Postgres>, fields: &[&str], push: impl Fn(&mut QueryBuilder<Postgres>, &str)) {
    query.push("(");
    for (index, field) in fields.iter().enumerate() {
        query.push(if index > 0 { " OR " } else { "" });
        push(query, field);
    }
    query.push(")");
}

/// `strpos` cannot use an index.
fn push_contains(query: &mut QueryBuilder<Postgres>, field: &str, search: &Search) {
    query.push(format!("strpos({field}, lower(")).push_bind(search.text.clone()).push("::text)) > 0");
}

/// Whether the indexes can find the text. The trigrams of a text are those of its words, where a word that begins or ends within
/// the text is extended by the spaces that surround it: `a-b` has one (`  b`), `---` and `a--` have none. Without any, the index
/// would return every row.
#[must_use]
pub fn has_trigrams(text: &str) -> bool {
    let words: Vec<&str> = indexed_part(text).split(|letter: char| !letter.is_alphanumeric()).collect();
    words.iter().enumerate().any(|(index, word)| {
        let (before, after) = (if index > 0 { 2 } else { 0 }, usize::from(index + 1 < words.len()));
        !word.is_empty() && before + word.chars().count() + after >= 3
    })
}

/// A `LIKE` pattern for everything that contains the text.
fn index_pattern(text: &str) -> String {
    format!("%{}%", escape_like(indexed_part(text)))
}

/// The last [`SELECTIVE_DIGITS`] of the longest run of digits of the text, or the whole text if no run is that long.
fn indexed_part(text: &str) -> &str {
    let runs = text.split(|letter: char| !letter.is_ascii_digit());
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    match longest.len().checked_sub(SELECTIVE_DIGITS) {
        Some(skipped) => &longest[skipped..],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_of_digits_are_searched_by_their_end() {
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
            assert_eq!(index_pattern(text), pattern, "{text}");
        }
    }

    #[test]
    fn text_needs_a_trigram() {
        for (text, expected) in [
            ("abc", true),
            ("12-", true),
            ("-12", true),
            ("-1-", true),
            ("a-b", true),
            ("日本語", true),
            ("@b.", true),
            ("---", false),
            ("a--", false),
            ("a@", false),
            ("%_%", false),
            ("₹₹₹", false),
            ("+++++++", false),
        ] {
            assert_eq!(has_trigrams(text), expected, "{text}");
        }
    }
}
