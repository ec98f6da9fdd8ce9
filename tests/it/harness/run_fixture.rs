//! Reconciliation runs with chosen results, inserted without reconciling anything.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use psp_dashboard::domain::day::start_of_day;
use psp_dashboard::domain::reconciliation::Parameters;
use psp_dashboard::domain::reconciliation::tally::{BySide, Tally};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

/// A run to insert.
#[derive(Debug, Clone)]
pub(crate) struct RunFixture {
    pub(crate) id: Uuid,
    date: NaiveDate,
    status: &'static str,
    version: Option<i32>,
    started_at: DateTime<Utc>,
    error: Option<&'static str>,
    watermark: Option<DateTime<Utc>>,
    tally: Tally,
    amounts: Value,
}

impl RunFixture {
    /// A completed run in which everything matched, made after both sources were read past the end of the day.
    pub(crate) fn completed(date: NaiveDate) -> Self {
        Self { status: "completed", version: Some(1), ..Self::running(date) }.with_tally(Tally {
            total: BySide { vima: 3, payshack: 3 },
            matched: 3,
            ..Tally::default()
        })
    }

    /// A failed run, an hour after a completed one.
    pub(crate) fn failed(date: NaiveDate) -> Self {
        let run = Self { status: "failed", error: Some("the rows do not add up"), ..Self::running(date) };
        let started_at = run.started_at + TimeDelta::hours(1);
        run.with_started_at(started_at)
    }

    /// A cancelled run, two hours after a completed one.
    pub(crate) fn cancelled(date: NaiveDate) -> Self {
        let run = Self { status: "cancelled", ..Self::running(date) };
        let started_at = run.started_at + TimeDelta::hours(2);
        run.with_started_at(started_at)
    }

    pub(crate) fn running(date: NaiveDate) -> Self {
        let end = start_of_day(date, Tz::UTC) + TimeDelta::days(1);
        Self {
            id: Uuid::now_v7(),
            date,
            status: "running",
            version: None,
            started_at: end + TimeDelta::hours(2),
            error: None,
            watermark: Some(end + TimeDelta::hours(1)),
            tally: Tally::default(),
            amounts: json!({}),
        }
    }

    /// The id of a run is the id of its job.
    pub(crate) fn with_id(self, id: Uuid) -> Self {
        Self { id, ..self }
    }

    pub(crate) fn with_version(self, version: i32) -> Self {
        Self { version: Some(version), ..self }
    }

    pub(crate) fn with_started_at(self, started_at: DateTime<Utc>) -> Self {
        Self { started_at, ..self }
    }

    /// Adds pending payments that only Vima has.
    pub(crate) fn with_pending(self, pending: u64) -> Self {
        let mut tally = self.tally;
        tally.pending += pending;
        tally.pending_rows.vima += pending;
        tally.total.vima += pending;
        self.with_tally(tally)
    }

    pub(crate) fn with_tally(self, tally: Tally) -> Self {
        tally.check().expect("the counts add up");
        Self { tally, ..self }
    }

    /// Sets the amounts by currency.
    pub(crate) fn with_amounts(self, amounts: Value) -> Self {
        Self { amounts, ..self }
    }

    /// Sets how far `PayShack` had been read.
    pub(crate) fn with_watermark(self, watermark: Option<DateTime<Utc>>) -> Self {
        Self { watermark, ..self }
    }

    /// The first instant after the reconciled day.
    pub(crate) fn day_until(&self) -> DateTime<Utc> {
        start_of_day(self.date, Tz::UTC) + TimeDelta::days(1)
    }

    pub(crate) async fn insert(self, pool: &PgPool) -> Uuid {
        let signed = |count: u64| i64::try_from(count).expect("a small number");
        let day_from = start_of_day(self.date, Tz::UTC);
        let finished_at = (self.status != "running").then(|| self.started_at + TimeDelta::milliseconds(1500));
        sqlx::query!(
            r#"INSERT INTO reconciliation_runs
                      (id, recon_date, version, status, trigger, started_at, finished_at, error, parameters, day_from,
                       day_until, as_of, vima_watermark, payshack_watermark, vima_covered_from, payshack_covered_from,
                       total_vima, total_payshack, matched, amount_discrepancies, status_discrepancies, missing_vima,
                       missing_payshack, pending, pending_vima, pending_payshack, duplicate_vima, duplicate_payshack,
                       unmatchable_vima, unmatchable_payshack, amounts)
               VALUES ($1, $2, $3, $4, 'schedule', $5, $6, $7, $8, $9, $10, $5, $10, $11, $9, $9, $12, $13, $14, $15, $16,
                       $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"#,
            self.id,
            self.date,
            self.version,
            self.status,
            self.started_at,
            finished_at,
            self.error,
            json!(Parameters::default()),
            day_from,
            self.day_until(),
            self.watermark,
            signed(self.tally.total.vima),
            signed(self.tally.total.payshack),
            signed(self.tally.matched),
            signed(self.tally.amount_discrepancies),
            signed(self.tally.status_discrepancies),
            signed(self.tally.missing_vima),
            signed(self.tally.missing_payshack),
            signed(self.tally.pending),
            signed(self.tally.pending_rows.vima),
            signed(self.tally.pending_rows.payshack),
            signed(self.tally.duplicates.vima),
            signed(self.tally.duplicates.payshack),
            signed(self.tally.unmatchable.vima),
            signed(self.tally.unmatchable.payshack),
            self.amounts
        )
        .execute(pool)
        .await
        .expect("the run is inserted");
        self.id
    }
}
