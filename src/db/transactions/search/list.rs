//! Reads one page of a listing.
//!
//! Rows that are skipped, or found by the search index, are found by id first; only the rows of the page are read completely.
//!
//! PostgreSQL's planner cannot estimate how frequent a searched text is. The index would find a frequent text a million times,
//! but such a text fills a page from the first rows of the listing. So a search first scans a growing number of rows
//! ([`SCANS`]), and uses the index only if they do not fill the page.
//!
//! A search of ids and personal fields reads two indexes, each of which takes about as long. They are read by two connections
//! at the same time, which PostgreSQL does not do within one statement.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::filter::push_time_parts;
use super::{
    FoundTransaction, Search, SortBy, SortOrder, SortValue, TransactionFilter, TransactionWindow, all_columns, text,
};
use crate::db::DbError;
use crate::domain::time_range::TimeRange;

/// How many rows each scan compares with the text, and how many matches the scan before it must have found. Five matches in
/// 4,000 rows mean more than 10,000 among ten million; reading those by the index costs more than scanning 50,000 rows.
const SCANS: [(i64, usize); 3] = [(500, 0), (4_000, 1), (100_000, 5)];

pub async fn list(
    pool: &PgPool,
    filter: &TransactionFilter,
    window: &TransactionWindow,
) -> Result<Vec<FoundTransaction>, DbError> {
    let Some(search) = &filter.search else {
        return read(pool, window, |query| push_plain(query, filter, window)).await;
    };
    let mut found = 0;
    for (rows, min_found) in SCANS {
        // With an offset, the number of matches is unknown: skipped rows are not returned.
        if window.page.offset == 0 && found < min_found {
            break;
        }
        let page = read(pool, window, |query| push_scan(query, filter, search, window, rows)).await?;
        if i64::try_from(page.len()).is_ok_and(|found| found >= window.page.limit) {
            return Ok(page);
        }
        found = page.len();
    }
    read_indexed(pool, filter, search, window).await
}

/// Finds the first rows by each index, and merges them. With an offset, which counts the rows of all indexes, there is one
/// statement.
async fn read_indexed(
    pool: &PgPool,
    filter: &TransactionFilter,
    search: &Search,
    window: &TransactionWindow,
) -> Result<Vec<FoundTransaction>, DbError> {
    let fields = text::fields(search);
    let each = if window.page.offset == 0 { 1 } else { fields.len() };
    let found = fields
        .chunks(each)
        .map(|fields| read(pool, window, move |query| push_indexed(query, filter, (search, fields), window)));
    Ok(merge(try_join_all(found).await?.into_iter().flatten().collect(), window))
}

/// Sorts rows by the order of the window, without those that several indexes found, and keeps as many as it wants.
fn merge(mut rows: Vec<FoundTransaction>, window: &TransactionWindow) -> Vec<FoundTransaction> {
    rows.sort_by(|left, right| {
        let ascending = left.cursor(window.sort_by).cmp(&right.cursor(window.sort_by));
        if window.order == SortOrder::Desc { ascending.reverse() } else { ascending }
    });
    // One may have moved between the two statements.
    let mut ids = HashSet::new();
    rows.retain(|row| ids.insert(row.id));
    rows.truncate(usize::try_from(window.page.limit).unwrap_or(usize::MAX));
    rows
}

async fn read(
    pool: &PgPool,
    window: &TransactionWindow,
    push: impl FnOnce(&mut QueryBuilder<Postgres>),
) -> Result<Vec<FoundTransaction>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {} FROM ", all_columns()));
    push(&mut query);
    push_order(&mut query, window);
    Ok(query.build_query_as().fetch_all(pool).await?)
}

/// Without an offset rows are read at once: looking them up by id would cost more than finding them.
fn push_plain(query: &mut QueryBuilder<Postgres>, filter: &TransactionFilter, window: &TransactionWindow) {
    let columns = if window.page.offset == 0 { "*" } else { "id" };
    query.push(if window.page.offset == 0 { "(" } else { "transactions WHERE id IN (" });
    match filter.time_parts() {
        Some(parts) if window.sort_by == SortBy::CreatedAt => push_parts(query, filter, (&parts, columns), window),
        _ => {
            query.push(format!("SELECT {columns} FROM transactions WHERE true"));
            filter.push_all_but_search(query);
            push_after(query, window);
        }
    }
    push_order(query, window);
    window.page.push_limits(query);
    query.push(if window.page.offset == 0 { ") AS page" } else { ")" });
}

/// The first rows of each part of a time range, by the index: the time between the parts may have many more rows.
fn push_parts(
    query: &mut QueryBuilder<Postgres>,
    filter: &TransactionFilter,
    (parts, columns): (&[TimeRange], &str),
    window: &TransactionWindow,
) {
    query.push(format!("SELECT {columns} FROM (SELECT found.* FROM "));
    push_time_parts(query, parts);
    query.push(
        " CROSS JOIN LATERAL (SELECT * FROM transactions WHERE created_at >= part.since AND created_at < part.before",
    );
    filter.push_all_but_time(query);
    push_after(query, window);
    push_order(query, window);
    query.push(" LIMIT ").push_bind(window.page.offset + window.page.limit).push(") AS found) AS parts");
}

fn push_scan(
    query: &mut QueryBuilder<Postgres>,
    filter: &TransactionFilter,
    search: &Search,
    window: &TransactionWindow,
    rows: i64,
) {
    query.push("(SELECT * FROM (SELECT * FROM transactions WHERE true");
    filter.push_all_but_search(query);
    push_after(query, window);
    push_order(query, window);
    query.push(" LIMIT ").push_bind(rows).push(") AS scanned WHERE ");
    text::push_match(query, search);
    push_order(query, window);
    window.page.push_limits(query);
    query.push(") AS page");
}

/// Finds all matches before sorting them (`MATERIALIZED`): otherwise the planner would scan in sort order and compare each row.
fn push_indexed(
    query: &mut QueryBuilder<Postgres>,
    filter: &TransactionFilter,
    (search, fields): (&Search, &[&str]),
    window: &TransactionWindow,
) {
    query.push(
        "transactions WHERE id IN (WITH matching AS MATERIALIZED (SELECT id, created_at, updated_at, amount FROM transactions WHERE ",
    );
    text::push_indexed_match(query, fields, search);
    filter.push_all_but_search(query);
    push_after(query, window);
    query.push(") SELECT id FROM matching");
    push_order(query, window);
    window.page.push_limits(query);
    query.push(")");
}

fn push_after(query: &mut QueryBuilder<Postgres>, window: &TransactionWindow) {
    let Some(after) = window.page.after else { return };
    let beyond = if window.order == SortOrder::Desc { "<" } else { ">" };
    query.push(format!(" AND ({}, id) {beyond} (", window.sort_by.expression()));
    match after.at {
        SortValue::Time(time) => query.push_bind(time),
        SortValue::Amount(amount) => query.push_bind(amount),
    };
    query.push(", ").push_bind(after.id).push(")");
}

fn push_order(query: &mut QueryBuilder<Postgres>, window: &TransactionWindow) {
    let (sorted, direction) = (window.sort_by.expression(), window.order.as_str());
    query.push(format!(" ORDER BY {sorted} {direction}, id {direction}"));
}
