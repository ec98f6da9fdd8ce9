//! Lists, searches and counts transactions.
//!
//! Statements are built at run time: filters are optional, and with all of them in one statement (`$1 IS NULL OR ...`) the planner
//! could use no index.

mod count;
pub mod export;
mod filter;
mod found;
mod list;
mod text;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use count::count;
pub use filter::{RollupCount, Search, TransactionFilter};
pub use found::FoundTransaction;
pub(in crate::db) use found::all_columns;
pub use list::list;
pub use text::has_trigrams;

pub use crate::db::page::SortOrder;

use crate::db::page::PageWindow;
use crate::domain::string_enum::string_enum;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum SortBy {
        #[default]
        CreatedAt = "created_at",
        /// The time of the last change, or of the creation if there was none.
        UpdatedAt = "updated_at",
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

/// A transaction's position in a sorted listing: the sort value, then its id, which makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TransactionCursor {
    at: SortValue,
    id: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum SortValue {
    Time(DateTime<Utc>),
    Amount(Decimal),
}

/// The order of a listing, and which rows of it to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionWindow {
    pub sort_by: SortBy,
    pub order: SortOrder,
    pub page: PageWindow<TransactionCursor>,
}
