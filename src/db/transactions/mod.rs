//! Reads and writes transactions during a sync.
//!
//! `domain::version` decides which version of a record is newer; one statement here writes the result for a whole page. It also
//! checks the content that it replaces, so that a writer that did not lock the source fails instead of losing a change.

pub mod detail;
pub mod exchange_rates;
pub(crate) mod filter;
pub mod lookup;
pub mod missing_usd;
pub mod search;
pub mod search_entries;
pub mod similar_keys;
pub mod versions;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::DbError;
use super::types::column;
use crate::domain::exchange_rate::Valuation;
use crate::domain::metrics::amount_band::AmountBand;
use crate::domain::metrics::cell::{Contribution, Dimensions, Measures, Width};
use crate::domain::status::Status;
use crate::domain::transaction::{ContentHash, Kind, Source, Transaction};
use crate::domain::upsert::{RulesGeneration, StoredVersion};
use crate::domain::version::{SequenceId, Version};

/// Locks the transactions of `source` for writing until the database transaction ends.
///
/// Until then PostgreSQL also plans as if every table were large. It would otherwise keep a plan from when `transactions` was
/// empty, which scans the table, until the next analyze: the first sync became slower with every page. Statements are not
/// compiled, because a scan that cannot be avoided counts as expensive enough for that. Planning each statement
/// separately was rejected: the statistics of one source lead to the wrong index for the other.
pub async fn lock_source(connection: &mut PgConnection, source: Source) -> Result<(), DbError> {
    sqlx::query!(
        r#"SELECT set_config('jit', 'off', true) AS jit, set_config('enable_seqscan', 'off', true) AS scans,
                  set_config('plan_cache_mode', 'force_generic_plan', true) AS plans,
                  pg_advisory_xact_lock(hashtextextended('transactions:' || $1, 0)) AS lock"#,
        source.as_str()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// What a newer version of a stored transaction is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingTransaction {
    pub id: Uuid,
    pub known: StoredVersion,
    /// Its part of the metrics.
    pub share: Contribution,
    pub amount: Decimal,
    /// Whether its payer was erased.
    pub erased: bool,
}

struct ExistingRow {
    id: Uuid,
    source_id: String,
    version_sequence: Option<String>,
    version_modified_at: Option<DateTime<Utc>>,
    content_hash: Vec<u8>,
    original_status: Option<String>,
    replaced_in_place: bool,
    rules_generation: Option<i64>,
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
    erased: bool,
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
            original_status: self.original_status,
            replaced_in_place: self.replaced_in_place,
            rules: self.rules_generation.map(RulesGeneration),
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
        Ok((
            self.source_id,
            ExistingTransaction { id: self.id, known, share, amount: self.amount, erased: self.erased },
        ))
    }
}

/// Reads the stored versions of transactions, by source id. The `LATERAL` limits every plan to one index lookup per id:
/// `source_id = ANY(...)` was planned as a filter over all rows of the source.
pub async fn list_existing(
    connection: &mut PgConnection,
    source: Source,
    kind: Kind,
    source_ids: &[String],
) -> Result<HashMap<String, ExistingTransaction>, DbError> {
    let rows = sqlx::query_as!(
        ExistingRow,
        r#"SELECT existing.id, existing.source_id, version_sequence::text, version_modified_at, content_hash,
                  original_status, replaced_in_place, rules_generation, project, merchant_id, country, payment_method,
                  currency, status, amount, amount_usd, fee, fee_usd, created_at,
                  erased_at IS NOT NULL AS "erased!"
             FROM UNNEST($3::text[]) AS incoming (source_id)
            CROSS JOIN LATERAL (
                  SELECT * FROM transactions
                   WHERE source = $1 AND kind = $2 AND transactions.source_id = incoming.source_id LIMIT 1) AS existing"#,
        source.as_str(),
        kind.as_str(),
        source_ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.into_existing(source, kind)).collect()
}

#[derive(Debug)]
pub struct TransactionWrite<'page> {
    /// The existing id, or a new one.
    pub id: Uuid,
    /// The content that it replaces; `None` if it is new.
    pub expected: Option<ContentHash>,
    pub content: ContentHash,
    /// Whether it replaces different content of the same version.
    pub replaced_in_place: bool,
    /// The rules that made it.
    pub read_by: RulesGeneration,
    pub payment: &'page Transaction,
    /// The amounts in US dollars, if a rate is known.
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

/// Writes transactions in one statement, in the given order: callers sort them, so that writers cannot deadlock. `run_id` is the
/// sync run that received them, if any.
///
/// # Errors
/// [`DbError::Conflict`] if a row does not have the expected content; the transaction must not be committed then.
pub async fn upsert(
    connection: &mut PgConnection,
    writes: &[TransactionWrite<'_>],
    run_id: Option<Uuid>,
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
        r#"INSERT INTO transactions AS existing
                  (id, source, kind, source_id, version_sequence, version_modified_at, content_hash, replaced_in_place,
                   reference_id, client_operation_id, order_id, project, merchant_id, amount, paid_amount, currency,
                   amount_usd, fee, fee_usd, exchange_rate, status, original_status, user_id, user_email, user_phone,
                   user_name, country, utr, payment_method, payment_product, created_at, updated_at, completed_at,
                   raw_data, rate_origin, rate_at, rules_generation, ingested_at, first_run_id)
           SELECT incoming.*, $35, $40::uuid
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]::numeric[], $6::timestamptz[], $7::bytea[],
                         $8::boolean[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::numeric[],
                         $15::numeric[], $16::text[], $17::numeric[], $18::numeric[], $19::numeric[], $20::numeric[],
                         $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[],
                         $28::text[], $29::text[], $30::text[], $31::timestamptz[], $32::timestamptz[],
                         $33::timestamptz[], $34::text[]::json[], $37::text[], $38::timestamptz[], $39::bigint[]) AS incoming
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
                  rate_origin = excluded.rate_origin, rate_at = excluded.rate_at,
                  rules_generation = excluded.rules_generation, last_run_id = excluded.first_run_id,
                  last_stored_at = excluded.ingested_at
            WHERE existing.content_hash = ($36::bytea[])[array_position($4, excluded.source_id)]"#,
        &column(writes, |write| write.id),
        &column(writes, |write| write.payment.key.source.as_str()) as &[&str],
        &column(writes, |write| write.payment.key.kind.as_str()) as &[&str],
        &column(writes, |write| write.payment.key.source_id.as_str()) as &[&str],
        &column(writes, TransactionWrite::sequence) as &[Option<String>],
        &time(|payment| payment.version.modified_at) as &[Option<DateTime<Utc>>],
        &column(writes, |write| write.content.0.as_slice()) as &[&[u8]],
        &column(writes, |write| write.replaced_in_place),
        &text(|payment| &payment.reference_id) as &[Option<&str>],
        &text(|payment| &payment.client_operation_id) as &[Option<&str>],
        &text(|payment| &payment.order_id) as &[Option<&str>],
        &text(|payment| &payment.project) as &[Option<&str>],
        &text(|payment| &payment.merchant_id) as &[Option<&str>],
        &column(writes, |write| write.payment.amount),
        &money(|payment| payment.paid_amount) as &[Option<Decimal>],
        &column(writes, |write| write.payment.currency.as_str()) as &[&str],
        &valued(|valuation| valuation.amount_usd) as &[Option<Decimal>],
        &money(|payment| payment.fee) as &[Option<Decimal>],
        &valued(|valuation| valuation.fee_usd) as &[Option<Decimal>],
        &valued(|valuation| Some(valuation.exchange_rate)) as &[Option<Decimal>],
        &column(writes, |write| write.payment.status.as_str()) as &[&str],
        &text(|payment| &payment.original_status) as &[Option<&str>],
        &text(|payment| &payment.user_id) as &[Option<&str>],
        &text(|payment| &payment.user_email) as &[Option<&str>],
        &text(|payment| &payment.user_phone) as &[Option<&str>],
        &text(|payment| &payment.user_name) as &[Option<&str>],
        &text(|payment| &payment.country) as &[Option<&str>],
        &text(|payment| &payment.utr) as &[Option<&str>],
        &text(|payment| &payment.payment_method) as &[Option<&str>],
        &text(|payment| &payment.payment_product) as &[Option<&str>],
        &column(writes, |write| write.payment.created_at),
        &time(|payment| payment.updated_at) as &[Option<DateTime<Utc>>],
        &time(|payment| payment.completed_at) as &[Option<DateTime<Utc>>],
        &column(writes, |write| write.payment.raw.as_str()) as &[&str],
        now,
        &column(writes, TransactionWrite::expected) as &[Option<&[u8]>],
        &column(writes, TransactionWrite::rate_origin) as &[Option<&str>],
        &column(writes, TransactionWrite::rate_at) as &[Option<DateTime<Utc>>],
        &column(writes, |write| write.read_by.0),
        run_id,
    )
    .execute(connection)
    .await?
    .rows_affected();
    if written == writes.len() as u64 { Ok(()) } else { Err(DbError::Conflict("a transaction")) }
}

/// A change of a transaction's status or amount.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionChange {
    pub transaction_id: Uuid,
    /// By the provider's clock.
    pub changed_at: Option<DateTime<Utc>>,
    /// Before and after.
    pub status: (Status, Status),
    /// Before and after.
    pub amount: (Decimal, Decimal),
}

/// `run_id` is the sync run that found the changes, if any.
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
        &column(changes, |change| change.transaction_id),
        &column(changes, |change| change.changed_at) as &[Option<DateTime<Utc>>],
        &column(changes, |change| change.status.0.as_str()) as &[&str],
        &column(changes, |change| change.status.1.as_str()) as &[&str],
        &column(changes, |change| change.amount.0),
        &column(changes, |change| change.amount.1),
        run_id,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
