//! Random steps on the jobs table: common ones often, rare ones often enough.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use psp_dashboard::domain::job::Priority;
use psp_dashboard::domain::job::attempt::{MAX_ISOLATED_DEATHS, Outcome};
use serde_json::Value;

use super::model::Request;

/// Longer than any case lasts.
pub(super) const LONG: Duration = Duration::from_hours(1);
const WORKERS: u8 = 3;
/// How many of the latest claims steps use.
const RECENT_CLAIMS: usize = 6;

/// A step on the jobs table. A claim, valid or not, is identified by how many were made after it.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Enqueue(Request),
    Claim {
        worker: u8,
        isolated: bool,
        limit: u32,
    },
    /// Two workers claim at the same time.
    ClaimTwice {
        limit: u32,
    },
    /// A worker renews the leases of all claims that it ever had.
    Renew {
        worker: u8,
    },
    /// A worker verifies its claim before it commits an effect.
    Verify {
        claim: usize,
    },
    Finish {
        claim: usize,
        outcome: Outcome,
    },
    /// Several attempts succeed in one statement.
    SucceedAll {
        claims: Vec<usize>,
    },
    Cancel {
        job: Index,
    },
    /// The leases of a worker expire; it may continue.
    Expire {
        worker: u8,
        isolated: bool,
    },
    /// Jobs with expired leases are rescued.
    Rescue,
    /// The leases of a worker expire, and its jobs are rescued.
    Crash {
        worker: u8,
        isolated: bool,
    },
    /// Delayed jobs become due.
    EndDelays,
    /// The queue is paused.
    Pause,
    Resume,
}

fn request() -> impl Strategy<Value = Request> {
    let key = prop::option::weighted(0.5, 0..2_u8);
    let rarely = || prop::bool::weighted(0.2);
    (key, any::<bool>(), rarely(), 0..Priority::ALL.len(), rarely()).prop_map(
        |(key, limited, force, urgency, delayed)| Request {
            key,
            limited,
            force,
            priority: Priority::ALL[urgency] as i16,
            delayed,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let after = || prop_oneof![Just(Duration::ZERO), Just(LONG)];
    let error = || "no".to_owned();
    prop_oneof![
        3 => Just(Outcome::Succeeded(Value::Null)),
        2 => after().prop_map(move |after| Outcome::Retry { error: error(), after }),
        1 => after().prop_map(move |after| Outcome::Postponed { error: error(), after }),
        1 => Just(Outcome::Failed(error())),
        2 => Just(Outcome::HandedBack),
        1 => Just(Outcome::Cancelled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0..WORKERS;
    let claim = || 0..RECENT_CLAIMS;
    prop_oneof![
        5 => request().prop_map(Step::Enqueue),
        6 => (worker(), 1..4_u32).prop_map(|(worker, limit)| Step::Claim { worker, isolated: false, limit }),
        3 => worker().prop_map(|worker| Step::Claim { worker, isolated: true, limit: 1 }),
        2 => (1..3_u32).prop_map(|limit| Step::ClaimTwice { limit }),
        2 => worker().prop_map(|worker| Step::Renew { worker }),
        1 => claim().prop_map(|claim| Step::Verify { claim }),
        5 => (claim(), outcome()).prop_map(|(claim, outcome)| Step::Finish { claim, outcome }),
        2 => prop::collection::vec(claim(), 1..4).prop_map(|claims| Step::SucceedAll { claims }),
        2 => any::<Index>().prop_map(|job| Step::Cancel { job }),
        2 => (worker(), any::<bool>()).prop_map(|(worker, isolated)| Step::Expire { worker, isolated }),
        2 => Just(Step::Rescue),
        2 => (worker(), any::<bool>()).prop_map(|(worker, isolated)| Step::Crash { worker, isolated }),
        2 => Just(Step::EndDelays),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
    ]
}

/// A worker crashes with a job, which may crash again in isolation: single random steps rarely lead there.
fn repeated_crash() -> impl Strategy<Value = Vec<Step>> {
    (0..WORKERS, 0..=usize::from(MAX_ISOLATED_DEATHS), outcome()).prop_map(|(worker, crashes, outcome)| {
        let claim = |isolated| Step::Claim { worker, isolated, limit: 1 };
        let mut steps = vec![Step::Resume, claim(false), Step::Crash { worker, isolated: false }];
        steps.extend((0..crashes).flat_map(|_| [claim(true), Step::Crash { worker, isolated: true }]));
        steps.extend([claim(true), Step::Finish { claim: 0, outcome }]);
        steps
    })
}

/// The steps of a case.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let part = prop_oneof![14 => step().prop_map(|step| vec![step]), 1 => repeated_crash()];
    prop::collection::vec(part, 1..60).prop_map(|parts| parts.concat())
}
