//! The state of the installation, for its metrics: queues, processes, schedule, syncs, reconciliation, exports.
//!
//! One read-only transaction over one connection, whose statements have a short limit: it is read every few seconds and must
//! never be what slows the database down.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};

use super::DbError;
use super::jobs::processes::{self, AliveProcesses, PROCESS_TIMEOUT};
use super::jobs::queues::{self, QueueLookback, QueueStatus};
use super::jobs::schedule_entries::{self, ListedEntry};
use super::sync::streams;
use super::types::read_name;
use crate::domain::job::JobKind;
use crate::domain::reconciliation::MatchStatus;
use crate::domain::sync::Stream;
use crate::domain::transaction::Source;

/// The limit of each statement, in milliseconds.
const STATEMENT_MILLIS: &str = "2000";

#[derive(Debug, Clone, PartialEq)]
pub struct InstallationState {
    pub queues: Vec<QueueStatus>,
    pub alive: AliveProcesses,
    pub schedule: Vec<ListedEntry>,
    pub sources: [SourceState; 2],
    /// `None` before the first completed run.
    pub reconciliation: Option<ReconciliationState>,
    pub unresolved: Vec<Unresolved>,
    pub exports: ExportsState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    pub source: Source,
    /// The end of the last complete run.
    pub last_success: Option<DateTime<Utc>>,
    /// Up to when each stream has been read completely.
    pub watermarks: Vec<(Stream, DateTime<Utc>)>,
    /// Up to when the source has been read completely, its history included; as `data_version::Freshness`.
    pub as_of: Option<DateTime<Utc>>,
    pub quarantined: u64,
}

/// The last completed run of the newest day, and when the last run of any day completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconciliationState {
    pub last_completed_at: DateTime<Utc>,
    pub newest_day_from: DateTime<Utc>,
    /// By the name of the verdict.
    pub verdicts: Vec<(&'static str, u64)>,
}

/// Open or acknowledged discrepancies of one kind in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    pub match_status: MatchStatus,
    pub currency: Option<String>,
    pub count: u64,
    /// As in [`super::reconciliation::open_discrepancies`].
    pub at_risk: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportsState {
    pub unfinished: u64,
    /// The size of the files that can be downloaded.
    pub stored_bytes: u64,
}

pub async fn read(pool: &PgPool, now: DateTime<Utc>) -> Result<InstallationState, DbError> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        r#"SELECT set_config('transaction_read_only', 'on', true) AS "read_only",
                  set_config('statement_timeout', $1, true) AS "timeout""#,
        STATEMENT_MILLIS
    )
    .fetch_one(&mut *transaction)
    .await?;
    let known: Vec<&str> = JobKind::queues().into_iter().collect();
    // Finished jobs are counted by the workers.
    let lookback = QueueLookback { finished: Duration::ZERO, seen: PROCESS_TIMEOUT };
    let state = InstallationState {
        queues: queues::list(&mut *transaction, &known, lookback).await?,
        alive: processes::count_alive(&mut *transaction, PROCESS_TIMEOUT).await?,
        schedule: schedule_entries::list(&mut *transaction).await?,
        sources: [
            read_source(&mut transaction, Source::Vima).await?,
            read_source(&mut transaction, Source::Payshack).await?,
        ],
        reconciliation: read_reconciliation(&mut transaction).await?,
        unresolved: read_unresolved(&mut transaction).await?,
        exports: read_exports(&mut transaction, now).await?,
    };
    transaction.rollback().await?;
    Ok(state)
}

async fn read_source(connection: &mut PgConnection, source: Source) -> Result<SourceState, DbError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT max(finished_at) FROM sync_runs WHERE source = $1 AND status = 'succeeded') AS last_success,
                  (SELECT count(*) FROM quarantine WHERE source = $1) AS "quarantined!""#,
        source.as_str()
    )
    .fetch_one(&mut *connection)
    .await?;
    let rows = streams::list(&mut *connection, source).await?;
    Ok(SourceState {
        source,
        last_success: row.last_success,
        as_of: streams::complete_until(source, &rows),
        watermarks: streams::watermarks(source, &rows),
        quarantined: row.quarantined.unsigned_abs(),
    })
}

async fn read_reconciliation(connection: &mut PgConnection) -> Result<Option<ReconciliationState>, DbError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT max(finished_at) FROM reconciliation_runs WHERE status = 'completed') AS last_completed_at,
                  day_from, matched, amount_discrepancies, status_discrepancies, missing_vima, missing_payshack, pending,
                  duplicate_vima + duplicate_payshack AS "duplicate!", unmatchable_vima + unmatchable_payshack AS "unmatchable!"
             FROM reconciliation_runs WHERE version IS NOT NULL ORDER BY recon_date DESC, version DESC LIMIT 1"#
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| {
        let verdicts = [
            ("matched", row.matched),
            ("amount", row.amount_discrepancies),
            ("status", row.status_discrepancies),
            ("missing_vima", row.missing_vima),
            ("missing_payshack", row.missing_payshack),
            ("pending", row.pending),
            ("duplicate", row.duplicate),
            ("unmatchable", row.unmatchable),
        ];
        Some(ReconciliationState {
            last_completed_at: row.last_completed_at?,
            newest_day_from: row.day_from,
            verdicts: verdicts.map(|(verdict, count)| (verdict, count.unsigned_abs())).into(),
        })
    }))
}

async fn read_unresolved(connection: &mut PgConnection) -> Result<Vec<Unresolved>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT match_status, COALESCE(vima_currency, payshack_currency) AS currency, count(*) AS "count!",
                  COALESCE(sum(CASE WHEN types = ARRAY['amount'] AND amount_diff IS NOT NULL THEN abs(amount_diff)
                                    ELSE COALESCE(vima_amount, payshack_amount) END), 0) AS "at_risk!"
             FROM discrepancies WHERE state IN ('open', 'acknowledged') GROUP BY 1, 2"#
    )
    .fetch_all(connection)
    .await?;
    let unresolved = rows.into_iter().map(|row| {
        Ok(Unresolved {
            match_status: read_name("discrepancies.match_status", row.match_status, MatchStatus::from_name)?,
            currency: row.currency,
            count: row.count.unsigned_abs(),
            at_risk: row.at_risk,
        })
    });
    unresolved.collect()
}

async fn read_exports(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<ExportsState, DbError> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE jobs.finished_at IS NULL AND jobs.id IS NOT NULL) AS "unfinished!",
                  COALESCE(sum(bytes) FILTER (WHERE stored_as IS NOT NULL AND expires_at > $1), 0)::bigint AS "stored_bytes!"
             FROM exports LEFT JOIN jobs ON jobs.id = exports.job_id"#,
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(ExportsState { unfinished: row.unfinished.unsigned_abs(), stored_bytes: row.stored_bytes.unsigned_abs() })
}
