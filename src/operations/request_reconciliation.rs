//! Has days reconciled: because somebody asked for them, once for one `Idempotency-Key`, or because their night has come.
//!
//! A job a day, for a day is what is run, tried again and looked up; all of one request in one transaction. A day that a
//! live job is about already is joined.

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::DbError;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::jobs::claims;
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::db::reconciliation::unsettled::{DayBounds, list_unsettled};
use crate::domain::day::DayRange;
use crate::domain::job::{Claim, JobId, NewJob, RECONCILE, Trigger};
use crate::domain::reconciliation::ReconcileArgs;
use crate::redis::Redis;

/// Days that somebody wants reconciled.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconciliationRequest {
    /// The days, the first one first: whoever asks takes them in the same order, so that no two wait for each other in a ring.
    pub days: Vec<NaiveDate>,
    /// Queue one more behind a live one, rather than join it.
    pub force: bool,
    /// How they were asked for.
    pub trigger: Trigger,
    /// Who asks.
    pub requested_by: Option<String>,
}

/// A day that will be reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedDay {
    /// The day.
    pub date: NaiveDate,
    /// By which job; the run has the same id.
    pub job_id: JobId,
    /// Whether the job was there already.
    pub joined: bool,
}

/// Enqueues a reconciliation of each day, or joins live ones.
///
/// # Errors
/// [`IdempotencyError`] where nothing was enqueued.
pub async fn request_reconciliation(
    pool: &PgPool,
    redis: &Redis,
    request: &ReconciliationRequest,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Vec<RequestedDay>, IdempotencyError> {
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(requested) => return Ok(requested),
        IdempotentStart::New(work) => work,
    };
    let requested = enqueue(work.connection(), request).await?;
    work.commit(&requested).await?;
    ring_for(redis, &requested).await;
    Ok(requested)
}

/// Enqueues, in the name of the job of a night, a reconciliation of the day `nightly` and of each of the `revisit_days` before
/// it that another run may say more about ([`list_unsettled`]). Killed after its commit it does so again: days that are not done
/// yet are joined then.
///
/// # Errors
/// [`DbError`] where nothing was enqueued.
pub async fn enqueue_night(
    pool: &PgPool,
    redis: &Redis,
    claim: &Claim,
    nightly: NaiveDate,
    revisit_days: u32,
    zone: Tz,
) -> Result<Vec<RequestedDay>, DbError> {
    let before: Vec<DayBounds> = (1..=u64::from(revisit_days))
        .filter_map(|days| nightly.checked_sub_days(Days::new(days)))
        .map(|date| bounds(date, zone))
        .collect();
    let mut transaction = pool.begin().await?;
    let unsettled = list_unsettled(&mut transaction, &before).await?;
    let days = unsettled.into_iter().chain([nightly]).collect();
    let request = ReconciliationRequest { days, force: false, trigger: Trigger::Schedule, requested_by: None };
    let requested = enqueue(&mut transaction, &request).await?;
    claims::verify_claim(&mut transaction, claim, &json!({"enqueued": requested.len()})).await?;
    transaction.commit().await?;
    ring_for(redis, &requested).await;
    Ok(requested)
}

fn bounds(date: NaiveDate, zone: Tz) -> DayBounds {
    let (from, until) = DayRange::single(date, zone).instants();
    DayBounds { date, from, until }
}

async fn enqueue(connection: &mut PgConnection, request: &ReconciliationRequest) -> Result<Vec<RequestedDay>, DbError> {
    let mut requested = vec![];
    for &date in &request.days {
        let job = NewJob {
            force: request.force,
            requested_by: request.requested_by.clone(),
            ..NewJob::reconcile(ReconcileArgs::for_day(date), request.trigger)
        };
        let Enqueued { job_id, joined } = insert_or_join(connection, &job).await?;
        requested.push(RequestedDay { date, job_id, joined });
    }
    Ok(requested)
}

/// One bell for all of them: whoever is woken looks for whatever is due, and again once that is done; and nobody waits 92 times
/// for a Redis that hangs.
async fn ring_for(redis: &Redis, requested: &[RequestedDay]) {
    if let Some(first) = requested.first() {
        send_wakeup(redis, RECONCILE.queue, first.job_id).await;
    }
}
