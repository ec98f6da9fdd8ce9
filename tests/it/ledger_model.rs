//! The ledger against a simple model: whatever is done to jobs, in whatever order and by whomever, both say the same.
//!
//! A case is a list of random steps. Steps name jobs and claims by their place among all there have been, so that claims
//! long void are used again as if nothing had happened: that is a worker that comes back from the dead, and a bell that
//! was delivered twice.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::claims::{Claimer, Success, claim, finish, hold_claim, succeed_all};
use psp_dashboard::db::leases::{Renewed, renew};
use psp_dashboard::db::{DbError, job_control};
use psp_dashboard::domain::attempt::{DEATHS_ALONE, Outcome};
use psp_dashboard::domain::job::{Backoff, Claim, JobId, JobKind, JobState, NewJob, Priority, Trigger};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_dashboard::wire::Wire;
use serde_json::json;
use sqlx::PgPool;

use crate::harness::is_long;
use crate::harness::servers::Servers;

const FREE: JobKind = JobKind {
    name: "model-free",
    queue: "model",
    timeout: Duration::from_mins(1),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) },
    limit: None,
};
const LIMITED: JobKind = JobKind { name: "model-limited", limit: Some("model"), ..FREE };
const WORKERS: [&str; 3] = ["ada", "bob", "cyd"];
const LEASE: Duration = Duration::from_mins(5);
const LATER: Duration = Duration::from_hours(1);

/// Something that is done. Places are counted around: the claim at place 7 of three is the second.
#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        limited: bool,
        key: Option<u8>,
        force: bool,
        priority: usize,
        delayed: bool,
    },
    Claim {
        worker: usize,
        alone: bool,
        hands: u32,
    },
    Renew {
        place: usize,
    },
    Write {
        place: usize,
    },
    Finish {
        place: usize,
        outcome: Outcome,
    },
    Cancel {
        place: usize,
    },
    /// A worker falls silent: its leases run out.
    FallSilent {
        worker: usize,
    },
    Rescue,
    /// Whatever waits for its time need not wait any longer.
    TimePasses,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (after, error) = (LATER, "no answer".to_owned());
    let outcome = prop_oneof![
        4 => Just(Outcome::Succeeded(json!({"done": true}))),
        2 => Just(Outcome::Retry { error: error.clone(), after }),
        1 => Just(Outcome::Retry { error: error.clone(), after: Duration::ZERO }),
        1 => Just(Outcome::Postponed { error: error.clone(), after }),
        1 => Just(Outcome::Failed(error)),
        1 => Just(Outcome::HandedBack),
        1 => Just(Outcome::Cancelled),
    ];
    let step = prop_oneof![
        5 => (any::<bool>(), proptest::option::of(0..3_u8), any::<bool>(), 0..3_usize, any::<bool>()).prop_map(
            |(limited, key, force, priority, delayed)| Step::Enqueue { limited, key, force, priority, delayed }
        ),
        6 => (0..3_usize, any::<bool>(), 1..4_u32).prop_map(|(worker, alone, hands)| Step::Claim { worker, alone, hands }),
        2 => any::<usize>().prop_map(|place| Step::Renew { place }),
        2 => any::<usize>().prop_map(|place| Step::Write { place }),
        5 => (any::<usize>(), outcome).prop_map(|(place, outcome)| Step::Finish { place, outcome }),
        1 => any::<usize>().prop_map(|place| Step::Cancel { place }),
        3 => (0..3_usize).prop_map(|worker| Step::FallSilent { worker }),
        3 => Just(Step::Rescue),
        2 => Just(Step::TimePasses),
    ];
    proptest::collection::vec(step, 10..60)
}

/// What the model knows of a job.
#[derive(Debug, Clone, PartialEq)]
struct Job {
    id: JobId,
    kind: &'static JobKind,
    key: Option<String>,
    forced: bool,
    priority: i16,
    state: JobState,
    attempt: i32,
    epoch: i64,
    suspect: bool,
    deaths_alone: i16,
    cancel_requested: bool,
    /// The step at which it became due; none where its time has not come.
    due: Option<usize>,
    lease: Option<Lease>,
}

/// Who has it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lease {
    worker: &'static str,
    alone: bool,
    run_out: bool,
}

/// What is compared of a job.
#[derive(Debug, PartialEq)]
struct Seen {
    id: JobId,
    state: String,
    priority: i16,
    attempt: i32,
    epoch: i64,
    suspect: bool,
    deaths_alone: i16,
    holder: Option<String>,
    attempts_noted: i64,
}

impl Job {
    fn waits(&self) -> bool {
        matches!(self.state, JobState::Queued | JobState::Scheduled | JobState::Retrying)
    }

    fn is_held_by(&self, claim: &Claim) -> bool {
        self.state == JobState::Running && self.id == claim.job_id && self.epoch == claim.epoch
    }

    fn seen(&self) -> Seen {
        Seen {
            id: self.id,
            state: self.state.as_str().to_owned(),
            priority: self.priority,
            attempt: self.attempt,
            epoch: self.epoch,
            suspect: self.suspect,
            deaths_alone: self.deaths_alone,
            holder: self.lease.map(|lease| lease.worker.to_owned()),
            // Every claim is an attempt that is noted.
            attempts_noted: self.epoch,
        }
    }

    fn end(&mut self, outcome: &Outcome, step: usize) {
        let next = outcome.next_state();
        self.state = if next.is_finished() || !self.cancel_requested { next } else { JobState::Cancelled };
        if outcome.counts() {
            (self.suspect, self.deaths_alone) = (false, 0);
        } else {
            self.attempt -= 1;
        }
        self.due = outcome.wait().is_zero().then_some(step);
        self.lease = None;
    }

    fn lose_its_worker(&mut self, step: usize) {
        let alone = self.lease.take().is_some_and(|lease| lease.alone);
        self.deaths_alone += i16::from(alone);
        self.attempt -= 1;
        self.state = if self.cancel_requested {
            JobState::Cancelled
        } else if self.deaths_alone >= i16::try_from(DEATHS_ALONE).expect("a small number") {
            JobState::Failed
        } else {
            JobState::Retrying
        };
        self.suspect = self.state == JobState::Retrying;
        self.due = Some(step);
    }
}

/// The ledger and its model, side by side.
struct Trial {
    pool: PgPool,
    wire: Wire,
    jobs: Vec<Job>,
    claims: Vec<Claim>,
    step: usize,
}

impl Trial {
    async fn take(&mut self, step: &Step) {
        self.step += 1;
        match step {
            Step::Enqueue { limited, key, force, priority, delayed } => {
                let job = NewJob {
                    unique_key: key.map(|key| format!("key {key}")),
                    force: *force,
                    priority: Priority::ALL[*priority],
                    delay: if *delayed { LATER } else { Duration::ZERO },
                    ..NewJob::plain(if *limited { &LIMITED } else { &FREE }, Trigger::Api)
                };
                self.enqueue(&job).await;
            }
            Step::Claim { worker, alone, hands } => self.claim(WORKERS[*worker], *alone, *hands).await,
            Step::Renew { place } => self.renew(*place).await,
            Step::Write { place } => self.write(*place).await,
            Step::Finish { place, outcome } => self.finish(*place, outcome).await,
            Step::Cancel { place } => self.cancel(*place).await,
            Step::FallSilent { worker } => self.fall_silent(WORKERS[*worker]).await,
            Step::Rescue => self.rescue().await,
            Step::TimePasses => self.let_time_pass().await,
        }
    }

    async fn enqueue(&mut self, job: &NewJob) {
        let step = self.step;
        let enqueued = enqueue_job(&self.pool, &self.wire, job).await.expect("the ledger takes it");
        let mut alike: Vec<&mut Job> = self
            .jobs
            .iter_mut()
            .filter(|other| !other.state.is_finished() && other.kind == job.kind)
            .filter(|other| job.unique_key.is_some() && other.key == job.unique_key)
            .collect();
        // The one that others would join: not forced to queue behind, then the oldest.
        alike.sort_by_key(|other| other.forced);
        let priority = job.priority as i16;
        let forced = !alike.is_empty();
        match alike.into_iter().next().filter(|_| !job.force) {
            Some(live) => {
                assert_eq!((enqueued.job_id, enqueued.joined), (live.id, true));
                if live.waits() && live.priority > priority {
                    live.priority = priority;
                    live.due = live.due.or(Some(step));
                }
            }
            None => {
                assert!(!enqueued.joined, "there is nothing to join");
                self.jobs.push(Job {
                    id: enqueued.job_id,
                    kind: job.kind,
                    key: job.unique_key.clone(),
                    forced,
                    priority,
                    state: if job.delay.is_zero() { JobState::Queued } else { JobState::Scheduled },
                    attempt: 0,
                    epoch: 0,
                    suspect: false,
                    deaths_alone: 0,
                    cancel_requested: false,
                    due: job.delay.is_zero().then_some(step),
                    lease: None,
                });
            }
        }
    }

    async fn claim(&mut self, worker: &'static str, alone: bool, hands: u32) {
        let queues = &[FREE.queue.to_owned()];
        let claimer = Claimer { queues, worker, lease: LEASE, alone };
        let batch = claim(&self.pool, &claimer, hands).await.expect("the ledger answers");
        let is_limited = |job: &Job| job.kind.limit.is_some();
        let taken = self.jobs.iter().any(|job| job.lease.is_some() && is_limited(job));
        let mut due: Vec<&mut Job> = self
            .jobs
            .iter_mut()
            .filter(|job| job.waits() && job.due.is_some() && job.suspect == alone && !(taken && is_limited(job)))
            .collect();
        due.sort_by_key(|job| (job.priority, job.due, job.id));
        let mut limit_is_free = true;
        let mut expected = vec![];
        for job in due.into_iter().take(hands as usize) {
            if is_limited(job) {
                if !limit_is_free {
                    continue;
                }
                limit_is_free = false;
            }
            job.state = JobState::Running;
            job.attempt += 1;
            job.epoch += 1;
            job.lease = Some(Lease { worker, alone, run_out: false });
            expected.push((Claim { job_id: job.id, epoch: job.epoch }, job.attempt));
        }
        let claimed: Vec<_> =
            batch.jobs.iter().map(|job| (job.claim, i32::try_from(job.attempt).expect("a small number"))).collect();
        assert_eq!(claimed, expected);
        self.claims.extend(claimed.into_iter().map(|(claim, _)| claim));
    }

    /// The claim at this place, and the job it is on.
    fn at(&mut self, place: usize) -> Option<(Claim, &mut Job)> {
        let count = self.claims.len();
        let claim = (count > 0).then(|| self.claims[place % count])?;
        self.jobs.iter_mut().find(|job| job.id == claim.job_id).map(|job| (claim, job))
    }

    async fn renew(&mut self, place: usize) {
        let pool = self.pool.clone();
        let Some((claim, job)) = self.at(place) else { return };
        let renewed = renew(&pool, &[claim], LEASE).await.expect("the ledger answers");
        let expected: Vec<Renewed> = job
            .is_held_by(&claim)
            .then_some(Renewed { claim, cancel_requested: job.cancel_requested })
            .into_iter()
            .collect();
        assert_eq!(renewed, expected);
        if let Some(lease) = job.lease.as_mut().filter(|_| !expected.is_empty()) {
            lease.run_out = false;
        }
    }

    async fn write(&mut self, place: usize) {
        let pool = self.pool.clone();
        let Some((claim, job)) = self.at(place) else { return };
        let mut connection = pool.acquire().await.expect("a connection");
        let held = hold_claim(&mut connection, &claim, &json!({"progress": 1})).await;
        assert_eq!(held.is_ok(), job.is_held_by(&claim), "{held:?}");
        assert!(matches!(held, Ok(()) | Err(DbError::ClaimLost)), "{held:?}");
    }

    async fn finish(&mut self, place: usize, outcome: &Outcome) {
        let (pool, step) = (self.pool.clone(), self.step);
        let Some((claim, job)) = self.at(place) else { return };
        let ended = if let Outcome::Succeeded(result) = outcome {
            let ended = succeed_all(&pool, &[Success { claim, result: result.clone() }]).await;
            ended.expect("the ledger answers") == [claim]
        } else {
            let ended = finish(&mut pool.acquire().await.expect("a connection"), &claim, outcome).await;
            assert!(matches!(ended, Ok(_) | Err(DbError::ClaimLost)), "{ended:?}");
            ended.is_ok()
        };
        assert_eq!(ended, job.is_held_by(&claim), "{claim:?}");
        if ended {
            job.end(outcome, step);
        }
    }

    async fn cancel(&mut self, place: usize) {
        let count = self.jobs.len();
        let Some(job) = self.jobs.get_mut(place % count.max(1)) else { return };
        let state = job_control::cancel(&self.pool, job.id, "otto").await.expect("the ledger answers");
        if job.state.is_finished() {
            assert_eq!(state, None, "what has ended cannot be cancelled");
            return;
        }
        job.cancel_requested = true;
        if job.waits() {
            (job.state, job.suspect) = (JobState::Cancelled, false);
        }
        assert_eq!(state, Some(job.state));
    }

    async fn fall_silent(&mut self, worker: &str) {
        sqlx::query!("UPDATE job_leases SET expires_at = now() - interval '1 second' WHERE worker = $1", worker)
            .execute(&self.pool)
            .await
            .expect("the ledger answers");
        for lease in self.jobs.iter_mut().filter_map(|job| job.lease.as_mut()).filter(|lease| lease.worker == worker) {
            lease.run_out = true;
        }
    }

    async fn rescue(&mut self) {
        let step = self.step;
        let lost = rescue_jobs(&self.pool, &self.wire, SystemClock.now()).await.expect("the ledger answers");
        let rescued: HashSet<(JobId, JobState)> = lost.into_iter().map(|lost| (lost.job_id, lost.state)).collect();
        let mut expected = HashSet::new();
        for job in self.jobs.iter_mut().filter(|job| job.lease.is_some_and(|lease| lease.run_out)) {
            job.lose_its_worker(step);
            expected.insert((job.id, job.state));
        }
        assert_eq!(rescued, expected);
    }

    async fn let_time_pass(&mut self) {
        sqlx::query!("UPDATE jobs SET due_at = now() WHERE due_at > now()")
            .execute(&self.pool)
            .await
            .expect("an answer");
        let step = self.step;
        for job in &mut self.jobs {
            job.due = job.due.or(Some(step));
        }
    }

    /// The ledger says of every job what the model says, and nothing that must never be.
    async fn assert_agreement(&self) {
        let seen = sqlx::query!(
            r#"SELECT id, state, priority, attempt, jobs.epoch, suspect, deaths_alone, worker AS "holder?",
                      (SELECT count(*) FROM job_attempts WHERE job_attempts.job_id = jobs.id) AS "attempts_noted!"
                 FROM jobs LEFT JOIN job_leases ON job_leases.job_id = jobs.id AND job_leases.epoch = jobs.epoch
                ORDER BY id"#
        );
        let seen: Vec<Seen> = seen
            .fetch_all(&self.pool)
            .await
            .expect("the ledger answers")
            .into_iter()
            .map(|row| Seen {
                id: JobId(row.id),
                state: row.state,
                priority: row.priority,
                attempt: row.attempt,
                epoch: row.epoch,
                suspect: row.suspect,
                deaths_alone: row.deaths_alone,
                holder: row.holder,
                attempts_noted: row.attempts_noted,
            })
            .collect();
        assert_eq!(seen, self.jobs.iter().map(Job::seen).collect::<Vec<_>>());
        let odd = sqlx::query_scalar!(
            r#"SELECT (SELECT count(*) FROM job_leases JOIN jobs ON jobs.id = job_id WHERE state <> 'running')
                    + (SELECT count(*) FROM jobs WHERE state = 'running'
                          AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_id = jobs.id AND job_leases.epoch = jobs.epoch))
                    + (SELECT count(*) FROM jobs WHERE (finished_at IS NULL)
                          <> (state IN ('queued', 'scheduled', 'running', 'retrying')))
                    + (SELECT count(*) FROM job_attempts JOIN jobs ON jobs.id = job_id
                        WHERE (job_attempts.finished_at IS NULL) <> (state = 'running' AND job_attempts.epoch = jobs.epoch))
                      AS "odd!""#
        );
        assert_eq!(odd.fetch_one(&self.pool).await.expect("the ledger answers"), 0, "rows that contradict each other");
    }
}

#[tokio::test]
async fn random_steps_leave_what_a_simple_model_says() {
    let servers = Servers::start().await;
    let (pool, wire) = (servers.pool().await, servers.wire().await);
    let mut runner = TestRunner::deterministic();
    for case in 0..if is_long() { 1_000 } else { 40 } {
        let steps = steps().new_tree(&mut runner).expect("a case").current();
        sqlx::query!("TRUNCATE jobs, job_leases, job_attempts, events").execute(&pool).await.expect("an empty ledger");
        let mut trial = Trial { pool: pool.clone(), wire: wire.clone(), jobs: vec![], claims: vec![], step: 0 };
        for (place, step) in steps.iter().enumerate() {
            // Whichever assertion fails, the log of the test ends with the step it failed at.
            println!("case {case}, step {place}: {step:?}");
            trial.take(step).await;
            trial.assert_agreement().await;
        }
    }
}
