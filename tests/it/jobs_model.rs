//! The jobs table against a model of it: whatever comes in whatever order, both are the same after each step.
//!
//! The steps are drawn at random and made one after another, but for claims, of which two may be made at once. Where a step
//! leads the two apart, proptest looks for the shortest way there.

mod model;
mod steps;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::db::jobs::claims;
use psp_dashboard::db::jobs::claims::{ClaimedBatch, Claimer, Success};
use psp_dashboard::db::jobs::leases;
use psp_dashboard::db::jobs::{control, queues};
use psp_dashboard::domain::job::attempt::Outcome;
use psp_dashboard::domain::job::{self, JobId, JobKind, JobState, NewJob, Priority, Trigger};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::redis::Redis;
use psp_test_jobs::kinds::NO_OP;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::is_long;
use crate::harness::servers::Servers;
use model::{Claim, Lease, Model, Request, Seen};
use steps::{LONG, Step, steps};

const LIMITED: JobKind = JobKind { name: "limited", limit: Some("limited"), ..NO_OP };

/// The jobs table and the model of it.
struct Pair {
    pool: PgPool,
    redis: Redis,
    model: Model,
    /// The jobs, in the order of the model.
    ids: Vec<JobId>,
    /// Every claim that was ever made, and by whom.
    claims: Vec<(String, Claim)>,
}

impl Pair {
    async fn empty(pool: &PgPool, redis: &Redis) -> Self {
        pool.execute("TRUNCATE jobs, queue_pauses, events CASCADE").await.expect("the jobs table responds");
        Self { pool: pool.clone(), redis: redis.clone(), model: Model::default(), ids: vec![], claims: vec![] }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Enqueue(request) => self.enqueue(*request).await,
            Step::Claim { worker, isolated, hands } => self.claim(&name(*worker, *isolated), *isolated, *hands).await,
            Step::ClaimBoth { hands } => self.claim_both(*hands).await,
            Step::Renew { worker } => self.renew(&name(*worker, false)).await,
            Step::Hold { claim } => self.hold(*claim).await,
            Step::Finish { claim, outcome } => self.finish(*claim, outcome).await,
            Step::SucceedAll { claims } => self.succeed_all(claims).await,
            Step::Cancel { job } => self.cancel(job).await,
            Step::Expire { worker, isolated } => self.expire(&name(*worker, *isolated)).await,
            Step::Rescue => self.rescue().await,
            Step::Crash { worker, isolated } => {
                self.expire(&name(*worker, *isolated)).await;
                self.rescue().await;
            }
            Step::LetTimePass => self.let_time_pass().await,
            Step::Pause => self.pause().await,
            Step::Resume => self.resume().await,
        }
    }

    async fn enqueue(&mut self, request: Request) {
        let job = NewJob {
            unique_key: request.key.map(|key| key.to_string()),
            force: request.force,
            priority: *Priority::ALL
                .iter()
                .find(|priority| **priority as i16 == request.priority)
                .expect("one of them"),
            delay: if request.delayed { LONG } else { Duration::ZERO },
            ..NewJob::without_args(if request.limited { &LIMITED } else { &NO_OP }, Trigger::Api)
        };
        let enqueued = enqueue_job(&self.pool, &self.redis, &job).await.expect("the jobs table accepts it");
        let (at, joined) = self.model.enqueue(request);
        if !joined {
            self.ids.push(enqueued.job_id);
        }
        assert_eq!((enqueued.job_id, enqueued.joined), (self.ids[at], joined), "the job that comes of the request");
    }

    async fn ask(&self, worker: &str, isolated: bool, hands: u32) -> ClaimedBatch {
        let queues = &[NO_OP.queue.to_owned()];
        let claimer = Claimer { queues, worker, lease: LONG, isolated };
        claims::claim(&self.pool, &claimer, hands).await.expect("the jobs table responds")
    }

    async fn claim(&mut self, worker: &str, isolated: bool, hands: u32) {
        let batch = self.ask(worker, isolated, hands).await;
        let claimable = self.model.claimable(isolated);
        let chosen = self.model.choose(&claimable, hands as usize);
        assert_eq!(self.places(&batch), chosen, "the best, in their order");
        assert_eq!(batch.more, claimable.len() > chosen.len(), "whether more is due");
        self.adopt(worker, isolated, &batch);
    }

    /// Which of two gets which job nobody can say; but each is one that may be claimed, and only one has the limit.
    async fn claim_both(&mut self, hands: u32) {
        let (one, two) = (name(0, false), name(1, false));
        let (first, second) = tokio::join!(self.ask(&one, false, hands), self.ask(&two, false, hands));
        let claimable = self.model.claimable(false);
        let mut claimed = [self.places(&first), self.places(&second)].concat();
        claimed.sort_by_key(|at| claimable.iter().position(|claimable| claimable == at));
        assert_eq!(self.model.choose(&claimed, claimed.len()), claimed, "one has the limit");
        assert!(claimed.iter().all(|at| claimable.contains(at)), "{claimed:?} of {claimable:?}");
        self.adopt(&one, false, &first);
        self.adopt(&two, false, &second);
    }

    fn places(&self, batch: &ClaimedBatch) -> Vec<usize> {
        let place = |job_id| self.ids.iter().position(|id| *id == job_id).expect("a job that was enqueued");
        batch.jobs.iter().map(|job| place(job.claim.job_id)).collect()
    }

    fn adopt(&mut self, worker: &str, isolated: bool, batch: &ClaimedBatch) {
        for (at, job) in self.places(batch).into_iter().zip(&batch.jobs) {
            let claim = self.model.claim(at, worker, isolated);
            assert_eq!((job.claim, job.attempt), (self.real(claim), self.attempt(at)), "the claim");
            self.claims.push((worker.to_owned(), claim));
        }
    }

    fn attempt(&self, at: usize) -> u32 {
        self.model.seen()[at].attempt.unsigned_abs()
    }

    fn real(&self, claim: Claim) -> job::Claim {
        job::Claim { job_id: self.ids[claim.job], epoch: claim.epoch }
    }

    /// The claim after which so many were made, counted around.
    fn remembered(&self, since: usize) -> Option<Claim> {
        let claims = self.claims.iter().rev().map(|(_, claim)| *claim);
        (!self.claims.is_empty()).then(|| claims.cycle().nth(since)).flatten()
    }

    async fn renew(&mut self, worker: &str) {
        let own: Vec<Claim> = self.claims.iter().filter(|(by, _)| by == worker).map(|(_, claim)| *claim).collect();
        let held: Vec<job::Claim> = own.iter().map(|claim| self.real(*claim)).collect();
        let renewed = leases::renew(&self.pool, &held, LONG).await.expect("the jobs table responds");
        for (claim, real) in own.into_iter().zip(held) {
            let told = renewed.iter().find(|renewed| renewed.claim == real).map(|renewed| renewed.cancel_requested);
            assert_eq!(told, self.model.renew(claim), "what is said of {claim:?}");
        }
    }

    async fn hold(&mut self, since: usize) {
        let Some(claim) = self.remembered(since) else { return };
        let mut connection = self.pool.acquire().await.expect("a connection");
        let held = claims::verify_claim(&mut connection, &self.real(claim), &json!({})).await;
        assert_eq!(self.model.holds(claim), written(held).is_some(), "whether {claim:?} holds");
    }

    async fn finish(&mut self, since: usize, outcome: &Outcome) {
        let Some(claim) = self.remembered(since) else { return };
        let mut connection = self.pool.acquire().await.expect("a connection");
        let state = written(claims::finish(&mut connection, &self.real(claim), outcome).await);
        assert_eq!(state, self.model.finish(claim, outcome), "where the job stands");
    }

    async fn succeed_all(&mut self, since: &[usize]) {
        let remembered: Vec<Claim> = since.iter().filter_map(|since| self.remembered(*since)).collect();
        let success = |claim: &Claim| Success { claim: self.real(*claim), result: Value::Null };
        let successes: Vec<Success> = remembered.iter().map(success).collect();
        let ended = claims::succeed_all(&self.pool, &successes).await.expect("the jobs table responds");
        let outcome = Outcome::Succeeded(Value::Null);
        let held = remembered.into_iter().filter(|claim| self.model.finish(*claim, &outcome).is_some());
        let held: Vec<Claim> = held.collect();
        assert_eq!(ended.len(), held.len(), "{ended:?} of {held:?}");
        assert!(held.iter().all(|claim| ended.contains(&self.real(*claim))), "{ended:?} of {held:?}");
    }

    async fn cancel(&mut self, index: &Index) {
        if self.ids.is_empty() {
            return;
        }
        let at = index.index(self.ids.len());
        let state = control::cancel(&self.pool, self.ids[at], "ada").await.expect("the jobs table responds");
        assert_eq!(state, self.model.cancel(at), "where the job stands");
    }

    async fn expire(&mut self, worker: &str) {
        sqlx::query!("UPDATE job_leases SET expires_at = now() - interval '1 second' WHERE worker = $1", worker)
            .execute(&self.pool)
            .await
            .expect("the jobs table responds");
        self.model.expire(worker);
    }

    async fn rescue(&mut self) {
        let lost = rescue_jobs(&self.pool, &self.redis, SystemClock.now()).await.expect("the jobs table responds");
        let lost: BTreeSet<JobId> = lost.into_iter().map(|lost| lost.job_id).collect();
        assert_eq!(lost, self.model.rescue().into_iter().map(|at| self.ids[at]).collect(), "the jobs of the dead");
    }

    async fn let_time_pass(&mut self) {
        let passed = "UPDATE jobs SET due_at = now()
                       WHERE due_at > now() AND state IN ('queued', 'scheduled', 'retrying')";
        self.pool.execute(passed).await.expect("the jobs table responds");
        self.model.let_time_pass();
    }

    async fn pause(&mut self) {
        queues::insert_pause(&self.pool, NO_OP.queue, "ada").await.expect("the jobs table responds");
        self.model.paused = true;
    }

    async fn resume(&mut self) {
        queues::delete_pause(&self.pool, NO_OP.queue).await.expect("the jobs table responds");
        self.model.paused = false;
    }

    /// What the database holds of every job.
    async fn seen(&self) -> Vec<Seen> {
        let rows = sqlx::query!(
            r#"SELECT state, priority, due_at <= now() AS "due!", jobs.epoch, attempt, suspect, deaths_alone,
                      cancel_requested_at IS NOT NULL AS "cancel_requested!", worker AS "worker?",
                      job_leases.epoch AS "lease_epoch?", alone AS "alone?", expires_at < now() AS expired,
                      ARRAY(SELECT COALESCE(outcome, 'open') FROM job_attempts WHERE job_id = jobs.id ORDER BY epoch)
                          AS "attempts!"
                 FROM jobs LEFT JOIN job_leases ON job_id = jobs.id ORDER BY jobs.id"#
        );
        let rows = rows.fetch_all(&self.pool).await.expect("the jobs table responds").into_iter();
        rows.map(|row| Seen {
            state: JobState::from_name(&row.state).expect("a state"),
            priority: row.priority,
            due: row.due,
            epoch: row.epoch,
            attempt: row.attempt,
            suspect: row.suspect,
            deaths_alone: row.deaths_alone,
            cancel_requested: row.cancel_requested,
            lease: row.worker.map(|worker| Lease {
                worker,
                epoch: row.lease_epoch.expect("a lease"),
                isolated: row.alone.expect("a lease"),
                expired: row.expired.expect("a lease"),
            }),
            attempts: row.attempts,
        })
        .collect()
    }
}

/// A name of a process; that of the child that runs suspects is another.
fn name(worker: u8, isolated: bool) -> String {
    format!("worker-{worker}{}", if isolated { "-isolated" } else { "" })
}

/// What came of a write; none where the claim was lost.
fn written<T>(result: Result<T, DbError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(DbError::ClaimLost) => None,
        Err(error) => panic!("{error}"),
    }
}

/// What holds of every job, whatever the model says.
fn assert_sound(seen: &[Seen]) {
    for job in seen {
        let running = job.state == JobState::Running;
        let holder = job.lease.as_ref().map(|lease| lease.epoch);
        assert_eq!(holder, running.then_some(job.epoch), "a job runs where it has a holder of its epoch: {job:?}");
        assert_eq!(i64::try_from(job.attempts.len()), Ok(job.epoch), "each claim is a row: {job:?}");
        let open = job.attempts.iter().filter(|outcome| *outcome == "open").count();
        assert_eq!(open, usize::from(running), "an attempt is open while it runs: {job:?}");
        assert!(!(job.suspect && job.state.is_finished()), "what has ended is no suspect: {job:?}");
    }
}

/// What may become of a job: some case must have met each of it, or the cases say little.
const EVERY_END: [&str; 10] = [
    "succeeded",
    "retried",
    "postponed",
    "failed",
    "handed_back",
    "cancelled",
    "lost",
    "poison",
    "acquitted",
    "told to stop",
];

/// What became of these jobs.
fn ends(seen: &[Seen]) -> BTreeSet<String> {
    let mut ends: BTreeSet<String> = seen.iter().flat_map(|job| job.attempts.clone()).collect();
    for job in seen {
        let last = job.attempts.last().map(String::as_str);
        let died = job.attempts.iter().any(|outcome| outcome == "lost");
        if job.state == JobState::Failed && last == Some("lost") {
            ends.insert("poison".to_owned());
        }
        if died && last == Some("succeeded") {
            ends.insert("acquitted".to_owned());
        }
        // While it ran, or it would have ended as it wanted to.
        if job.state == JobState::Cancelled && last.is_some_and(|last| last != "cancelled") {
            ends.insert("told to stop".to_owned());
        }
    }
    ends
}

#[test]
fn random_steps_leave_what_a_simple_model_says() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (servers, pool, redis) = runtime.block_on(async {
        let servers = Servers::start().await;
        let (pool, redis) = (servers.pool().await, servers.redis().await);
        (servers, pool, redis)
    });
    let config = Config { cases: if is_long() { 1_000 } else { 60 }, failure_persistence: None, ..Config::default() };
    // The same cases each time, unless there is time to look for others.
    let mut runner = if is_long() {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let met = RefCell::new(BTreeSet::new());
    let ran = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let mut pair = Pair::empty(&pool, &redis).await;
            for step in &steps {
                pair.take(step).await;
                let seen = pair.seen().await;
                assert_sound(&seen);
                assert_eq!(seen, pair.model.seen(), "after {step:?}");
            }
            let seen = pair.seen().await;
            met.borrow_mut().extend(ends(&seen));
        });
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    let unmet: Vec<_> = EVERY_END.iter().filter(|end| !met.borrow().contains(**end)).collect();
    assert!(unmet.is_empty(), "no case went through {unmet:?}");
    drop(servers);
}
