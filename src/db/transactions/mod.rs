//! Payments: what is known of them, and what is written.
//!
//! Whether a telling is newer is decided by `domain::version`; here the decision is carried out for a whole page in one
//! statement. The statement still guards itself by the content it expects to replace, so that a writer that forgot to
//! take its turn is found out instead of losing a change.

pub mod detail;
pub mod exchange_rates;
pub(crate) mod filter;
pub mod missing_usd;
pub mod search;

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::DbError;
use crate::domain::exchange_rate::Valuation;
use crate::domain::metrics::amount_band::AmountBand;
use crate::domain::metrics::cell::{Contribution, Dimensions, Measures, Width};
use crate::domain::status::Status;
use crate::domain::transaction::{ContentHash, Kind, Source, Transaction};
use crate::domain::upsert::StoredVersion;
use crate::domain::version::{SequenceId, Version};

/// Waits for this transaction's turn to write payments of `source`, and keeps it until the end of the transaction.
///
/// For the same time PostgreSQL plans as if every table were large. Left alone it keeps a plan that it made while
/// `transactions` was empty, reading all of it, until the table is next analysed: the first sync became slower with every
/// page. Planning each statement anew was rejected: with the statistics of one source it picks the wrong index for the
/// other.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn lock_source(connection: &mut PgConnection, source: Source) -> Result<(), DbError> {
    sqlx::query!(
        r#"SELECT set_config('enable_seqscan', 'off', true) AS scans,
                  set_config('plan_cache_mode', 'force_generic_plan', true) AS plans,
                  pg_advisory_xact_lock(hashtextextended('transactions:' || $1, 0)) AS turn"#,
        source.as_str()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// A payment as it is stored, as far as a newer telling of it needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingTransaction {
    /// Its id here.
    pub id: Uuid,
    /// Its version, content and status.
    pub known: StoredVersion,
    /// Its place in the metrics.
    pub share: Contribution,
    /// Its amount.
    pub amount: Decimal,
}

struct ExistingRow {
    id: Uuid,
    source_id: String,
    version_sequence: Option<String>,
    version_modified_at: Option<DateTime<Utc>>,
    content_hash: Vec<u8>,
    replaced_in_place: bool,
    project: Option<String>,
    merchant_id: Option<String>,
    country: Option<String>,
    payment_method: Option<String>,
    currency: String,
    status: String,
    amount: Decimal,
    amount_usd: Option<Decimal>,
    fee: Option<Decimal>,
    fee_usd: Option<Decimal>,
    created_at: DateTime<Utc>,
}

impl ExistingRow {
    fn into_existing(self, source: Source, kind: Kind) -> Result<(String, ExistingTransaction), DbError> {
        let status =
            Status::from_name(&self.status).ok_or_else(|| DbError::impossible("transactions.status", &*self.status))?;
        let sequence = self.version_sequence.map(|text| text.parse::<SequenceId>()).transpose();
        let known = StoredVersion {
            version: Version {
                sequence: sequence.map_err(|error| DbError::impossible("version_sequence", error.to_string()))?,
                modified_at: self.version_modified_at,
            },
            content: ContentHash(
                self.content_hash.try_into().map_err(|_| DbError::impossible("content_hash", "not 16 bytes"))?,
            ),
            status,
            replaced_in_place: self.replaced_in_place,
        };
        let share = Contribution {
            dimensions: Dimensions {
                quarter: Width::Quarter.start(self.created_at),
                source,
                kind,
                project: self.project.unwrap_or_default(),
                merchant_id: self.merchant_id.unwrap_or_default(),
                country: self.country.unwrap_or_default(),
                payment_method: self.payment_method.unwrap_or_default(),
                amount_band: AmountBand::from_amount(self.amount),
                currency: self.currency,
                status,
            },
            measures: Measures {
                count: 1,
                amount: self.amount,
                amount_usd: self.amount_usd.unwrap_or_default(),
                fee: self.fee.unwrap_or_default(),
                fee_usd: self.fee_usd.unwrap_or_default(),
                usd_missing: i64::from(self.amount_usd.is_none()),
            },
        };
        Ok((self.source_id, ExistingTransaction { id: self.id, known, share, amount: self.amount }))
    }
}

/// What is stored of these payments, by their ids at the provider. One look into the index for each, said so that no plan
/// can read more: `source_id = ANY(...)` was planned as a filter over all of the source.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list_existing(
    connection: &mut PgConnection,
    source: Source,
    kind: Kind,
    source_ids: &[String],
) -> Result<HashMap<String, ExistingTransaction>, DbError> {
    let rows = sqlx::query_as!(
        ExistingRow,
        r#"SELECT stored.id, stored.source_id, version_sequence::text, version_modified_at, content_hash,
                  replaced_in_place, project, merchant_id, country, payment_method, currency, status, amount, amount_usd,
                  fee, fee_usd, created_at
             FROM UNNEST($3::text[]) AS wanted (source_id)
            CROSS JOIN LATERAL (
                  SELECT * FROM transactions
                   WHERE source = $1 AND kind = $2 AND transactions.source_id = wanted.source_id LIMIT 1) AS stored"#,
        source.as_str(),
        kind.as_str(),
        source_ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.into_existing(source, kind)).collect()
}

/// A payment that is to be written.
#[derive(Debug)]
pub struct TransactionWrite<'page> {
    /// Its id here: its own if it is stored already, else a new one.
    pub id: Uuid,
    /// The content that it replaces; none where it is new.
    pub expected: Option<ContentHash>,
    /// Its content.
    pub content: ContentHash,
    /// Whether it replaces a content of the same version.
    pub replaced_in_place: bool,
    /// What the provider said.
    pub payment: &'page Transaction,
    /// What it is worth in US dollars, where a rate is known.
    pub valuation: Option<Valuation>,
}

impl TransactionWrite<'_> {
    fn sequence(&self) -> Option<String> {
        self.payment.version.sequence.map(|sequence| sequence.to_string())
    }

    fn expected(&self) -> Option<&[u8]> {
        self.expected.as_ref().map(|hash| hash.0.as_slice())
    }

    fn rate_origin(&self) -> Option<&'static str> {
        self.valuation.map(|valuation| valuation.origin.as_str())
    }

    fn rate_at(&self) -> Option<DateTime<Utc>> {
        self.valuation.and_then(|valuation| valuation.origin.fetched_at())
    }
}

/// Writes the payments, all in one statement, in the order given (callers sort, so that writers never wait in a circle).
///
/// # Errors
/// [`DbError::Conflict`] where a row is not what it was expected to be; nothing may be committed then.
pub async fn upsert(
    connection: &mut PgConnection,
    writes: &[TransactionWrite<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if writes.is_empty() {
        return Ok(());
    }
    let text = |field: fn(&Transaction) -> &Option<String>| -> Vec<Option<&str>> {
        writes.iter().map(|write| field(write.payment).as_deref()).collect()
    };
    let money = |field: fn(&Transaction) -> Option<Decimal>| -> Vec<Option<Decimal>> {
        writes.iter().map(|write| field(write.payment)).collect()
    };
    let time = |field: fn(&Transaction) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        writes.iter().map(|write| field(write.payment)).collect()
    };
    let valued = |field: fn(&Valuation) -> Option<Decimal>| -> Vec<Option<Decimal>> {
        writes.iter().map(|write| write.valuation.as_ref().and_then(field)).collect()
    };
    let written = sqlx::query!(
        r#"INSERT INTO transactions AS stored
                  (id, source, kind, source_id, version_sequence, version_modified_at, content_hash, replaced_in_place,
                   reference_id, client_operation_id, order_id, project, merchant_id, amount, paid_amount, currency,
                   amount_usd, fee, fee_usd, exchange_rate, status, original_status, user_id, user_email, user_phone,
                   user_name, country, utr, payment_method, payment_product, created_at, updated_at, completed_at,
                   raw_data, rate_origin, rate_at, ingested_at)
           SELECT id, source, kind, source_id, version_sequence::numeric, version_modified_at, content_hash,
                  replaced_in_place, reference_id, client_operation_id, order_id, project, merchant_id, amount,
                  paid_amount, currency, amount_usd, fee, fee_usd, exchange_rate, status, original_status, user_id,
                  user_email, user_phone, user_name, country, utr, payment_method, payment_product, created_at,
                  updated_at, completed_at, raw_data::json, rate_origin, rate_at, $35
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[],
                         $8::boolean[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::numeric[],
                         $15::numeric[], $16::text[], $17::numeric[], $18::numeric[], $19::numeric[], $20::numeric[],
                         $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[],
                         $28::text[], $29::text[], $30::text[], $31::timestamptz[], $32::timestamptz[],
                         $33::timestamptz[], $34::text[], $37::text[], $38::timestamptz[])
                  AS page (id, source, kind, source_id, version_sequence, version_modified_at, content_hash,
                           replaced_in_place, reference_id, client_operation_id, order_id, project, merchant_id, amount,
                           paid_amount, currency, amount_usd, fee, fee_usd, exchange_rate, status, original_status,
                           user_id, user_email, user_phone, user_name, country, utr, payment_method, payment_product,
                           created_at, updated_at, completed_at, raw_data, rate_origin, rate_at)
               ON CONFLICT (source, kind, source_id) DO UPDATE
              SET version_sequence = excluded.version_sequence, version_modified_at = excluded.version_modified_at,
                  content_hash = excluded.content_hash, replaced_in_place = excluded.replaced_in_place,
                  reference_id = excluded.reference_id, client_operation_id = excluded.client_operation_id,
                  order_id = excluded.order_id, project = excluded.project, merchant_id = excluded.merchant_id,
                  amount = excluded.amount, paid_amount = excluded.paid_amount, currency = excluded.currency,
                  amount_usd = excluded.amount_usd, fee = excluded.fee, fee_usd = excluded.fee_usd,
                  exchange_rate = excluded.exchange_rate, status = excluded.status,
                  original_status = excluded.original_status, user_id = excluded.user_id,
                  user_email = excluded.user_email, user_phone = excluded.user_phone, user_name = excluded.user_name,
                  country = excluded.country, utr = excluded.utr, payment_method = excluded.payment_method,
                  payment_product = excluded.payment_product, created_at = excluded.created_at,
                  updated_at = excluded.updated_at, completed_at = excluded.completed_at, raw_data = excluded.raw_data,
                  rate_origin = excluded.rate_origin, rate_at = excluded.rate_at
            WHERE stored.content_hash = ($36::bytea[])[array_position($4, excluded.source_id)]"#,
        &writes.iter().map(|write| write.id).collect::<Vec<_>>(),
        &writes.iter().map(|write| write.payment.key.source.as_str()).collect::<Vec<_>>() as &[&str],
        &writes.iter().map(|write| write.payment.key.kind.as_str()).collect::<Vec<_>>() as &[&str],
        &writes.iter().map(|write| write.payment.key.source_id.as_str()).collect::<Vec<_>>() as &[&str],
        &writes.iter().map(TransactionWrite::sequence).collect::<Vec<_>>() as &[Option<String>],
        &time(|payment| payment.version.modified_at) as &[Option<DateTime<Utc>>],
        &writes.iter().map(|write| write.content.0.as_slice()).collect::<Vec<_>>() as &[&[u8]],
        &writes.iter().map(|write| write.replaced_in_place).collect::<Vec<_>>(),
        &text(|payment| &payment.reference_id) as &[Option<&str>],
        &text(|payment| &payment.client_operation_id) as &[Option<&str>],
        &text(|payment| &payment.order_id) as &[Option<&str>],
        &text(|payment| &payment.project) as &[Option<&str>],
        &text(|payment| &payment.merchant_id) as &[Option<&str>],
        &writes.iter().map(|write| write.payment.amount).collect::<Vec<_>>(),
        &money(|payment| payment.paid_amount) as &[Option<Decimal>],
        &writes.iter().map(|write| write.payment.currency.as_str()).collect::<Vec<_>>() as &[&str],
        &valued(|valuation| valuation.amount_usd) as &[Option<Decimal>],
        &money(|payment| payment.fee) as &[Option<Decimal>],
        &valued(|valuation| valuation.fee_usd) as &[Option<Decimal>],
        &valued(|valuation| Some(valuation.exchange_rate)) as &[Option<Decimal>],
        &writes.iter().map(|write| write.payment.status.as_str()).collect::<Vec<_>>() as &[&str],
        &text(|payment| &payment.original_status) as &[Option<&str>],
        &text(|payment| &payment.user_id) as &[Option<&str>],
        &text(|payment| &payment.user_email) as &[Option<&str>],
        &text(|payment| &payment.user_phone) as &[Option<&str>],
        &text(|payment| &payment.user_name) as &[Option<&str>],
        &text(|payment| &payment.country) as &[Option<&str>],
        &text(|payment| &payment.utr) as &[Option<&str>],
        &text(|payment| &payment.payment_method) as &[Option<&str>],
        &text(|payment| &payment.payment_product) as &[Option<&str>],
        &writes.iter().map(|write| write.payment.created_at).collect::<Vec<_>>(),
        &time(|payment| payment.updated_at) as &[Option<DateTime<Utc>>],
        &time(|payment| payment.completed_at) as &[Option<DateTime<Utc>>],
        &writes.iter().map(|write| write.payment.raw.as_str()).collect::<Vec<_>>() as &[&str],
        now,
        &writes.iter().map(TransactionWrite::expected).collect::<Vec<_>>() as &[Option<&[u8]>],
        &writes.iter().map(TransactionWrite::rate_origin).collect::<Vec<_>>() as &[Option<&str>],
        &writes.iter().map(TransactionWrite::rate_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await?
    .rows_affected();
    if written == writes.len() as u64 { Ok(()) } else { Err(DbError::Conflict("a payment")) }
}

/// A payment that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The provider's id.
    pub source_id: String,
    /// The day it was created on (UTC).
    pub day: NaiveDate,
}

/// Payments that have not come to their end, created in `from..until`, oldest first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list_open(
    pool: &PgPool,
    source: Source,
    kind: Kind,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<OpenTransaction>, DbError> {
    let open = sqlx::query_as!(
        OpenTransaction,
        r#"SELECT source_id, (created_at AT TIME ZONE 'UTC')::date AS "day!" FROM transactions
            WHERE source = $1 AND kind = $2 AND status IN ('pending', 'processing')
              AND created_at >= $3 AND created_at < $4
            ORDER BY created_at, id"#,
        source.as_str(),
        kind.as_str(),
        from,
        until
    )
    .fetch_all(pool)
    .await?;
    Ok(open)
}

/// A change of a payment's status or amount.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionChange {
    /// The payment.
    pub transaction_id: Uuid,
    /// When it changed, by the provider's clock.
    pub changed_at: Option<DateTime<Utc>>,
    /// The status before and after.
    pub status: (Status, Status),
    /// The amount before and after.
    pub amount: (Decimal, Decimal),
}

/// Writes changes into the history, found by the run `run_id`, or outside of any.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert_changes(
    connection: &mut PgConnection,
    changes: &[TransactionChange],
    run_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if changes.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO transaction_changes
                  (transaction_id, changed_at, old_status, new_status, old_amount, new_amount, run_id, recorded_at)
           SELECT changed.*, $7::uuid, $8::timestamptz
             FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::numeric[], $6::numeric[]) AS changed"#,
        &changes.iter().map(|change| change.transaction_id).collect::<Vec<_>>(),
        &changes.iter().map(|change| change.changed_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &changes.iter().map(|change| change.status.0.as_str()).collect::<Vec<_>>() as &[&str],
        &changes.iter().map(|change| change.status.1.as_str()).collect::<Vec<_>>() as &[&str],
        &changes.iter().map(|change| change.amount.0).collect::<Vec<_>>(),
        &changes.iter().map(|change| change.amount.1).collect::<Vec<_>>(),
        run_id,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
