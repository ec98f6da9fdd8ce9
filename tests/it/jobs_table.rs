//! The jobs table: jobs are joined, claimed, leased and rescued, and only the holder of a claim can write.

use std::time::Duration;

use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::{ClaimedBatch, Claimer, Suspects, claim, finish, verify_claim};
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::db::jobs::leases;
use psp_dashboard::db::jobs::leases::RenewedClaim;
use psp_dashboard::domain::job::attempt::{ClaimedJob, MAX_ISOLATED_DEATHS, Outcome, POISON};
use psp_dashboard::domain::job::{
    Claim, HOUSEKEEPING, JobId, JobState, NewJob, Priority, SYNC_VIMA, SuspectLength, Trigger,
};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::enqueue_job::{TickOutcome, enqueue_job, enqueue_tick};
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::redis::Redis;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::servers::Servers;

const LEASE: Duration = Duration::from_secs(30);

struct JobsTable {
    _servers: Servers,
    pool: PgPool,
    redis: Redis,
}

impl JobsTable {
    async fn start() -> Self {
        let servers = Servers::start().await;
        Self { pool: servers.pool().await, redis: servers.redis().await, _servers: servers }
    }

    async fn enqueue(&self, job: &NewJob) -> JobId {
        enqueue_job(&self.pool, &self.redis, job).await.expect("the job is enqueued").job_id
    }

    async fn claim_many(&self, worker: &str, isolated: bool, limit: u32) -> ClaimedBatch {
        let queues = &[SYNC_VIMA.queue.to_owned(), HOUSEKEEPING.queue.to_owned()];
        let suspects = isolated.then_some(Suspects { length: SuspectLength::Short, long_keys: &[] });
        let claimer = Claimer { queues, worker, lease: LEASE, suspects };
        claim(&self.pool, &claimer, limit).await.expect("the jobs table responds")
    }

    async fn claim(&self, worker: &str) -> Option<ClaimedJob> {
        self.claim_many(worker, false, 1).await.jobs.pop()
    }

    async fn claim_isolated(&self, worker: &str) -> Option<ClaimedJob> {
        self.claim_many(worker, true, 1).await.jobs.pop()
    }

    /// Enqueues one sync per day without a concurrency limit.
    async fn enqueue_days(&self, days: u64, priority: Priority) -> Vec<JobId> {
        let mut ids = vec![];
        for days in 1..=days {
            let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).expect("a valid day") + chrono::Days::new(days);
            let args = SyncArgs::Range { from_date: day, to_date: day };
            ids.push(self.enqueue(&NewJob { priority, ..NewJob::sync(Source::Vima, &args, Trigger::Api) }).await);
        }
        sqlx::query!("UPDATE jobs SET limit_key = NULL").execute(&self.pool).await.expect("the jobs table responds");
        ids
    }

    async fn finish(&self, claim: &Claim, outcome: &Outcome) -> Result<JobState, DbError> {
        finish(&mut self.pool.acquire().await.expect("a connection"), claim, outcome).await
    }

    async fn verify(&self, claim: &Claim) -> Result<(), DbError> {
        verify_claim(&mut self.pool.acquire().await.expect("a connection"), claim, &json!({"progress": 1})).await
    }

    async fn state(&self, job_id: JobId) -> JobState {
        find_summary(&self.pool, job_id).await.expect("the jobs table responds").expect("the job exists").state
    }

    /// Expires every lease, as if no worker had renewed any.
    async fn expire_leases(&self) {
        sqlx::query!("UPDATE job_leases SET expires_at = now() - interval '1 second'")
            .execute(&self.pool)
            .await
            .expect("the jobs table responds");
    }

    async fn rescue(&self) -> usize {
        rescue_jobs(&self.pool, &self.redis, SystemClock.now()).await.expect("the jobs table responds").len()
    }

    async fn request_cancel(&self, job_id: JobId) {
        sqlx::query!(
            "UPDATE jobs SET cancel_requested_at = now(), cancel_requested_by = 'otto' WHERE id = $1",
            job_id.0
        )
        .execute(&self.pool)
        .await
        .expect("the jobs table responds");
    }
}

fn incremental(source: Source) -> NewJob {
    NewJob::sync(source, &SyncArgs::Incremental, Trigger::Schedule)
}

#[tokio::test]
async fn repeated_job_joins_the_queued_one_unless_forced() {
    let table = JobsTable::start().await;
    let first = table.enqueue(&incremental(Source::Vima)).await;
    assert_eq!(table.enqueue(&incremental(Source::Vima)).await, first);
    let full = NewJob::sync(Source::Vima, &SyncArgs::Full, Trigger::Api);
    assert_ne!(table.enqueue(&full).await, first, "another mode is another job");
    let forced = NewJob { force: true, ..incremental(Source::Vima) };
    let behind = table.enqueue(&forced).await;
    assert_ne!(behind, first);
    assert_eq!(table.enqueue(&incremental(Source::Vima)).await, first, "a job without force joins the first");
}

#[tokio::test]
async fn fifty_concurrent_requests_create_one_job() {
    let table = JobsTable::start().await;
    let job = incremental(Source::Vima);
    let requests = (0..50).map(|_| table.enqueue(&job));
    let ids = futures_util::future::join_all(requests).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn requested_job_is_claimed_before_scheduled_ones() {
    let table = JobsTable::start().await;
    table.enqueue(&NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule)).await;
    let requested = table.enqueue(&NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Api)).await;
    assert_eq!(table.claim("w").await.expect("a due job").claim.job_id, requested);
}

#[tokio::test]
async fn jobs_that_share_a_limit_run_one_at_a_time() {
    let table = JobsTable::start().await;
    let day = "2026-01-15".parse().expect("a valid day");
    let range = SyncArgs::Range { from_date: day, to_date: day };
    table.enqueue(&NewJob::sync(Source::Vima, &range, Trigger::Api)).await;
    table.enqueue(&NewJob::sync(Source::Vima, &SyncArgs::Full, Trigger::Api)).await;
    let (one, two) = tokio::join!(table.claim("a"), table.claim("b"));
    let held = one.or(two).expect("one of them is claimed");
    assert_eq!(table.claim("c").await, None, "the other waits for the limit");
    let incremental_job = table.enqueue(&incremental(Source::Vima)).await;
    let claimed = table.claim("c").await.map(|job| job.claim.job_id);
    assert_eq!(claimed, Some(incremental_job), "a sync of new data does not wait for historical days");
    table.finish(&held.claim, &Outcome::Succeeded(Value::Null)).await.expect("the claim is valid");
    assert!(table.claim("c").await.is_some(), "the limit is free again");
}

#[tokio::test]
async fn concurrent_claims_never_share_a_job() {
    let table = JobsTable::start().await;
    table.enqueue_days(40, Priority::Interactive).await;
    let claims = futures_util::future::join_all((0..60).map(|_| table.claim("w"))).await;
    let mut claimed: Vec<JobId> = claims.into_iter().flatten().map(|job| job.claim.job_id).collect();
    let count = claimed.len();
    claimed.sort();
    claimed.dedup();
    assert_eq!((claimed.len(), count), (40, 40));
}

#[tokio::test]
async fn worker_with_an_expired_lease_cannot_write() {
    let table = JobsTable::start().await;
    let job_id = table.enqueue(&incremental(Source::Vima)).await;
    let dead = table.claim("dead").await.expect("a due job").claim;
    assert_eq!(table.rescue().await, 0, "a job with a valid lease is not rescued");
    table.expire_leases().await;
    assert_eq!(table.rescue().await, 1);
    assert!(matches!(table.verify(&dead).await, Err(DbError::ClaimLost)), "not even before the next claim");
    assert_eq!(table.claim("shared").await, None, "a job whose worker died runs isolated");
    let successor = table.claim_isolated("successor").await.expect("it is due again");
    assert_eq!((successor.claim.job_id, successor.attempt), (job_id, 1), "the death of a worker uses up no attempt");
    assert!(matches!(table.verify(&dead).await, Err(DbError::ClaimLost)));
    let late = Outcome::Succeeded(Value::Null);
    assert!(matches!(table.finish(&dead, &late).await, Err(DbError::ClaimLost)));
    table.verify(&successor.claim).await.expect("the claim is valid");
    table.finish(&successor.claim, &late).await.expect("the claim is valid");
    assert_eq!(table.state(job_id).await, JobState::Succeeded);
}

#[tokio::test]
async fn lease_is_renewed_only_with_the_current_claim() {
    let table = JobsTable::start().await;
    table.enqueue(&incremental(Source::Vima)).await;
    let job = table.claim("w").await.expect("a due job");
    let renewed = leases::renew(&table.pool, &[job.claim], LEASE).await.expect("a response");
    assert_eq!(renewed, [RenewedClaim { claim: job.claim, cancel_requested: false }]);
    let older = Claim { epoch: job.claim.epoch - 1, ..job.claim };
    assert_eq!(leases::renew(&table.pool, &[older], LEASE).await.expect("a response"), []);
    assert_eq!(
        leases::renew(&table.pool, &[], LEASE).await.expect("a response"),
        [],
        "no lease is renewed without its claim"
    );
}

#[tokio::test]
async fn outcome_of_an_attempt_determines_the_next_state() {
    let table = JobsTable::start().await;
    let retry = |after| Outcome::Retry { error: "no response".to_owned(), after };
    for (outcome, state, claimable, attempt_after) in [
        (retry(Duration::ZERO), JobState::Retrying, true, 2),
        (retry(Duration::from_mins(1)), JobState::Retrying, false, 0),
        (Outcome::Postponed { error: "unavailable".to_owned(), after: Duration::ZERO }, JobState::Retrying, true, 1),
        (Outcome::HandedBack, JobState::Queued, true, 1),
        (Outcome::Cancelled, JobState::Cancelled, false, 0),
        (Outcome::Failed("no".to_owned()), JobState::Failed, false, 0),
        (Outcome::Succeeded(json!({"n": 1})), JobState::Succeeded, false, 0),
    ] {
        let job_id = table.enqueue(&incremental(Source::Vima)).await;
        let job = table.claim("w").await.expect("a due job");
        table.finish(&job.claim, &outcome).await.expect("the claim is valid");
        assert_eq!(table.state(job_id).await, state, "{outcome:?}");
        let again = table.claim("w").await;
        assert_eq!(again.as_ref().map(|job| job.attempt), claimable.then_some(attempt_after), "{outcome:?}");
        sqlx::query!("DELETE FROM jobs").execute(&table.pool).await.expect("the jobs table responds");
    }
}

#[tokio::test]
async fn job_that_kills_its_process_three_times_isolated_fails_as_poison() {
    let table = JobsTable::start().await;
    let job_id = table.enqueue(&incremental(Source::Vima)).await;
    table.claim("shared").await.expect("a due job");
    for _ in 0..MAX_ISOLATED_DEATHS {
        table.expire_leases().await;
        assert_eq!(table.rescue().await, 1);
        assert_eq!(table.claim("shared").await, None, "a suspect is only claimed isolated");
        table.claim_isolated("isolated").await.expect("it is due");
    }
    assert_eq!(table.state(job_id).await, JobState::Running, "the first death, beside other jobs, does not count");
    table.expire_leases().await;
    assert_eq!(table.rescue().await, 1);
    let job = find_summary(&table.pool, job_id).await.expect("the jobs table responds").expect("the job exists");
    assert_eq!((job.state, job.error.as_deref()), (JobState::Failed, Some(POISON)));
    let failed_events = sqlx::query_scalar!("SELECT count(*) FROM events WHERE body->>'type' = 'job_failed'");
    assert_eq!(failed_events.fetch_one(&table.pool).await.expect("a response"), Some(1));
}

#[tokio::test]
async fn suspect_that_finishes_an_attempt_is_no_longer_suspect() {
    let table = JobsTable::start().await;
    table.enqueue(&incremental(Source::Vima)).await;
    table.claim("dead").await.expect("a due job");
    for deaths in 1..MAX_ISOLATED_DEATHS {
        table.expire_leases().await;
        table.rescue().await;
        assert!(table.claim_isolated("dead isolated").await.is_some(), "{deaths} deaths in isolation");
    }
    table.expire_leases().await;
    table.rescue().await;
    let survivor = table.claim_isolated("survivor").await.expect("it is due");
    let retry = Outcome::Retry { error: "no response".to_owned(), after: Duration::ZERO };
    table.finish(&survivor.claim, &retry).await.expect("the claim is valid");
    assert_eq!(table.claim_isolated("isolated").await, None);
    assert!(table.claim("shared").await.is_some(), "it may run beside other jobs again");
}

#[tokio::test]
async fn cancelled_running_job_is_not_retried() {
    let table = JobsTable::start().await;
    let retry = Outcome::Retry { error: "no response".to_owned(), after: Duration::ZERO };
    for (outcome, state) in [
        (Outcome::Cancelled, JobState::Cancelled),
        (retry, JobState::Cancelled),
        (Outcome::HandedBack, JobState::Cancelled),
        // It finished before the cancellation reached it.
        (Outcome::Succeeded(Value::Null), JobState::Succeeded),
        (Outcome::Failed("no".to_owned()), JobState::Failed),
    ] {
        let job_id = table.enqueue(&incremental(Source::Vima)).await;
        let job = table.claim("w").await.expect("a due job");
        table.request_cancel(job_id).await;
        let renewed = leases::renew(&table.pool, &[job.claim], LEASE).await.expect("a response");
        assert!(renewed[0].cancel_requested, "renewing a lease reports the cancellation");
        assert_eq!(table.finish(&job.claim, &outcome).await.expect("the claim is valid"), state, "{outcome:?}");
        assert_eq!(table.state(job_id).await, state, "{outcome:?}");
    }
    let job_id = table.enqueue(&incremental(Source::Vima)).await;
    table.claim("dead").await.expect("a due job");
    table.request_cancel(job_id).await;
    table.expire_leases().await;
    assert_eq!(table.rescue().await, 1);
    assert_eq!(table.state(job_id).await, JobState::Cancelled, "its worker died before it saw the cancellation");
}

#[tokio::test]
async fn batch_holds_the_due_jobs_with_the_highest_priority() {
    let table = JobsTable::start().await;
    let backfill = table.enqueue_days(3, Priority::Backfill).await;
    let requested = table.enqueue_days(5, Priority::Interactive).await;
    // The first three days were queued already; the requests have raised their priority.
    assert_eq!(&requested[..3], &backfill[..]);
    let delayed = NewJob { delay: Duration::from_mins(1), ..NewJob::without_args(&HOUSEKEEPING, Trigger::Api) };
    let later = table.enqueue(&delayed).await;
    assert_eq!(table.state(later).await, JobState::Scheduled);
    let batch = table.claim_many("w", false, 4).await;
    assert_eq!(batch.jobs.iter().map(|job| job.claim.job_id).collect::<Vec<_>>(), requested[..4]);
    assert!(batch.more, "one more job is due");
    let rest = table.claim_many("w", false, 4).await;
    assert_eq!(rest.jobs.iter().map(|job| job.claim.job_id).collect::<Vec<_>>(), requested[4..]);
    assert!(!rest.more, "a delayed job does not count as due");
    assert_eq!(table.claim_many("w", false, 4).await, ClaimedBatch::default());
}

#[tokio::test]
async fn paused_queue_is_not_claimed_from() {
    let table = JobsTable::start().await;
    table.enqueue(&incremental(Source::Vima)).await;
    let housekeeping = table.enqueue(&NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule)).await;
    let pause = "INSERT INTO queue_pauses (queue, paused_at, paused_by) VALUES ('sync', now(), 'ada')";
    table.pool.execute(pause).await.expect("the jobs table responds");
    let batch = table.claim_many("w", false, 8).await;
    assert_eq!(batch.jobs.iter().map(|job| job.claim.job_id).collect::<Vec<_>>(), [housekeeping]);
    table.pool.execute("DELETE FROM queue_pauses").await.expect("the jobs table responds");
    assert!(table.claim("w").await.is_some());
}

#[tokio::test]
async fn concurrent_ticks_create_one_job() {
    let table = JobsTable::start().await;
    let tick = "2026-01-15T10:00:00Z".parse().expect("a time");
    let enqueue = || enqueue_tick(&table.pool, &table.redis, "sync-vima", tick, incremental(Source::Vima));
    let ticked = futures_util::future::join_all((0..10).map(|_| enqueue())).await;
    let enqueued = ticked.into_iter().filter(|ticked| matches!(ticked, Ok(TickOutcome::Enqueued(_)))).count();
    assert_eq!(enqueued, 1);
    assert_eq!(enqueue().await.expect("the jobs table responds"), TickOutcome::AlreadyRecorded);
    let jobs = sqlx::query_scalar!("SELECT count(*) FROM jobs").fetch_one(&table.pool).await.expect("a response");
    assert_eq!(jobs, Some(1));
}
