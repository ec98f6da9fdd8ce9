//! A transaction as listings and exports read it.
//!
//! Columns are read by position, not by name as `#[derive(FromRow)]` does: an export reads millions of rows, and looking up the
//! names took as long as reading the values.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{Decode, FromRow, Postgres, Row, Type};
use uuid::Uuid;

use super::{SortBy, SortValue, TransactionCursor};
use crate::db::DbError;
use crate::db::transactions::exchange_rates::read_origin;
use crate::domain::exchange_rate::RateOrigin;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// Declares the struct, its columns and its `FromRow` from one list, so that they have the same order. A field is `required`,
/// the `name` of an enum value, or optional with its column type.
macro_rules! found_transaction {
    ($($field:ident: $type:ty, $kind:ident;)+) => {
        /// A stored transaction without its raw record. The fields are those of `domain::transaction::Transaction`.
        #[derive(Debug, Clone, PartialEq)]
        pub struct FoundTransaction {
            $(pub $field: $type,)+
            /// `None` if there is no exchange rate.
            pub rate_origin: Option<RateOrigin>,
        }

        const COLUMNS: &[Column] = &[
            $(Column { name: stringify!($field), expression: stringify!($field), kind: stringify!($kind) },)+
            // The process that wrote a rate without an origin knew only the rates in records.
            Column {
                name: "exchange_rate_origin",
                expression: "CASE WHEN exchange_rate IS NOT NULL THEN COALESCE(rate_origin, 'record') END",
                kind: "required",
            },
            // Read together with the origin.
            Column { name: "exchange_rate_at", expression: "rate_at", kind: "required" },
        ];

        impl FromRow<'_, PgRow> for FoundTransaction {
            fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
                let mut cells = Cells { row, index: 0 };
                Ok(Self {
                    $($field: found_transaction!(@read cells $field $type, $kind),)+
                    rate_origin: read_origin(cells.next()?, cells.next()?)?,
                })
            }
        }
    };
    (@read $cells:ident $field:ident $type:ty, name) => {
        $cells.name(concat!("transactions.", stringify!($field)), <$type>::from_name)?
    };
    (@read $cells:ident $field:ident $type:ty, $kind:ident) => {
        $cells.next()?
    };
}

found_transaction! {
    id: Uuid, required;
    source: Source, name;
    kind: Kind, name;
    source_id: String, required;
    reference_id: Option<String>, text;
    client_operation_id: Option<String>, text;
    order_id: Option<String>, text;
    project: Option<String>, text;
    merchant_id: Option<String>, text;
    amount: Decimal, required;
    paid_amount: Option<Decimal>, numeric;
    currency: String, required;
    amount_usd: Option<Decimal>, numeric;
    fee: Option<Decimal>, numeric;
    fee_usd: Option<Decimal>, numeric;
    exchange_rate: Option<Decimal>, numeric;
    status: Status, name;
    original_status: Option<String>, text;
    user_id: Option<String>, text;
    user_email: Option<String>, text;
    user_phone: Option<String>, text;
    user_name: Option<String>, text;
    country: Option<String>, text;
    utr: Option<String>, text;
    payment_method: Option<String>, text;
    payment_product: Option<String>, text;
    created_at: DateTime<Utc>, required;
    updated_at: Option<DateTime<Utc>>, timestamptz;
    completed_at: Option<DateTime<Utc>>, timestamptz;
    ingested_at: DateTime<Utc>, required;
}

impl FoundTransaction {
    /// The id that the other source has too.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self.source {
            Source::Vima => self.client_operation_id.as_deref(),
            Source::Payshack => self.order_id.as_deref(),
        }
    }

    #[must_use]
    pub fn cursor(&self, sort_by: SortBy) -> TransactionCursor {
        let at = match sort_by {
            SortBy::CreatedAt => SortValue::Time(self.created_at),
            SortBy::UpdatedAt => SortValue::Time(self.updated_at.unwrap_or(self.created_at)),
            SortBy::Amount => SortValue::Amount(self.amount),
        };
        TransactionCursor { at, id: self.id }
    }
}

struct Column {
    /// In the API.
    name: &'static str,
    /// In SQL.
    expression: &'static str,
    kind: &'static str,
}

impl Column {
    fn is_optional(&self) -> bool {
        !matches!(self.kind, "required" | "name")
    }
}

static ALL_COLUMNS: LazyLock<String> = LazyLock::new(|| columns(|_| true));

/// The columns of a statement that reads [`FoundTransaction`].
pub(in crate::db) fn all_columns() -> &'static str {
    &ALL_COLUMNS
}

/// The same columns, but optional ones that are not `wanted` are null, which saves sending them.
pub(in crate::db) fn columns(wanted: impl Fn(&str) -> bool) -> String {
    let expressions = COLUMNS.iter().map(|column| {
        let is_read = wanted(column.name) || !column.is_optional();
        if is_read { column.expression.to_owned() } else { format!("NULL::{}", column.kind) }
    });
    expressions.collect::<Vec<_>>().join(", ")
}

/// Reads the values of a row one after the other.
struct Cells<'row> {
    row: &'row PgRow,
    index: usize,
}

impl<'row> Cells<'row> {
    /// Does not check the type of the column again: [`COLUMNS`] determines it.
    fn next<T: Decode<'row, Postgres> + Type<Postgres>>(&mut self) -> Result<T, sqlx::Error> {
        self.index += 1;
        self.row.try_get_unchecked(self.index - 1)
    }

    fn name<T>(&mut self, column: &'static str, from_name: fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
        let name: &str = self.next()?;
        from_name(name).ok_or_else(|| sqlx::Error::Decode(DbError::impossible(column, name).into()))
    }
}
