//! What is done to the jobs table, drawn at random: often what is common, often enough what is not.

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
/// Of the claims that were ever made, so many of the latest are still remembered by somebody.
const REMEMBERED: usize = 6;

/// Something that is done to the jobs table. A claim is named by how many were made since, whether it still holds or not.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Somebody asks for a job.
    Enqueue(Request),
    /// A worker takes what is due.
    Claim { worker: u8, isolated: bool, hands: u32 },
    /// Two workers do at once.
    ClaimBoth { hands: u32 },
    /// A worker says that it lives, of every claim that it ever had.
    Renew { worker: u8 },
    /// An effect is to be committed.
    Hold { claim: usize },
    /// An attempt ends.
    Finish { claim: usize, outcome: Outcome },
    /// Many end well at a time.
    SucceedAll { claims: Vec<usize> },
    /// Somebody wants a job stopped.
    Cancel { job: Index },
    /// A worker falls silent, and may come back.
    Expire { worker: u8, isolated: bool },
    /// The jobs of the silent are taken over.
    Rescue,
    /// A worker falls silent, and its jobs are taken over.
    Crash { worker: u8, isolated: bool },
    /// Whatever waits for its time need not wait any longer.
    LetTimePass,
    /// Nothing is claimed any more.
    Pause,
    /// It is again.
    Resume,
}

fn request() -> impl Strategy<Value = Request> {
    let key = prop::option::weighted(0.5, 0..2_u8);
    let seldom = || prop::bool::weighted(0.2);
    (key, any::<bool>(), seldom(), 0..Priority::ALL.len(), seldom()).prop_map(
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
    let claim = || 0..REMEMBERED;
    prop_oneof![
        5 => request().prop_map(Step::Enqueue),
        6 => (worker(), 1..4_u32).prop_map(|(worker, hands)| Step::Claim { worker, isolated: false, hands }),
        3 => worker().prop_map(|worker| Step::Claim { worker, isolated: true, hands: 1 }),
        2 => (1..3_u32).prop_map(|hands| Step::ClaimBoth { hands }),
        2 => worker().prop_map(|worker| Step::Renew { worker }),
        1 => claim().prop_map(|claim| Step::Hold { claim }),
        5 => (claim(), outcome()).prop_map(|(claim, outcome)| Step::Finish { claim, outcome }),
        2 => prop::collection::vec(claim(), 1..4).prop_map(|claims| Step::SucceedAll { claims }),
        2 => any::<Index>().prop_map(|job| Step::Cancel { job }),
        2 => (worker(), any::<bool>()).prop_map(|(worker, isolated)| Step::Expire { worker, isolated }),
        2 => Just(Step::Rescue),
        2 => (worker(), any::<bool>()).prop_map(|(worker, isolated)| Step::Crash { worker, isolated }),
        2 => Just(Step::LetTimePass),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
    ]
}

/// A worker dies at a job, which then dies so often alone, or does not: steps by themselves come to that too seldom.
fn death() -> impl Strategy<Value = Vec<Step>> {
    (0..WORKERS, 0..=usize::from(MAX_ISOLATED_DEATHS), outcome()).prop_map(|(worker, deaths, outcome)| {
        let claim = |isolated| Step::Claim { worker, isolated, hands: 1 };
        let mut steps = vec![Step::Resume, claim(false), Step::Crash { worker, isolated: false }];
        steps.extend((0..deaths).flat_map(|_| [claim(true), Step::Crash { worker, isolated: true }]));
        steps.extend([claim(true), Step::Finish { claim: 0, outcome }]);
        steps
    })
}

/// A case: what is done, one after another.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = prop_oneof![14 => step().prop_map(|step| vec![step]), 1 => death()];
    prop::collection::vec(some, 1..60).prop_map(|some| some.concat())
}
