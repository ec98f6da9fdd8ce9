//! Payments as they are searched and shown.
//!
//! The listing's statement is put together at run time: the filters are optional, and a statement that holds them all at
//! once (`$1 IS NULL OR ...`) would leave the planner no index to choose. `filter` is what is asked for, `search` how a part
//! of a text is found, `list` gives a page of it and `count` says how many there are.

mod count;
pub mod export;
mod filter;
mod list;
mod search;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

pub use count::count;
pub use filter::{Filter, Known, Search};
pub use list::list;

use super::DbError;
use super::exchange_rates::FoundOrigin;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
