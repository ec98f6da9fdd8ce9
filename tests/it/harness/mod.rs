//! What the tests stand on: servers, programs, the sandbox, a WebSocket client.

pub mod programs;
pub mod sandbox;
pub mod servers;
pub mod socket;
pub mod stage;

use std::future::Future;
use std::time::Duration;

/// How long a condition may take to come true before a test fails: generous, for machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
///
/// # Panics
/// Where there is none within [`PATIENCE`]: `what` says what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {} s in vain for {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
