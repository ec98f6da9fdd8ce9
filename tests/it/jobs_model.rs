//! Random steps on the jobs table and on a model of it, which must be equal after each step.
//!
//! The steps run one after another, except that two workers may claim at the same time. If a step makes the two differ,
//! proptest reduces the case to a short one.

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
use psp_dashboard::db::jobs::claims::{ClaimedBatch, Claimer, Success, Suspects};
use psp_dashboard::db::jobs::leases;
use psp_dashboard::db::jobs::{control, queues};
use psp_dashboard::domain::job::attempt::Outcome;
use psp_dashboard::domain::job::{self, JobId, JobKind, JobState, NewJob, Priority, SuspectLength, Trigger};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::redis::Redis;
use psp_test_jobs::kinds::NO_OP;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::is_long;
use crate::harness::servers::Servers;
use model::{Claim, JobSnapshot, Lease, Model, Request};
use steps::{LONG, Step, steps};

const LIMITED: JobKind = JobKind { name: "limited", limit_key: Some("limited"), ..NO_OP };

/// The jobs table and its model.
struct Comparison {
    pool: PgPool,
    redis: Redis,
    model: Model,
    /// The ids of the jobs, in the order of the model.
    ids: Vec<JobId>,
    /// Every claim so far, with its worker.
    claims: Vec<(String, Claim)>,
}

impl Comparison {
    /// Empties the jobs table.
    async fn start(pool: &PgPool, redis: &Redis) -> Self {
        pool.execute("TRUNCATE jobs, queue_pauses, events CASCADE").await.expect("the jobs table responds");
        Self { pool: pool.clone(), redis: redis.clone(), model: Model::default(), ids: vec![], claims: vec![] }
    }

    async fn apply(&mut self, step: &Step) {
        match step {
            Step::Enqueue(request) => self.enqueue(*request).await,
            Step::Claim { worker, isolated, limit } => self.claim(&name(*worker, *isolated), *isolated, *limit).await,
            Step::ClaimTwice { limit } => self.claim_twice(*limit).await,
            Step::Renew { worker } => self.renew(&name(*worker, false)).await,
            Step::Verify { claim } => self.verify(*claim).await,
            Step::Finish { claim, outcome } => self.finish(*claim, outcome).await,
            Step::SucceedAll { claims } => self.succeed_all(claims).await,
            Step::Cancel { job } => self.cancel(job).await,
            Step::Expire { worker, isolated } => self.expire(&name(*worker, *isolated)).await,
            Step::Rescue => self.rescue().await,
            Step::Crash { worker, isolated } => {
                self.expire(&name(*worker, *isolated)).await;
                self.rescue().await;
            }
            Step::EndDelays => self.end_delays().await,
            Step::Pause => self.pause().await,
            Step::Resume => self.resume().await,
        }
    }

    async fn enqueue(&mut self, request: Request) {
        let job = NewJob {
            unique_key: request.key.map(|key| key.to_string()),
            force: request.force,
            priority: *Priority::ALL.iter().find(|priority| **priority as i16 == request.priority).expect("a priority"),
            delay: if request.delayed { LONG } else { Duration::ZERO },
            ..NewJob::without_args(if request.limited { &LIMITED } else { &NO_OP }, Trigger::Api)
        };
        let enqueued = enqueue_job(&self.pool, &self.redis, &job).await.expect("the job is enqueued");
        let (index, joined) = self.model.enqueue(request);
        if !joined {
            self.ids.push(enqueued.job_id);
        }
        assert_eq!((enqueued.job_id, enqueued.joined), (self.ids[index], joined), "the job of the request");
    }

    async fn claim_in_table(&self, worker: &str, isolated: bool, limit: u32) -> ClaimedBatch {
        let queues = &[NO_OP.queue.to_owned()];
        let suspects = isolated.then_some(Suspects { length: SuspectLength::Short, long_keys: &[] });
        let claimer = Claimer { queues, worker, lease: LONG, suspects };
        claims::claim(&self.pool, &claimer, limit).await.expect("the jobs table responds")
    }

    async fn claim(&mut self, worker: &str, isolated: bool, limit: u32) {
        let batch = self.claim_in_table(worker, isolated, limit).await;
        let claimable = self.model.claimable(isolated);
        let chosen = self.model.choose(&claimable, limit as usize);
        assert_eq!(self.indexes(&batch), chosen, "the claimed jobs, in order");
        assert_eq!(batch.more, claimable.len() > chosen.len(), "whether more jobs are due");
        self.record_claims(worker, isolated, &batch);
    }

    /// Two workers claim at the same time. It is not determined which gets which job, but all jobs are claimable, and only
    /// one of those that share a limit is claimed.
    async fn claim_twice(&mut self, limit: u32) {
        let (one, two) = (name(0, false), name(1, false));
        let (first, second) =
            tokio::join!(self.claim_in_table(&one, false, limit), self.claim_in_table(&two, false, limit));
        let claimable = self.model.claimable(false);
        let mut claimed = [self.indexes(&first), self.indexes(&second)].concat();
        claimed.sort_by_key(|index| claimable.iter().position(|claimable| claimable == index));
        assert_eq!(self.model.choose(&claimed, claimed.len()), claimed, "only one job has the limit");
        assert!(claimed.iter().all(|index| claimable.contains(index)), "{claimed:?} of {claimable:?}");
        self.record_claims(&one, false, &first);
        self.record_claims(&two, false, &second);
    }

    fn indexes(&self, batch: &ClaimedBatch) -> Vec<usize> {
        let index = |job_id| self.ids.iter().position(|id| *id == job_id).expect("a job that was enqueued");
        batch.jobs.iter().map(|job| index(job.claim.job_id)).collect()
    }

    fn record_claims(&mut self, worker: &str, isolated: bool, batch: &ClaimedBatch) {
        for (index, job) in self.indexes(batch).into_iter().zip(&batch.jobs) {
            let claim = self.model.claim(index, worker, isolated, job.claim.epoch);
            assert_eq!((job.claim, job.attempt), (self.real(claim), self.attempt(index)), "claim and attempt");
            self.claims.push((worker.to_owned(), claim));
        }
    }

    fn attempt(&self, index: usize) -> u32 {
        self.model.snapshots()[index].attempt.unsigned_abs()
    }

    fn real(&self, claim: Claim) -> job::Claim {
        job::Claim { job_id: self.ids[claim.job], epoch: claim.epoch }
    }

    /// The claim after which `newer` others were made; starts again from the newest if there are not that many.
    fn recent_claim(&self, newer: usize) -> Option<Claim> {
        let claims = self.claims.iter().rev().map(|(_, claim)| *claim);
        (!self.claims.is_empty()).then(|| claims.cycle().nth(newer)).flatten()
    }

    async fn renew(&mut self, worker: &str) {
        let own: Vec<Claim> = self.claims.iter().filter(|(by, _)| by == worker).map(|(_, claim)| *claim).collect();
        let held: Vec<job::Claim> = own.iter().map(|claim| self.real(*claim)).collect();
        let renewed = leases::renew(&self.pool, &held, LONG).await.expect("the jobs table responds");
        for (claim, real) in own.into_iter().zip(held) {
            let cancel_requested =
                renewed.iter().find(|renewed| renewed.claim == real).map(|renewed| renewed.cancel_requested);
            assert_eq!(cancel_requested, self.model.renew(claim), "whether {claim:?} is renewed and cancelled");
        }
    }

    async fn verify(&mut self, newer: usize) {
        let Some(claim) = self.recent_claim(newer) else { return };
        let mut connection = self.pool.acquire().await.expect("a connection");
        let verified = claims::verify_claim(&mut connection, &self.real(claim), &json!({})).await;
        assert_eq!(self.model.is_valid(claim), unless_claim_lost(verified).is_some(), "whether {claim:?} is valid");
    }

    async fn finish(&mut self, newer: usize, outcome: &Outcome) {
        let Some(claim) = self.recent_claim(newer) else { return };
        let mut connection = self.pool.acquire().await.expect("a connection");
        let state = unless_claim_lost(claims::finish(&mut connection, &self.real(claim), outcome).await);
        assert_eq!(state, self.model.finish(claim, outcome), "the state of the job");
    }

    async fn succeed_all(&mut self, newer: &[usize]) {
        let claims: Vec<Claim> = newer.iter().filter_map(|newer| self.recent_claim(*newer)).collect();
        let success = |claim: &Claim| Success { claim: self.real(*claim), result: Value::Null };
        let successes: Vec<Success> = claims.iter().map(success).collect();
        let finished = claims::succeed_all(&self.pool, &successes).await.expect("the jobs table responds");
        let outcome = Outcome::Succeeded(Value::Null);
        let valid = claims.into_iter().filter(|claim| self.model.finish(*claim, &outcome).is_some());
        let valid: Vec<Claim> = valid.collect();
        assert_eq!(finished.len(), valid.len(), "{finished:?} of {valid:?}");
        assert!(valid.iter().all(|claim| finished.contains(&self.real(*claim))), "{finished:?} of {valid:?}");
    }

    async fn cancel(&mut self, index: &Index) {
        if self.ids.is_empty() {
            return;
        }
        let index = index.index(self.ids.len());
        let state = control::cancel(&self.pool, self.ids[index], "ada").await.expect("the jobs table responds");
        assert_eq!(state, self.model.cancel(index), "the state of the job");
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
        assert_eq!(lost, self.model.rescue().into_iter().map(|index| self.ids[index]).collect(), "the rescued jobs");
    }

    async fn end_delays(&mut self) {
        let end_delays = "UPDATE jobs SET due_at = now()
                       WHERE due_at > now() AND state IN ('queued', 'scheduled', 'retrying')";
        self.pool.execute(end_delays).await.expect("the jobs table responds");
        self.model.end_delays();
    }

    async fn pause(&mut self) {
        queues::insert_pause(&self.pool, NO_OP.queue, "ada").await.expect("the jobs table responds");
        self.model.paused = true;
    }

    async fn resume(&mut self) {
        queues::delete_pause(&self.pool, NO_OP.queue).await.expect("the jobs table responds");
        self.model.paused = false;
    }

    /// Every job in the database.
    async fn snapshots(&self) -> Vec<JobSnapshot> {
        let rows = sqlx::query!(
            r#"SELECT state, priority, due_at <= now() AS "due!", jobs.epoch, attempt, suspect, deaths_alone,
                      cancel_requested_at IS NOT NULL AS "cancel_requested!", worker AS "worker?",
                      job_leases.epoch AS "lease_epoch?", alone AS "alone?", expires_at < now() AS expired,
                      ARRAY(SELECT COALESCE(outcome, 'open') FROM job_attempts WHERE job_id = jobs.id ORDER BY epoch)
                          AS "attempts!"
                 FROM jobs LEFT JOIN job_leases ON job_id = jobs.id ORDER BY jobs.id"#
        );
        let rows = rows.fetch_all(&self.pool).await.expect("the jobs table responds").into_iter();
        rows.map(|row| JobSnapshot {
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

/// The name of a worker. The child process that runs suspects has its own.
fn name(worker: u8, isolated: bool) -> String {
    format!("worker-{worker}{}", if isolated { "-isolated" } else { "" })
}

/// The result of a write; `None` if the claim was lost.
fn unless_claim_lost<T>(result: Result<T, DbError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(DbError::ClaimLost) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Asserts what is true of every job, regardless of the model.
fn assert_invariants(jobs: &[JobSnapshot]) {
    for job in jobs {
        let running = job.state == JobState::Running;
        let holder = job.lease.as_ref().map(|lease| lease.epoch);
        assert_eq!(
            holder,
            running.then_some(job.epoch),
            "a job is running if and only if it has a lease of its epoch: {job:?}"
        );
        assert_eq!(job.attempts.is_empty(), job.epoch == 0, "a job that was claimed has attempts: {job:?}");
        let open = job.attempts.iter().filter(|outcome| *outcome == "open").count();
        assert_eq!(open, usize::from(running), "a running job has one open attempt, any other none: {job:?}");
        assert!(!(job.suspect && job.state.is_finished()), "a finished job is not suspect: {job:?}");
    }
}

/// What can happen to a job. Every entry must occur in some case, or the cases test too little.
const EXPECTED_EVENTS: [&str; 10] = [
    "succeeded",
    "retried",
    "postponed",
    "failed",
    "handed_back",
    "cancelled",
    "lost",
    "poison",
    "cleared",
    "cancelled while running",
];

/// What has happened to these jobs.
fn events(jobs: &[JobSnapshot]) -> BTreeSet<String> {
    let mut events: BTreeSet<String> = jobs.iter().flat_map(|job| job.attempts.clone()).collect();
    for job in jobs {
        let last = job.attempts.last().map(String::as_str);
        let was_lost = job.attempts.iter().any(|outcome| outcome == "lost");
        if job.state == JobState::Failed && last == Some("lost") {
            events.insert("poison".to_owned());
        }
        if was_lost && last == Some("succeeded") {
            events.insert("cleared".to_owned());
        }
        // Its last attempt ended with another outcome, so the cancellation was requested while it was running.
        if job.state == JobState::Cancelled && last.is_some_and(|last| last != "cancelled") {
            events.insert("cancelled while running".to_owned());
        }
    }
    events
}

#[test]
fn random_steps_leave_the_same_state_as_a_model() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (servers, pool, redis) = runtime.block_on(async {
        let servers = Servers::start().await;
        let (pool, redis) = (servers.pool().await, servers.redis().await);
        (servers, pool, redis)
    });
    let config = Config { cases: if is_long() { 1_000 } else { 60 }, failure_persistence: None, ..Config::default() };
    // The same cases each time, except in long campaigns.
    let mut runner = if is_long() {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let observed = RefCell::new(BTreeSet::new());
    let ran = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let mut comparison = Comparison::start(&pool, &redis).await;
            for step in &steps {
                comparison.apply(step).await;
                let jobs = comparison.snapshots().await;
                assert_invariants(&jobs);
                assert_eq!(jobs, comparison.model.snapshots(), "after {step:?}");
            }
            let snapshots = comparison.snapshots().await;
            observed.borrow_mut().extend(events(&snapshots));
        });
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    let missing: Vec<_> = EXPECTED_EVENTS.iter().filter(|event| !observed.borrow().contains(**event)).collect();
    assert!(missing.is_empty(), "these occurred in no case: {missing:?}");
    drop(servers);
}
