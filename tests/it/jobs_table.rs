//! The jobs table: a job is joined, claimed by one, leased, rescued, and written to by its holder alone.

use std::time::Duration;

use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims::{ClaimedBatch, Claimer, claim, finish, verify_claim};
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::db::jobs::leases;
use psp_dashboard::db::jobs::leases::RenewedClaim;
use psp_dashboard::domain::job::attempt::{ClaimedJob, MAX_ISOLATED_DEATHS, Outcome, POISON};
use psp_dashboard::domain::job::{Claim, HOUSEKEEPING, JobId, JobState, NewJob, Priority, SYNC_VIMA, Trigger};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::enqueue_job::{Ticked, enqueue_job, enqueue_tick};
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::redis::Redis;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::servers::Servers;

const LEASE: Duration = Duration::from_secs(30);

struct Ledger {
    _servers: Servers,
    pool: PgPool,
    redis: Redis,
}

impl Ledger {
    async fn open() -> Self {
        let servers = Servers::start().await;
        Self { pool: servers.pool().await, redis: servers.redis().await, _servers: servers }
    }

    async fn enqueue(&self, job: &NewJob) -> JobId {
        enqueue_job(&self.pool, &self.redis, job).await.expect("the jobs table accepts it").job_id
    }

    async fn claim_many(&self, worker: &str, isolated: bool, hands: u32) -> ClaimedBatch {
        let queues = &[SYNC_VIMA.queue.to_owned(), HOUSEKEEPING.queue.to_owned()];
        let claimer = Claimer { queues, worker, lease: LEASE, isolated };
        claim(&self.pool, &claimer, hands).await.expect("the jobs table responds")
    }

    async fn claim(&self, worker: &str) -> Option<ClaimedJob> {
        self.claim_many(worker, false, 1).await.jobs.pop()
    }

    async fn claim_isolated(&self, worker: &str) -> Option<ClaimedJob> {
        self.claim_many(worker, true, 1).await.jobs.pop()
    }

    /// A job for each of the first days of a year, none of them limited.
    async fn enqueue_days(&self, days: u64, priority: Priority) -> Vec<JobId> {
        let mut ids = vec![];
        for days in 1..=days {
            let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day") + chrono::Days::new(days);
            let args = SyncArgs::Range { from_date: day, to_date: day };
            ids.push(self.enqueue(&NewJob { priority, ..NewJob::sync(Source::Vima, &args, Trigger::Api) }).await);
        }
        sqlx::query!("UPDATE jobs SET limit_key = NULL").execute(&self.pool).await.expect("the jobs table responds");
        ids
    }

    async fn finish(&self, claim: &Claim, outcome: &Outcome) -> Result<JobState, DbError> {
        finish(&mut self.pool.acquire().await.expect("a connection"), claim, outcome).await
    }

    async fn hold(&self, claim: &Claim) -> Result<(), DbError> {
        verify_claim(&mut self.pool.acquire().await.expect("a connection"), claim, &json!({"progress": 1})).await
    }

    async fn state(&self, job_id: JobId) -> JobState {
        find_summary(&self.pool, job_id).await.expect("the jobs table responds").expect("the job is there").state
    }

    /// Lets every lease run out, as if its worker had been silent for long.
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
async fn a_second_request_joins_the_first_and_force_queues_behind() {
    let ledger = Ledger::open().await;
    let first = ledger.enqueue(&incremental(Source::Vima)).await;
    assert_eq!(ledger.enqueue(&incremental(Source::Vima)).await, first);
    let full = NewJob::sync(Source::Vima, &SyncArgs::Full, Trigger::Api);
    assert_ne!(ledger.enqueue(&full).await, first, "another mode is another job");
    let forced = NewJob { force: true, ..incremental(Source::Vima) };
    let behind = ledger.enqueue(&forced).await;
    assert_ne!(behind, first);
    assert_eq!(ledger.enqueue(&incremental(Source::Vima)).await, first, "whoever does not force joins the first");
}

#[tokio::test]
async fn of_fifty_requests_at_once_one_job_comes() {
    let ledger = Ledger::open().await;
    let job = incremental(Source::Vima);
    let requests = (0..50).map(|_| ledger.enqueue(&job));
    let ids = futures_util::future::join_all(requests).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_person_comes_before_the_schedule() {
    let ledger = Ledger::open().await;
    ledger.enqueue(&NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule)).await;
    let asked = ledger.enqueue(&NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Api)).await;
    assert_eq!(ledger.claim("w").await.expect("a due job").claim.job_id, asked);
}

#[tokio::test]
async fn jobs_that_share_a_limit_run_one_at_a_time() {
    let ledger = Ledger::open().await;
    let day = "2026-01-15".parse().expect("a day");
    let range = SyncArgs::Range { from_date: day, to_date: day };
    ledger.enqueue(&NewJob::sync(Source::Vima, &range, Trigger::Api)).await;
    ledger.enqueue(&NewJob::sync(Source::Vima, &SyncArgs::Full, Trigger::Api)).await;
    let (one, two) = tokio::join!(ledger.claim("a"), ledger.claim("b"));
    let held = one.or(two).expect("one of them is claimed");
    assert_eq!(ledger.claim("c").await, None, "the other waits for the limit");
    let live = ledger.enqueue(&incremental(Source::Vima)).await;
    let claimed = ledger.claim("c").await.map(|job| job.claim.job_id);
    assert_eq!(claimed, Some(live), "what is new never waits for old days");
    ledger.finish(&held.claim, &Outcome::Succeeded(Value::Null)).await.expect("its holder ends it");
    assert!(ledger.claim("c").await.is_some(), "the limit is free again");
}

#[tokio::test]
async fn claims_at_once_never_share_a_job() {
    let ledger = Ledger::open().await;
    ledger.enqueue_days(40, Priority::Interactive).await;
    let claims = futures_util::future::join_all((0..60).map(|_| ledger.claim("w"))).await;
    let mut claimed: Vec<JobId> = claims.into_iter().flatten().map(|job| job.claim.job_id).collect();
    let count = claimed.len();
    claimed.sort();
    claimed.dedup();
    assert_eq!((claimed.len(), count), (40, 40));
}

#[tokio::test]
async fn a_worker_that_comes_back_from_the_dead_writes_nothing() {
    let ledger = Ledger::open().await;
    let job_id = ledger.enqueue(&incremental(Source::Vima)).await;
    let dead = ledger.claim("dead").await.expect("a due job").claim;
    assert_eq!(ledger.rescue().await, 0, "a living worker's job is not taken");
    ledger.expire_leases().await;
    assert_eq!(ledger.rescue().await, 1);
    assert!(matches!(ledger.hold(&dead).await, Err(DbError::ClaimLost)), "not even before the next claim");
    assert_eq!(ledger.claim("beside others").await, None, "what was at work when a worker died runs alone");
    let heir = ledger.claim_isolated("heir").await.expect("it is due again");
    assert_eq!((heir.claim.job_id, heir.attempt), (job_id, 1), "a death costs no attempt");
    assert!(matches!(ledger.hold(&dead).await, Err(DbError::ClaimLost)));
    let late = Outcome::Succeeded(Value::Null);
    assert!(matches!(ledger.finish(&dead, &late).await, Err(DbError::ClaimLost)));
    ledger.hold(&heir.claim).await.expect("the heir writes");
    ledger.finish(&heir.claim, &late).await.expect("the heir ends it");
    assert_eq!(ledger.state(job_id).await, JobState::Succeeded);
}

#[tokio::test]
async fn a_lease_is_renewed_by_its_holder_alone() {
    let ledger = Ledger::open().await;
    ledger.enqueue(&incremental(Source::Vima)).await;
    let job = ledger.claim("w").await.expect("a due job");
    let renewed = leases::renew(&ledger.pool, &[job.claim], LEASE).await.expect("a response");
    assert_eq!(renewed, [RenewedClaim { claim: job.claim, cancel_requested: false }]);
    let older = Claim { epoch: job.claim.epoch - 1, ..job.claim };
    assert_eq!(leases::renew(&ledger.pool, &[older], LEASE).await.expect("a response"), []);
    assert_eq!(leases::renew(&ledger.pool, &[], LEASE).await.expect("a response"), [], "nor without being named");
}

#[tokio::test]
async fn attempts_end_as_the_outcome_says() {
    let ledger = Ledger::open().await;
    let retry = |after| Outcome::Retry { error: "no response".to_owned(), after };
    for (outcome, state, claimable, attempt_after) in [
        (retry(Duration::ZERO), JobState::Retrying, true, 2),
        (retry(Duration::from_mins(1)), JobState::Retrying, false, 0),
        (Outcome::Postponed { error: "away".to_owned(), after: Duration::ZERO }, JobState::Retrying, true, 1),
        (Outcome::HandedBack, JobState::Queued, true, 1),
        (Outcome::Cancelled, JobState::Cancelled, false, 0),
        (Outcome::Failed("no".to_owned()), JobState::Failed, false, 0),
        (Outcome::Succeeded(json!({"n": 1})), JobState::Succeeded, false, 0),
    ] {
        let job_id = ledger.enqueue(&incremental(Source::Vima)).await;
        let job = ledger.claim("w").await.expect("a due job");
        ledger.finish(&job.claim, &outcome).await.expect("its holder ends it");
        assert_eq!(ledger.state(job_id).await, state, "{outcome:?}");
        let again = ledger.claim("w").await;
        assert_eq!(again.as_ref().map(|job| job.attempt), claimable.then_some(attempt_after), "{outcome:?}");
        sqlx::query!("DELETE FROM jobs").execute(&ledger.pool).await.expect("the jobs table responds");
    }
}

#[tokio::test]
async fn a_job_that_kills_its_process_three_times_alone_is_poison() {
    let ledger = Ledger::open().await;
    let job_id = ledger.enqueue(&incremental(Source::Vima)).await;
    ledger.claim("beside others").await.expect("a due job");
    for _ in 0..MAX_ISOLATED_DEATHS {
        ledger.expire_leases().await;
        assert_eq!(ledger.rescue().await, 1);
        assert_eq!(
            ledger.claim("beside others").await,
            None,
            "a suspect is claimed by nobody who does something beside"
        );
        ledger.claim_isolated("alone").await.expect("it is due");
    }
    assert_eq!(ledger.state(job_id).await, JobState::Running, "a death beside others is no death alone");
    ledger.expire_leases().await;
    assert_eq!(ledger.rescue().await, 1);
    let job = find_summary(&ledger.pool, job_id).await.expect("the jobs table responds").expect("the job is there");
    assert_eq!((job.state, job.error.as_deref()), (JobState::Failed, Some(POISON)));
    let told = sqlx::query_scalar!("SELECT count(*) FROM events WHERE body->>'type' = 'job_failed'");
    assert_eq!(told.fetch_one(&ledger.pool).await.expect("a response"), Some(1));
}

#[tokio::test]
async fn a_suspect_that_ends_is_acquitted() {
    let ledger = Ledger::open().await;
    ledger.enqueue(&incremental(Source::Vima)).await;
    ledger.claim("dead").await.expect("a due job");
    for deaths in 1..MAX_ISOLATED_DEATHS {
        ledger.expire_leases().await;
        ledger.rescue().await;
        assert!(ledger.claim_isolated("dead too").await.is_some(), "{deaths} deaths alone");
    }
    ledger.expire_leases().await;
    ledger.rescue().await;
    let survivor = ledger.claim_isolated("survivor").await.expect("it is due");
    let retry = Outcome::Retry { error: "no response".to_owned(), after: Duration::ZERO };
    ledger.finish(&survivor.claim, &retry).await.expect("its holder ends it");
    assert_eq!(ledger.claim_isolated("alone").await, None);
    assert!(ledger.claim("beside others").await.is_some(), "it may run beside others again");
}

#[tokio::test]
async fn a_job_that_was_told_to_stop_has_no_other_attempt() {
    let ledger = Ledger::open().await;
    let retry = Outcome::Retry { error: "no response".to_owned(), after: Duration::ZERO };
    for (outcome, state) in [
        (Outcome::Cancelled, JobState::Cancelled),
        (retry, JobState::Cancelled),
        (Outcome::HandedBack, JobState::Cancelled),
        // It was faster.
        (Outcome::Succeeded(Value::Null), JobState::Succeeded),
        (Outcome::Failed("no".to_owned()), JobState::Failed),
    ] {
        let job_id = ledger.enqueue(&incremental(Source::Vima)).await;
        let job = ledger.claim("w").await.expect("a due job");
        ledger.request_cancel(job_id).await;
        let renewed = leases::renew(&ledger.pool, &[job.claim], LEASE).await.expect("a response");
        assert!(renewed[0].cancel_requested, "the heartbeat brings the word");
        assert_eq!(ledger.finish(&job.claim, &outcome).await.expect("its holder ends it"), state, "{outcome:?}");
        assert_eq!(ledger.state(job_id).await, state, "{outcome:?}");
    }
    let job_id = ledger.enqueue(&incremental(Source::Vima)).await;
    ledger.claim("dead").await.expect("a due job");
    ledger.request_cancel(job_id).await;
    ledger.expire_leases().await;
    assert_eq!(ledger.rescue().await, 1);
    assert_eq!(ledger.state(job_id).await, JobState::Cancelled, "its worker died before it heard");
}

#[tokio::test]
async fn a_batch_is_the_best_that_is_due() {
    let ledger = Ledger::open().await;
    let old = ledger.enqueue_days(3, Priority::Backfill).await;
    let asked = ledger.enqueue_days(5, Priority::Interactive).await;
    // The first three days are live already: asking for them in a hurry has brought them forward.
    assert_eq!(&asked[..3], &old[..]);
    let delayed = NewJob { delay: Duration::from_mins(1), ..NewJob::without_args(&HOUSEKEEPING, Trigger::Api) };
    let later = ledger.enqueue(&delayed).await;
    assert_eq!(ledger.state(later).await, JobState::Scheduled);
    let batch = ledger.claim_many("w", false, 4).await;
    assert_eq!(batch.jobs.iter().map(|job| job.claim.job_id).collect::<Vec<_>>(), asked[..4]);
    assert!(batch.more, "one is left");
    let rest = ledger.claim_many("w", false, 4).await;
    assert_eq!(rest.jobs.iter().map(|job| job.claim.job_id).collect::<Vec<_>>(), asked[4..]);
    assert!(!rest.more, "what is not due is not more");
    assert_eq!(ledger.claim_many("w", false, 4).await, ClaimedBatch::default());
}

#[tokio::test]
async fn nothing_is_claimed_from_a_paused_queue() {
    let ledger = Ledger::open().await;
    ledger.enqueue(&incremental(Source::Vima)).await;
    let housekeeping = ledger.enqueue(&NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule)).await;
    let pause = "INSERT INTO queue_pauses (queue, paused_at, paused_by) VALUES ('sync', now(), 'ada')";
    ledger.pool.execute(pause).await.expect("the jobs table responds");
    let batch = ledger.claim_many("w", false, 8).await;
    assert_eq!(batch.jobs.iter().map(|job| job.claim.job_id).collect::<Vec<_>>(), [housekeeping]);
    ledger.pool.execute("DELETE FROM queue_pauses").await.expect("the jobs table responds");
    assert!(ledger.claim("w").await.is_some());
}

#[tokio::test]
async fn a_tick_becomes_one_job_whoever_is_first() {
    let ledger = Ledger::open().await;
    let tick = "2026-01-15T10:00:00Z".parse().expect("a time");
    let enqueue = || enqueue_tick(&ledger.pool, &ledger.redis, "sync-vima", tick, incremental(Source::Vima));
    let ticked = futures_util::future::join_all((0..10).map(|_| enqueue())).await;
    let first = ticked.into_iter().filter(|ticked| matches!(ticked, Ok(Ticked::Enqueued(_)))).count();
    assert_eq!(first, 1);
    assert_eq!(enqueue().await.expect("the jobs table responds"), Ticked::Known);
    let jobs = sqlx::query_scalar!("SELECT count(*) FROM jobs").fetch_one(&ledger.pool).await.expect("a response");
    assert_eq!(jobs, Some(1));
}
