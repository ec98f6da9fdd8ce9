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
pub use filter::{RollupCount, Search, TransactionFilter};
pub use found::FoundTransaction;
pub(in crate::db) use found::all_columns;
pub use list::list;

use crate::db::page::PageWindow;
use crate::domain::string_enum::string_enum;

string_enum! {
    /// What a listing is sorted by.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum SortBy {
        /// When the payment came to be.
        #[default]
        CreatedAt = "created_at",
        /// When it last changed; one that never did changed last when it came to be.
        UpdatedAt = "updated_at",
        /// Its amount.
        Amount = "amount",
    }
}

impl SortBy {
    fn expression(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "COALESCE(updated_at, created_at)",
            Self::Amount => "amount",
        }
    }
}

string_enum! {
    /// Which end of a listing comes first.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum SortOrder {
        /// The newest or largest.
        #[default]
        Desc = "desc",
        /// The oldest or smallest.
        Asc = "asc",
    }
}

/// A payment's place in a sorted listing: what it is sorted by, then its id, so that no two share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionCursor {
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
pub struct TransactionWindow {
    /// What it is sorted by.
    pub sort_by: SortBy,
    /// Which end comes first.
    pub order: SortOrder,
    pub page: PageWindow<TransactionCursor>,
}
