//! Test fixtures: servers, programs, the providers' sandbox, and clients of the web process.

pub(crate) mod busy_system;
pub(crate) mod certificate;
pub(crate) mod collector;
pub(crate) mod consistency;
pub(crate) mod database_roles;
pub(crate) mod declared;
pub(crate) mod event_stream;
pub(crate) mod exported_files;
pub(crate) mod exports;
pub(crate) mod health;
pub(crate) mod identity_provider;
pub(crate) mod ingest_fixture;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod notification_channels;
pub(crate) mod pgbouncer;
pub(crate) mod postgres_server;
pub(crate) mod private_servers;
pub(crate) mod programs;
pub(crate) mod run_fixture;
pub(crate) mod sandbox;
pub(crate) mod scheduler_ticks;
pub(crate) mod scrape;
pub(crate) mod sentinels;
pub(crate) mod servers;
pub(crate) mod socket;
pub(crate) mod suspended_worker;
pub(crate) mod switch;
pub(crate) mod test_queue;
pub(crate) mod test_system;
pub(crate) mod wakeups;
pub(crate) mod webhook_receiver;
pub(crate) mod worker_group;

use std::future::Future;
use std::time::Duration;

/// How long [`eventually`] waits. Generous, since test machines are busy.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// Whether long random campaigns are requested (`make test-long`).
#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses how long they take")]
pub(crate) fn is_long() -> bool {
    std::env::var("PSP_TEST_LONG").is_ok_and(|long| long == "1")
}

/// Waits while a server is unavailable: `short`, or a minute in long campaigns. The length of an outage is the one thing
/// that no condition ends.
pub(crate) async fn outage(short: Duration) {
    tokio::time::sleep(if is_long() { Duration::from_mins(1) } else { short }).await;
}

/// Polls until `poll` returns a value.
///
/// # Panics
/// After [`TIMEOUT`], naming `condition`.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(condition: &str, poll: impl FnMut() -> F) -> T {
    eventually_within(TIMEOUT, condition, poll).await
}

pub(crate) async fn eventually_within<T, F: Future<Output = Option<T>>>(
    timeout: Duration,
    condition: &str,
    mut poll: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "timed out after {} s waiting for {condition}",
            timeout.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A client that ignores proxies, since all requests go to this machine.
#[expect(clippy::disallowed_methods, reason = "tests send requests to our own servers, not to a provider")]
pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().expect("an HTTP client")
}
