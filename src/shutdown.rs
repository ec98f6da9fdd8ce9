//! Graceful shutdown on SIGTERM (from the platform) or Ctrl-C.
//!
//! It has a limit, because the host kills the process anyway: a statement that a frozen PostgreSQL never answers, or a file
//! that a slow disk never takes, must not decide when it ends. Whatever is cut off counts as the death of the process, which
//! every job survives.

use std::process;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled by the first signal. The process ends at the latest `grace` after the token was cancelled.
pub fn on_signal(grace: Duration) -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
            // A worker that runs suspects stops with its parent.
            () = token.cancelled() => {}
        }
        tracing::info!("shutdown requested");
        exit_after(grace);
        token.cancel();
    });
    Ok(stop)
}

/// In a thread of its own, which works even if the runtime does not.
fn exit_after(grace: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(grace);
        tracing::error!(
            seconds = grace.as_secs(),
            "did not stop within SHUTDOWN_GRACE_SECONDS, exiting; jobs that were not handed back run again after their lease"
        );
        process::exit(1);
    });
}
