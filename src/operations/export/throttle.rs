//! Background threads for exports, which yield to other work.
//!
//! An export keeps a processor busy for seconds, and a request that takes a millisecond must not wait for it. On a thread
//! of the runtime it would delay whatever runs there next; on an ordinary thread it would take its full share of the
//! processors. So each export has its own thread, with a lower priority where threads can have one (Linux).
//!
//! That is not enough if the database is on the same machine: it works for an export as for any other client, as fast as
//! rows are consumed. So the thread also sleeps for as long as it works: in a web process while other requests come in,
//! and always in a worker, which does not see the requests of other processes, and whose files no user is waiting for.
//!
//! Rejected: `SCHED_IDLE`, under which a thread that holds a lock of the runtime can be starved while everything waits for
//! that lock; and sleeping only when the thread itself had to wait for a processor, which says too little about how long
//! other threads wait.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// Leaves the thread about a tenth of its share of a processor that others want.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// How long the thread works before it pauses.
const WORK: Duration = Duration::from_millis(2);
/// The longest pause: part of the work was waiting for rows or for the receiver.
const MAX_PAUSE: Duration = Duration::from_millis(10);
/// How often the request counter is read.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Runs a task to completion on a background thread. The task may block.
pub(super) fn spawn_background_thread<F: Future>(task: impl FnOnce() -> F + Send + 'static) -> io::Result<()> {
    let runtime = Handle::current();
    thread::Builder::new().name("export".to_owned()).spawn(move || {
        lower_priority();
        runtime.block_on(task());
    })?;
    Ok(())
}

fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "failed to lower the priority of an export thread");
    }
}

/// The number of requests that a process has received.
#[derive(Debug, Clone, Default)]
pub struct RequestCounter(Arc<AtomicU64>);

impl RequestCounter {
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When an export pauses.
#[derive(Debug, Clone)]
pub(super) enum ThrottlePolicy {
    /// While other requests come in.
    WhileOthersRequest(RequestCounter),
    Always,
}

/// The pauses of one export.
#[derive(Debug)]
pub(super) struct Throttle {
    policy: ThrottlePolicy,
    requests: u64,
    checked_at: Instant,
    others_request: bool,
    working_since: Instant,
}

impl Throttle {
    /// Requests received before now, including the one for this export, cause no pause.
    pub(super) fn start(policy: &ThrottlePolicy) -> Self {
        Self::start_at(Instant::now(), policy)
    }

    fn start_at(now: Instant, policy: &ThrottlePolicy) -> Self {
        let (requests, others_request) = match policy {
            ThrottlePolicy::WhileOthersRequest(requests) => (requests.get(), false),
            ThrottlePolicy::Always => (0, true),
        };
        Self { policy: policy.clone(), requests, checked_at: now, others_request, working_since: now }
    }

    /// Puts the thread to sleep if a pause is due.
    pub(super) fn pause_if_due(&mut self) {
        if let Some(pause) = self.due_pause(Instant::now()) {
            thread::sleep(pause);
            self.working_since = Instant::now();
        }
    }

    fn due_pause(&mut self, now: Instant) -> Option<Duration> {
        let worked = now - self.working_since;
        if worked < WORK {
            return None;
        }
        self.working_since = now;
        self.check_requests(now);
        self.others_request.then(|| worked.min(MAX_PAUSE))
    }

    fn check_requests(&mut self, now: Instant) {
        let ThrottlePolicy::WhileOthersRequest(requests) = &self.policy else { return };
        if now - self.checked_at >= CHECK_INTERVAL {
            let requests = requests.get();
            self.others_request = requests != self.requests;
            self.requests = requests;
            self.checked_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_as_long_as_the_work_but_limited() {
        let started = Instant::now();
        let mut throttle = Throttle::start_at(started, &ThrottlePolicy::Always);
        for (at, pause) in [(1, None), (3, Some(3)), (4, None), (5, Some(2)), (3_000, Some(10))] {
            let due = throttle.due_pause(started + Duration::from_millis(at));
            assert_eq!(due, pause.map(Duration::from_millis), "{at} ms");
        }
    }

    #[test]
    fn exports_of_a_web_process_pause_only_while_other_requests_come_in() {
        let (started, requests) = (Instant::now(), RequestCounter::default());
        requests.increment();
        let mut throttle = Throttle::start_at(started, &ThrottlePolicy::WhileOthersRequest(requests.clone()));
        let mut pauses_at = |at| throttle.due_pause(started + Duration::from_millis(at)).is_some();
        assert!(!pauses_at(210), "the request for the export itself does not count");
        requests.increment();
        assert!(!pauses_at(300), "the counter is read only every 200 ms");
        assert!(pauses_at(420));
        assert!(pauses_at(610));
        assert!(!pauses_at(630), "no request has come in since");
    }
}
