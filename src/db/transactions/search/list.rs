//! A page of a listing.
//!
//! Whatever is passed over, or found by the index of texts, is found by id first, and only what is shown is read as a whole.
//!
//! Nobody knows beforehand how frequent a text is that is searched for, PostgreSQL's planner least. A frequent one is found
//! among the first payments of the listing, of which as many are looked at as costs little; by the index it would be found
//! a million times. What does not fill a page there is rare enough for the index, but for what lies between: of that, a few
//! turned up already, and the page will be full further on.

use sqlx::{PgPool, Postgres, QueryBuilder};

use super::{
    FoundTransaction, Search, SortOrder, SortValue, TransactionFilter, TransactionWindow, all_columns, search,
};
use crate::db::DbError;

/// How many payments are looked at for a text, one by one, and how many the look before must have found to make that worth
/// while. Five of four thousand mean more than ten thousand among ten million, and to read those costs more than to pass by
/// fifty thousand.
const LOOKS: [(i64, usize); 3] = [(500, 0), (4_000, 1), (100_000, 5)];

/// The payments of one part of a listing.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(
    pool: &PgPool,
    filter: &TransactionFilter,
    window: &TransactionWindow,
) -> Result<Vec<FoundTransaction>, DbError> {
    let Some(search) = &filter.search else {
        return read(pool, window, |query| push_plain(query, filter, window)).await;
    };
    let mut found = 0;
    for (rows, worth) in LOOKS {
        // What is passed over does not come to be seen here, so that nothing is known of how many there were.
        if window.page.offset == 0 && found < worth {
            break;
        }
        let page = read(pool, window, |query| push_look(query, filter, search, window, rows)).await?;
        if i64::try_from(page.len()).is_ok_and(|found| found >= window.page.limit) {
            return Ok(page);
        }
        found = page.len();
    }
    read(pool, window, |query| push_indexed(query, filter, search, window)).await
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

/// Where nothing is passed over, what is found is read at once: to look it up by id once more costs more than to find it.
fn push_plain(query: &mut QueryBuilder<Postgres>, filter: &TransactionFilter, window: &TransactionWindow) {
    let columns = if window.page.offset == 0 { "*" } else { "id" };
    query.push(if window.page.offset == 0 { "(" } else { "transactions WHERE id IN (" });
    query.push(format!("SELECT {columns} FROM transactions WHERE true"));
    filter.push_all_but_search(query);
    push_after(query, window);
    push_order(query, window);
    push_part(query, window);
    query.push(if window.page.offset == 0 { ") AS page" } else { ")" });
}

fn push_look(
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
    query.push(" LIMIT ").push_bind(rows).push(") AS looked_at WHERE ");
    search::push_match(query, search);
    push_order(query, window);
    push_part(query, window);
    query.push(") AS page");
}

/// All that match are found before they are sorted: asked for the first in order, the planner would walk through the order
/// and compare.
fn push_indexed(
    query: &mut QueryBuilder<Postgres>,
    filter: &TransactionFilter,
    search: &Search,
    window: &TransactionWindow,
) {
    query.push(
        "transactions WHERE id IN (WITH matching AS MATERIALIZED (SELECT id, created_at, updated_at, amount FROM transactions WHERE ",
    );
    search::push_indexed_match(query, search);
    filter.push_all_but_search(query);
    push_after(query, window);
    query.push(") SELECT id FROM matching");
    push_order(query, window);
    push_part(query, window);
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

fn push_part(query: &mut QueryBuilder<Postgres>, window: &TransactionWindow) {
    query.push(" OFFSET ").push_bind(window.page.offset).push(" LIMIT ").push_bind(window.page.limit);
}
