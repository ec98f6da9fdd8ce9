use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const JOB: JobId = JobId(Uuid::from_u128(1));
const OTHER: JobId = JobId(Uuid::from_u128(2));

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_471_200 + second, 0).expect("a time")
}

/// A job that nothing but a free slot is missing for.
fn due() -> WaitFacts {
    WaitFacts {
        job_id: JOB,
        kind: "sync-payshack".to_owned(),
        state: JobState::Queued,
        due_at: at(0),
        is_due: true,
        error: None,
        is_suspect: false,
        queue: QueueFacts { name: "sync".to_owned(), workers: 1, slots: Some(8), claimed: 3, ..QueueFacts::default() },
        limit_held_by: None,
        ahead: 0,
        lease_ended_at: None,
        pauses: vec![],
    }
}

fn paused() -> QueueFacts {
    QueueFacts { paused_at: Some(at(-60)), paused_by: Some("ada".to_owned()), ..due().queue }
}

fn login_pause(provider: Source) -> ProviderPause {
    ProviderPause { provider, reason: PauseReason::Login, until: at(600), message: Some("Invalid password".to_owned()) }
}

fn codes(facts: &WaitFacts) -> Vec<&'static str> {
    facts.reasons().iter().map(|reason| reason.code().as_str()).collect()
}

#[test]
fn every_condition_of_a_claim_is_a_reason() {
    let running = || WaitFacts { state: JobState::Running, ..due() };
    let retrying =
        || WaitFacts { state: JobState::Retrying, is_due: false, error: Some("vima answered 503".to_owned()), ..due() };
    let no_worker = QueueFacts { workers: 0, ..due().queue };
    let rate_limit = ProviderPause { reason: PauseReason::RateLimit, message: None, ..login_pause(Source::Payshack) };
    for (facts, expected) in [
        (due(), &["free_slot"][..]),
        (WaitFacts { state: JobState::Scheduled, is_due: false, ..due() }, &["not_due"]),
        (retrying(), &["retry"]),
        (WaitFacts { is_due: true, ..retrying() }, &["free_slot"]),
        // A delay that no failure caused.
        (WaitFacts { error: None, ..retrying() }, &["not_due"]),
        (WaitFacts { queue: paused(), ..due() }, &["queue_paused"]),
        (WaitFacts { queue: no_worker.clone(), ..due() }, &["no_worker"]),
        (WaitFacts { queue: no_worker, ..retrying() }, &["no_worker", "retry"]),
        (WaitFacts { limit_held_by: Some(OTHER), ..due() }, &["limit"]),
        (WaitFacts { limit_held_by: Some(OTHER), ..retrying() }, &["retry"]),
        (WaitFacts { ahead: 3, ..due() }, &["urgent_jobs"]),
        (WaitFacts { is_suspect: true, ..due() }, &["isolation"]),
        (WaitFacts { is_suspect: true, ahead: 2, queue: paused(), ..due() }, &["queue_paused", "isolation"]),
        (running(), &[]),
        (WaitFacts { lease_ended_at: Some(at(-5)), ..running() }, &["rescue"]),
        (WaitFacts { pauses: vec![login_pause(Source::Payshack)], ..running() }, &["login_pause"]),
        (WaitFacts { pauses: vec![rate_limit], ..running() }, &["rate_limit"]),
        (WaitFacts { pauses: vec![login_pause(Source::Vima)], ..running() }, &[]),
        (WaitFacts { pauses: vec![login_pause(Source::Payshack)], ..due() }, &["free_slot"]),
    ] {
        assert_eq!(codes(&facts), expected, "{facts:?}");
    }
}

#[test]
fn sentences_name_what_is_waited_for() {
    let held = WaitReason::Limit { held_by: OTHER };
    assert_eq!(
        (held.to_string(), held.job_id()),
        (format!("job {OTHER} is running, and only one of the two may run at a time"), Some(OTHER))
    );
    let retry = WaitReason::Retry { at: at(30), error: "vima answered 503".to_owned() };
    let sentence = "the next attempt is due at 2026-01-15T10:00:30Z; the last one failed: vima answered 503";
    assert_eq!((retry.to_string().as_str(), retry.at()), (sentence, Some(at(30))));
    let paused = WaitFacts { queue: paused(), ..due() }.reasons().remove(0);
    assert_eq!(paused.to_string(), "ada paused the queue sync at 2026-01-15T09:59:00Z; resume it");
    let login = WaitReason::from(&login_pause(Source::Payshack));
    assert_eq!(
        login.to_string(),
        "payshack refused the login (Invalid password); no login before 2026-01-15T10:10:00Z, so that the account is not locked"
    );
    for (ahead, start) in [(1, "1 job "), (2, "2 jobs "), (1_000, "1000 or more jobs ")] {
        let urgent = WaitReason::UrgentJobs { ahead };
        assert!(urgent.to_string().starts_with(start) && urgent.count() == Some(ahead), "{urgent}");
    }
}

#[test]
fn job_blocks_only_if_no_slot_is_free() {
    for (claimed, slots, blocking) in [(3, Some(8), false), (8, Some(8), true), (300, None, false)] {
        assert_eq!(WaitReason::FreeSlot { claimed, slots }.is_blocking(), blocking, "{claimed} of {slots:?}");
    }
    assert!(WaitReason::NoScheduler.is_blocking());
}

fn any_facts() -> impl Strategy<Value = WaitFacts> {
    let state = prop::sample::select(JobState::ALL.to_vec());
    let flags = prop::array::uniform6(any::<bool>());
    (state, flags, 0_u64..3).prop_map(
        |(state, [is_due, is_suspect, is_paused, is_served, is_limited, is_lost], ahead)| {
            let queue = if is_paused { paused() } else { due().queue };
            WaitFacts {
                state,
                is_due,
                is_suspect,
                queue: QueueFacts { workers: u64::from(is_served), ..queue },
                limit_held_by: is_limited.then_some(OTHER),
                lease_ended_at: is_lost.then(|| at(-5)),
                ahead,
                ..due()
            }
        },
    )
}

proptest! {
    /// A waiting job always has a reason, a finished one never; each reason occurs once.
    #[test]
    fn exactly_the_jobs_that_wait_have_reasons(facts in any_facts()) {
        let codes = codes(&facts);
        match facts.state {
            JobState::Queued | JobState::Scheduled | JobState::Retrying => prop_assert!(!codes.is_empty()),
            JobState::Running => prop_assert_eq!(codes.len(), usize::from(facts.lease_ended_at.is_some())),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => prop_assert!(codes.is_empty()),
        }
        let mut once = codes.clone();
        once.dedup();
        prop_assert_eq!(&once, &codes);
        let claimable = facts.is_due && facts.queue.paused_at.is_none() && facts.queue.workers > 0
            && facts.limit_held_by.is_none() && facts.ahead == 0 && !facts.is_suspect;
        let waits = matches!(facts.state, JobState::Queued | JobState::Scheduled | JobState::Retrying);
        prop_assert_eq!(codes == ["free_slot"], claimable && waits);
    }
}
