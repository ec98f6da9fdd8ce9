//! Any bytes as a query: it is read or refused, and a filter that was read can be used.

use chrono_tz::Tz;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::filters::discrepancies::DiscrepancyQuery;
use super::filters::metrics::MetricsQuery;
use super::filters::transactions::TransactionQuery;
use super::http::auth::Caller;
use super::http::pagination::{Cursors, PageQuery};
use super::http::query::Query;
use crate::db::transactions::search::{TransactionCursor, has_trigrams};
use crate::domain::access::Principal;
use crate::domain::reconciliation::Projects;
use crate::fuzzing::campaign;

/// A request line is ASCII without spaces: other bytes arrive percent-encoded, or not at all.
fn query_text(bytes: &[u8]) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ');
    percent_encode(bytes, ENCODED).to_string()
}

fn anyone() -> Caller {
    Caller(Principal::anyone())
}

#[test]
fn query_parameters() {
    let queries = [
        "source=vima,payshack&kind=payin&status=success&project=91game&min_amount=10.50&max_amount=99&sort=-created_at&limit=50",
        "from_date=2026-01-01&to_date=2026-01-31&timezone=Asia/Kolkata&currency=INR&country=IN&page=2",
        "created_from=2026-01-01T00:00:00Z&created_until=2026-01-02T00:00:00Z&weekday=3&hour=9&without=country&count=payments",
        "match_status=amount_mismatch&state=open&min_diff=1&older_than_days=3&project=a,b&project=",
    ];
    campaign("query", &queries.map(str::as_bytes), |bytes| {
        let query = query_text(bytes);
        if let Ok(Query(read)) = Query::<TransactionQuery>::from_text(&query) {
            let _ = (read.days(), read.filter(Tz::UTC, &Projects::All, &anyone()));
        }
        if let Ok(Query(read)) = Query::<MetricsQuery>::from_text(&query) {
            let _ = read.filter(&Projects::All, &anyone());
        }
        if let Ok(Query(read)) = Query::<DiscrepancyQuery>::from_text(&query) {
            let _ = read.filter("2026-01-15".parse().expect("a day"), &anyone());
        }
    });
}

#[test]
fn filter_texts() {
    let texts = ["alice@example.com", "Y7KY0V202611591646", "+91 98765 43210", "O'Brien", "a-b_c%"];
    campaign("search text", &texts.map(str::as_bytes), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let accepted = Query::<TransactionQuery>::from_text(&format!("search={}", query_text(bytes)));
        if let Ok(Query(read)) = accepted
            && let Ok(filter) = read.filter(Tz::UTC, &Projects::All, &anyone())
            && let Some(search) = filter.search
        {
            assert!(has_trigrams(&search.text), "{text:?} is searched for without an index");
            assert!(!search.text.contains('\0'), "{text:?} cannot be sent to PostgreSQL");
        }
    });
}

#[test]
fn cursors() {
    let cursors = Cursors::new(b"a key of some length".to_vec());
    // As long as real ones; none of them is signed with the key.
    let forged = ["eyJsaXN0aW5nIjoidHJhbnNhY3Rpb25zIiwicGFnZSI6MiwiYWZ0ZXIiOjd9AAAAAAAAAAAAAAAAAAAA", "AAAA", ""];
    campaign("cursor", &forged.map(str::as_bytes), |bytes| {
        let query = Query::<PageQuery>::from_text(&format!("cursor={}", query_text(bytes)));
        if let Ok(Query(page)) = query
            && let Ok(window) = cursors.window::<TransactionCursor>("transactions", &page)
        {
            assert!(window.after.is_none(), "a cursor was accepted that this service did not sign");
        }
    });
}
