//! Threads that let everybody else go first.
//!
//! An export keeps a processor busy for seconds, and whoever waits for an answer of a millisecond should not have to wait for
//! it. On the threads of the runtime it would hold up whatever is to run there next; on threads like the others it would take
//! its share of the processors. So each has a thread of its own, of a lower priority where a thread can have one (Linux).
//!
//! That is not enough where the database is on the same machine: it works for an export as for anybody else, as fast as rows
//! are taken. So the thread also rests as long as it works: while others ask in a web process, and always in a worker, which
//! cannot know who asks elsewhere, and for whose files nobody sits and waits. Rejected: `SCHED_IDLE`, under which a thread that
//! holds a lock of the runtime is not run for so long that everybody waits for it; and to rest where the thread itself had
//! to wait for a processor, which says too little of how long others have to.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// How much less urgent: some tenth of a share, where somebody else wants the processor.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;
/// How long it works before it rests.
const WORK: Duration = Duration::from_millis(2);
/// The longest rest: some work was to wait for rows, or for whoever takes them.
const LONGEST_REST: Duration = Duration::from_millis(10);
/// How often it looks whether others have asked since.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs a task to its end on such a thread. It may block there.
pub(super) fn run_behind<F: Future>(task: impl FnOnce() -> F + Send + 'static) -> io::Result<()> {
    let runtime = Handle::current();
    thread::Builder::new().name("export".to_owned()).spawn(move || {
        step_back();
        runtime.block_on(task());
    })?;
    Ok(())
}

fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "a thread cannot be made less urgent");
    }
}

/// How many requests a process has been asked for.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<AtomicU64>);

impl Requests {
    /// Counts one more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When an export rests.
#[derive(Debug, Clone)]
pub(super) enum ThrottlePolicy {
    /// While others ask for something else.
    WhileOthersAsk(Requests),
    /// Always.
    Always,
}

/// The rests of one export.
#[derive(Debug)]
pub(super) struct Throttle {
    throttle_policy: ThrottlePolicy,
    requests: u64,
    looked_at: Instant,
    others_ask: bool,
    works_since: Instant,
}

impl Throttle {
    /// From now on. What was asked for before, the export itself among it, is no reason to rest.
    pub(super) fn begin(throttle_policy: &ThrottlePolicy) -> Self {
        Self::begin_at(Instant::now(), throttle_policy)
    }

    fn begin_at(now: Instant, throttle_policy: &ThrottlePolicy) -> Self {
        let (requests, others_ask) = match throttle_policy {
            ThrottlePolicy::WhileOthersAsk(requests) => (requests.get(), false),
            ThrottlePolicy::Always => (0, true),
        };
        Self { throttle_policy: throttle_policy.clone(), requests, looked_at: now, others_ask, works_since: now }
    }

    /// Throttle, if it is time to: the thread sleeps.
    pub(super) fn rest(&mut self) {
        if let Some(rest) = self.due(Instant::now()) {
            thread::sleep(rest);
            self.works_since = Instant::now();
        }
    }

    /// How long to rest now, if at all.
    fn due(&mut self, now: Instant) -> Option<Duration> {
        let worked = now - self.works_since;
        if worked < WORK {
            return None;
        }
        self.works_since = now;
        self.look(now);
        self.others_ask.then(|| worked.min(LONGEST_REST))
    }

    fn look(&mut self, now: Instant) {
        let ThrottlePolicy::WhileOthersAsk(requests) = &self.throttle_policy else { return };
        if now - self.looked_at >= LOOK_EVERY {
            let requests = requests.get();
            self.others_ask = requests != self.requests;
            self.requests = requests;
            self.looked_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_rests_as_long_as_it_worked_and_not_for_what_it_waited() {
        let began = Instant::now();
        let mut rests = Throttle::begin_at(began, &ThrottlePolicy::Always);
        for (at, due) in [(1, None), (3, Some(3)), (4, None), (5, Some(2)), (3_000, Some(10))] {
            assert_eq!(rests.due(began + Duration::from_millis(at)), due.map(Duration::from_millis), "{at} ms");
        }
    }

    #[test]
    fn where_others_may_ask_it_rests_only_while_they_do() {
        let (began, requests) = (Instant::now(), Requests::default());
        requests.add_one();
        let mut rests = Throttle::begin_at(began, &ThrottlePolicy::WhileOthersAsk(requests.clone()));
        let mut rests_at = |at| rests.due(began + Duration::from_millis(at)).is_some();
        assert!(!rests_at(210), "the request for the export itself is no reason");
        requests.add_one();
        assert!(!rests_at(300), "it looks now and then");
        assert!(rests_at(420));
        assert!(rests_at(610));
        assert!(!rests_at(630), "nobody has asked since");
    }
}
