//! A payment as it is found, and how its row is read.
//!
//! By the places of its columns, not by their names as the derive does it: an export reads millions, and to look a name up
//! took it as long as to read what stands there.

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

/// A payment as it is shown. The fields are those of `domain::transaction::Transaction`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are the domain's, and documented there")]
pub struct FoundTransaction {
    pub id: Uuid,
    pub source: Source,
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
    pub rate_origin: Option<RateOrigin>,
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

impl FoundTransaction {
    /// Its place in a listing sorted by `sort_by`.
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

/// A column of a payment: its name in the API, how it is read, and of which type it is where it may be absent.
struct Column(&'static str, &'static str, Option<&'static str>);

/// The columns, in the order in which a row is read.
const COLUMNS: [Column; 32] = [
    Column("id", "id", None),
    Column("source", "source", None),
    Column("kind", "kind", None),
    Column("source_id", "source_id", None),
    Column("reference_id", "reference_id", Some("text")),
    Column("client_operation_id", "client_operation_id", Some("text")),
    Column("order_id", "order_id", Some("text")),
    Column("project", "project", Some("text")),
    Column("merchant_id", "merchant_id", Some("text")),
    Column("amount", "amount", None),
    Column("paid_amount", "paid_amount", Some("numeric")),
    Column("currency", "currency", None),
    Column("amount_usd", "amount_usd", Some("numeric")),
    Column("fee", "fee", Some("numeric")),
    Column("fee_usd", "fee_usd", Some("numeric")),
    Column("exchange_rate", "exchange_rate", Some("numeric")),
    Column("status", "status", None),
    Column("original_status", "original_status", Some("text")),
    Column("user_id", "user_id", Some("text")),
    Column("user_email", "user_email", Some("text")),
    Column("user_phone", "user_phone", Some("text")),
    Column("user_name", "user_name", Some("text")),
    Column("country", "country", Some("text")),
    Column("utr", "utr", Some("text")),
    Column("payment_method", "payment_method", Some("text")),
    Column("payment_product", "payment_product", Some("text")),
    Column("created_at", "created_at", None),
    Column("updated_at", "updated_at", Some("timestamptz")),
    Column("completed_at", "completed_at", Some("timestamptz")),
    Column("ingested_at", "ingested_at", None),
    // A rate without an origin was written by a process that knew no rate but the record's.
    Column(
        "exchange_rate_origin",
        "CASE WHEN exchange_rate IS NOT NULL THEN COALESCE(rate_origin, 'record') END",
        None,
    ),
    // One cannot be told without the other.
    Column("exchange_rate_at", "rate_at", None),
];

static ALL_COLUMNS: LazyLock<String> = LazyLock::new(|| columns(|_| true));

/// The columns of a statement that reads payments as a whole.
pub(in crate::db) fn all_columns() -> &'static str {
    &ALL_COLUMNS
}

/// The same where only the columns that are `wanted` are told of: of the others nothing is sent, where they may be absent.
pub(in crate::db) fn columns(wanted: impl Fn(&str) -> bool) -> String {
    let told = COLUMNS.iter().map(|Column(name, expression, absent)| match absent {
        Some(kind) if !wanted(name) => format!("NULL::{kind}"),
        _ => (*expression).to_owned(),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The cells of a row, one after the other.
struct Cells<'row> {
    row: &'row PgRow,
    place: usize,
}

impl<'row> Cells<'row> {
    /// What stands in the next one. Its type is not looked at again: the columns above are made for this.
    fn next<T: Decode<'row, Postgres> + Type<Postgres>>(&mut self) -> Result<T, sqlx::Error> {
        self.place += 1;
        self.row.try_get_unchecked(self.place - 1)
    }

    fn word<T>(&mut self, column: &'static str, read: fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
        let name: &str = self.next()?;
        read(name).ok_or_else(|| sqlx::Error::Decode(DbError::impossible(column, name).into()))
    }
}

impl FromRow<'_, PgRow> for FoundTransaction {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let mut cells = Cells { row, place: 0 };
        Ok(Self {
            id: cells.next()?,
            source: cells.word("transactions.source", Source::from_name)?,
            kind: cells.word("transactions.kind", Kind::from_name)?,
            source_id: cells.next()?,
            reference_id: cells.next()?,
            client_operation_id: cells.next()?,
            order_id: cells.next()?,
            project: cells.next()?,
            merchant_id: cells.next()?,
            amount: cells.next()?,
            paid_amount: cells.next()?,
            currency: cells.next()?,
            amount_usd: cells.next()?,
            fee: cells.next()?,
            fee_usd: cells.next()?,
            exchange_rate: cells.next()?,
            status: cells.word("transactions.status", Status::from_name)?,
            original_status: cells.next()?,
            user_id: cells.next()?,
            user_email: cells.next()?,
            user_phone: cells.next()?,
            user_name: cells.next()?,
            country: cells.next()?,
            utr: cells.next()?,
            payment_method: cells.next()?,
            payment_product: cells.next()?,
            created_at: cells.next()?,
            updated_at: cells.next()?,
            completed_at: cells.next()?,
            ingested_at: cells.next()?,
            rate_origin: read_origin(cells.next()?, cells.next()?)?,
        })
    }
}
