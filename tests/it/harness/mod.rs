//! What the tests stand on: servers, programs, the sandbox, a WebSocket client.

pub(crate) mod files;
pub(crate) mod ingest_fixture;
pub(crate) mod private;
pub(crate) mod programs;
pub(crate) mod runs;
pub(crate) mod sandbox;
pub(crate) mod servers;
pub(crate) mod socket;
pub(crate) mod stopped;
pub(crate) mod test_jobs;
pub(crate) mod test_system;
pub(crate) mod ticks;
pub(crate) mod truth;
pub(crate) mod wakeups;
pub(crate) mod worker_group;

use std::future::Future;
use std::time::Duration;

/// How long a condition may take to come true before a test fails: generous, for machines are busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Whether there is time for long campaigns (`make test-long`).
#[expect(clippy::disallowed_methods, reason = "how long the tests may take is said by whoever started them")]
pub(crate) fn is_long() -> bool {
    std::env::var("PSP_TEST_LONG").is_ok_and(|long| long == "1")
}

/// Lets time pass while a server is away, a minute where there is time: an outage has a length, and no condition ends it.
pub(crate) async fn outage(short: Duration) {
    tokio::time::sleep(if is_long() { Duration::from_mins(1) } else { short }).await;
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// Where there is none within [`PATIENCE`]: `what` says what was waited for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// The same with more patience, for what has many pauses of its own.
pub(crate) async fn eventually_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {} s in vain for {what}", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A client that asks this machine alone.
#[expect(clippy::disallowed_methods, reason = "tests ask our own servers, not a provider")]
pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("an HTTP client")
}
