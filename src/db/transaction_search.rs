//! Payments as they are searched and shown.
//!
//! The listing's statement is put together at run time: the filters are optional, and a statement that holds them all at
//! once (`$1 IS NULL OR ...`) would leave the planner no index to choose.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::DbError;
use super::count::{Count, MOST_VISITED};
use super::exchange_rates::FoundOrigin;
use super::metric_sums;
use crate::domain::metrics::cover::Stretch;
use crate::domain::metrics::question::{self, Question};
use crate::domain::metrics::slots::Slots;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// Which payments are looked for. An empty list stands for every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who told of them.
    pub sources: Vec<Source>,
    /// Pay-ins or pay-outs.
    pub kinds: Vec<Kind>,
    /// The merchant's projects.
    pub projects: Vec<String>,
    /// Their states.
    pub statuses: Vec<Status>,
    /// Their currencies.
    pub currencies: Vec<String>,
    /// The payers' countries.
    pub countries: Vec<String>,
    /// How they were paid.
    pub payment_methods: Vec<String>,
    /// The merchant's accounts.
    pub merchant_ids: Vec<String>,
    /// The smallest amount.
    pub min_amount: Option<Decimal>,
    /// The largest amount.
    pub max_amount: Option<Decimal>,
    /// Created then or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before.
    pub until: Option<DateTime<Utc>>,
    /// A part of one of their ids, or of what they say of the payer.
    pub search: Option<Search>,
}

/// A part of a text that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The part.
    pub text: String,
    /// Whether it is also looked for in what is personal.
    pub personal: bool,
}

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// When the payment came to be.
    #[default]
    CreatedAt,
    /// When it last changed; one that never did changed last when it came to be.
    UpdatedAt,
    /// Its amount.
    Amount,
}

impl SortBy {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::CreatedAt, Self::UpdatedAt, Self::Amount];

    /// The name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Amount => "amount",
        }
    }

    /// The choice of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == name)
    }

    fn expression(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "COALESCE(updated_at, created_at)",
            Self::Amount => "amount",
        }
    }
}

/// Which end of a listing comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest or largest.
    #[default]
    Desc,
    /// The oldest or smallest.
    Asc,
}

impl Order {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Desc, Self::Asc];

    /// The name in the contract, and in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desc => "desc",
            Self::Asc => "asc",
        }
    }

    /// The order of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == name)
    }
}

/// A payment's place in a sorted listing: what it is sorted by, then its id, so that no two share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    at: SortValue,
    id: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum SortValue {
    Time(DateTime<Utc>),
    Amount(Decimal),
}

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// What it is sorted by.
    pub sort_by: SortBy,
    /// Which end comes first.
    pub order: Order,
    /// It begins after this place.
    pub after: Option<Place>,
    /// Then so many payments are passed over.
    pub offset: i64,
    /// So many are wanted.
    pub limit: i64,
}

/// A payment as it is shown. The fields are those of `domain::transaction::Transaction`.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[expect(missing_docs, reason = "the names are the domain's, and documented there")]
pub struct Found {
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub source: Source,
    #[sqlx(try_from = "String")]
    pub kind: Kind,
    pub source_id: String,
    pub reference_id: Option<String>,
    pub client_operation_id: Option<String>,
    pub order_id: Option<String>,
    pub project: Option<String>,
    pub merchant_id: Option<String>,
    pub amount: Decimal,
    pub paid_amount: Option<Decimal>,
    pub currency: String,
    pub amount_usd: Option<Decimal>,
    pub fee: Option<Decimal>,
    pub fee_usd: Option<Decimal>,
    pub exchange_rate: Option<Decimal>,
    #[sqlx(flatten)]
    pub rate_origin: FoundOrigin,
    #[sqlx(try_from = "String")]
    pub status: Status,
    pub original_status: Option<String>,
    pub user_id: Option<String>,
    pub user_email: Option<String>,
    pub user_phone: Option<String>,
    pub user_name: Option<String>,
    pub country: Option<String>,
    pub utr: Option<String>,
    pub payment_method: Option<String>,
    pub payment_product: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub ingested_at: DateTime<Utc>,
}

impl Found {
    /// Its place in a listing sorted by `sort_by`.
    #[must_use]
    pub fn place(&self, sort_by: SortBy) -> Place {
        let at = match sort_by {
            SortBy::CreatedAt => SortValue::Time(self.created_at),
            SortBy::UpdatedAt => SortValue::Time(self.updated_at.unwrap_or(self.created_at)),
            SortBy::Amount => SortValue::Amount(self.amount),
        };
        Place { at, id: self.id }
    }
}

/// The columns of [`Found`]. A rate without an origin was written by a process that knew no rate but the record's.
pub(super) const COLUMNS: &str = "id, source, kind, source_id, reference_id, client_operation_id, order_id, project, merchant_id, \
    amount, paid_amount, currency, amount_usd, fee, fee_usd, exchange_rate, status, original_status, user_id, user_email, \
    user_phone, user_name, country, utr, payment_method, payment_product, created_at, updated_at, completed_at, \
    ingested_at, CASE WHEN exchange_rate IS NOT NULL THEN COALESCE(rate_origin, 'record') END AS rate_origin, rate_at";

/// The payments of one part of a listing.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(pool: &PgPool, filter: &Filter, window: &Window) -> Result<Vec<Found>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM transactions WHERE true"));
    filter.push_time(&mut query);
    filter.push_rest(&mut query);
    let (sorted, direction) = (window.sort_by.expression(), window.order.as_str());
    if let Some(after) = window.after {
        let beyond = if window.order == Order::Desc { "<" } else { ">" };
        query.push(format!(" AND ({sorted}, id) {beyond} ("));
        match after.at {
            SortValue::Time(time) => query.push_bind(time),
            SortValue::Amount(amount) => query.push_bind(amount),
        };
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(format!(" ORDER BY {sorted} {direction}, id {direction} OFFSET ")).push_bind(window.offset);
    query.push(" LIMIT ").push_bind(window.limit);
    Ok(query.build_query_as().fetch_all(pool).await?)
}

/// Counts what `filter` finds: from the cells of the metrics where they know every dimension that is asked for, else one
/// by one among the newest.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Count, DbError> {
    if filter.search.is_none() && filter.min_amount.is_none() && filter.max_amount.is_none() {
        Ok(Count { total: count_cells(pool, filter).await?, exact: true })
    } else {
        count_newest(pool, filter).await
    }
}

async fn count_cells(pool: &PgPool, filter: &Filter) -> Result<u64, DbError> {
    let sums = metric_sums::list(pool, &Question::new(filter.dimensions(), filter.slots())).await?;
    Ok(sums.iter().map(|sum| sum.measures.count.unsigned_abs()).sum())
}

async fn count_newest(pool: &PgPool, filter: &Filter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    filter.push_rest(&mut query);
    query.push(") AS found FROM transactions WHERE true");
    filter.push_time(&mut query);
    query.push(" ORDER BY created_at DESC LIMIT ").push_bind(MOST_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().fetch_one(pool).await?;
    Ok(Count::among(found, visited))
}

impl Filter {
    /// What the metrics know of it.
    fn dimensions(&self) -> question::Filter {
        question::Filter {
            sources: self.sources.clone(),
            kinds: self.kinds.clone(),
            projects: self.projects.clone(),
            statuses: self.statuses.clone(),
            currencies: self.currencies.clone(),
            merchant_ids: self.merchant_ids.clone(),
            countries: self.countries.clone(),
            payment_methods: self.payment_methods.clone(),
        }
    }

    fn slots(&self) -> Slots {
        Slots::one(Stretch {
            from: self.from.unwrap_or(Stretch::ALL.from),
            until: self.until.unwrap_or(Stretch::ALL.until),
        })
    }

    fn push_time(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(from) = self.from {
            query.push(" AND created_at >= ").push_bind(from);
        }
        if let Some(until) = self.until {
            query.push(" AND created_at < ").push_bind(until);
        }
    }

    fn push_rest(&self, query: &mut QueryBuilder<Postgres>) {
        let text = |values: &[&'static str]| values.iter().map(|&value| value.to_owned()).collect();
        push_list(query, "source", text(&names(&self.sources, Source::as_str)));
        push_list(query, "kind", text(&names(&self.kinds, Kind::as_str)));
        push_list(query, "project", self.projects.clone());
        push_list(query, "status", text(&names(&self.statuses, Status::as_str)));
        push_list(query, "currency", self.currencies.clone());
        push_list(query, "country", self.countries.clone());
        push_list(query, "payment_method", self.payment_methods.clone());
        push_list(query, "merchant_id", self.merchant_ids.clone());
        if let Some(least) = self.min_amount {
            query.push(" AND amount >= ").push_bind(least);
        }
        if let Some(most) = self.max_amount {
            query.push(" AND amount <= ").push_bind(most);
        }
        if let Some(search) = &self.search {
            search.push(query);
        }
    }
}

fn push_list(query: &mut QueryBuilder<Postgres>, column: &str, values: Vec<String>) {
    if !values.is_empty() {
        query.push(format!(" AND {column} = ANY(")).push_bind(values).push(")");
    }
}

impl Search {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        const IDS: &[&str] = &["source_id", "reference_id", "client_operation_id", "order_id", "utr"];
        const PERSONAL: &[&str] = &["user_email", "user_phone", "user_name"];
        let pattern = format!("%{}%", escape_like(&self.text));
        let personal = if self.personal { PERSONAL } else { &[] };
        query.push(" AND (false");
        for column in IDS.iter().chain(personal) {
            query.push(format!(" OR {column} ILIKE ")).push_bind(pattern.clone());
        }
        query.push(")");
    }
}

/// The names of values, as the columns hold them.
pub(super) fn names<T: Copy>(values: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    values.iter().map(|value| name(*value)).collect()
}

/// The text, so that `LIKE` takes every character of it for itself.
pub(super) fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

impl TryFrom<String> for Source {
    type Error = DbError;

    fn try_from(name: String) -> Result<Self, DbError> {
        Self::from_name(&name).ok_or_else(|| DbError::impossible("transactions.source", name))
    }
}

impl TryFrom<String> for Kind {
    type Error = DbError;

    fn try_from(name: String) -> Result<Self, DbError> {
        Self::from_name(&name).ok_or_else(|| DbError::impossible("transactions.kind", name))
    }
}

impl TryFrom<String> for Status {
    type Error = DbError;

    fn try_from(name: String) -> Result<Self, DbError> {
        Self::from_name(&name).ok_or_else(|| DbError::impossible("transactions.status", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_every_character_literally() {
        for (text, expected) in [("abc", "abc"), ("50%", r"50\%"), ("a_b", r"a\_b"), (r"c:\d", r"c:\\d")] {
            assert_eq!(escape_like(text), expected);
        }
    }
}
