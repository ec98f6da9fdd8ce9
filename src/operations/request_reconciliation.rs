//! Enqueues the reconciliation of days: on request, once per `Idempotency-Key`, or every night.
//!
//! There is one job per day, because a day is what is run, retried and looked up. All jobs of a request are enqueued in one
//! database transaction. If a live job for a day exists, it is joined.

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::audit::{AuditContext, AuditRecord};
use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::DbError;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::jobs::claims;
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::db::reconciliation::unsettled::{DayBounds, list_unsettled};
use crate::domain::day::DayRange;
use crate::domain::job::attempt::ClaimedJob;
use crate::domain::job::{Claim, JobId, NewJob, RECONCILE, Trigger};
use crate::domain::reconciliation::ReconcileArgs;
use crate::redis::Redis;

#[derive(Debug, Clone, PartialEq)]
pub struct ReconciliationRequest {
    /// In ascending order: all requests lock days in the same order, so that they cannot deadlock.
    pub days: Vec<NaiveDate>,
    /// Enqueue a second job after a live one instead of joining it.
    pub force: bool,
    pub trigger: Trigger,
    pub requested_by: Option<String>,
}

/// Stored as JSON with the idempotency key, and as the checkpoint of a nightly job: the names must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedDay {
    pub date: NaiveDate,
    /// The run has the same id.
    pub job_id: JobId,
    /// Whether a live job was joined.
    pub joined: bool,
}

/// Enqueues the reconciliation of each day, or joins live jobs.
pub async fn request_reconciliation(
    pool: &PgPool,
    redis: &Redis,
    request: &ReconciliationRequest,
    audit: &AuditContext,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Vec<RequestedDay>, IdempotencyError> {
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(requested) => return Ok(requested),
        IdempotentStart::New(work) => work,
    };
    let requested = enqueue(work.connection(), request).await?;
    let record = AuditRecord::succeeded(json!({"days": request.days, "force": request.force}))
        .with_change(None, json!({"jobs": requested}));
    audit.append(work.connection(), &record, now).await?;
    work.commit(&requested).await?;
    send_one_wakeup(redis, &requested).await;
    Ok(requested)
}

/// Enqueues the reconciliation of the day `nightly`, and of those of the `revisit_days` before it whose result another run
/// can improve ([`list_unsettled`]). Called by the nightly job. They are its checkpoint: if it is
/// attempted again after the commit, some of them may have finished, so it must not enqueue them a second time
/// ([`find_enqueued`]).
pub async fn enqueue_nightly(
    pool: &PgPool,
    redis: &Redis,
    claim: &Claim,
    nightly: NaiveDate,
    revisit_days: u32,
    zone: Tz,
) -> Result<Vec<RequestedDay>, DbError> {
    let revisited: Vec<DayBounds> = (1..=u64::from(revisit_days))
        .filter_map(|days| nightly.checked_sub_days(Days::new(days)))
        .map(|date| bounds(date, zone))
        .collect();
    let mut transaction = pool.begin().await?;
    let unsettled = list_unsettled(&mut transaction, &revisited).await?;
    let days = unsettled.into_iter().chain([nightly]).collect();
    let request = ReconciliationRequest { days, force: false, trigger: Trigger::Schedule, requested_by: None };
    let requested = enqueue(&mut transaction, &request).await?;
    let (progress, checkpoint) = (json!({"enqueued": requested.len()}), json!(requested));
    claims::verify_claim_and_checkpoint(&mut transaction, claim, &progress, Some(&checkpoint)).await?;
    transaction.commit().await?;
    send_one_wakeup(redis, &requested).await;
    Ok(requested)
}

/// What an earlier attempt of the nightly job has enqueued.
#[must_use]
pub fn find_enqueued(job: &ClaimedJob) -> Option<Vec<RequestedDay>> {
    serde_json::from_value(job.checkpoint.clone()?).ok()
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

/// One wake-up for all jobs: a worker that is woken up claims due jobs until there are none. So an unresponsive Redis causes
/// one timeout and not one per day.
async fn send_one_wakeup(redis: &Redis, requested: &[RequestedDay]) {
    if let Some(first) = requested.first() {
        send_wakeup(redis, RECONCILE.queue, first.job_id).await;
    }
}
