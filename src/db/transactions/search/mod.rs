//! Payments as they are searched and shown.
//!
//! The listing's statement is put together at run time: the filters are optional, and a statement that holds them all at
//! once (`$1 IS NULL OR ...`) would leave the planner no index to choose. `filter` is what is asked for, `search` how a part
//! of a text is found, `list` gives a page of it and `count` says how many there are.

mod count;
pub mod export;
mod filter;
mod found;
mod list;
mod search;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use count::count;
pub use filter::{Filter, Known, Search};
pub use found::Found;
pub(in crate::db) use found::every_column;
pub use list::list;

use crate::db::DbError;
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
