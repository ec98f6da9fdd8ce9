//! Graceful shutdown on SIGTERM (from the platform) or Ctrl-C.

use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled by the first signal.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("shutdown requested");
        token.cancel();
    });
    Ok(stop)
}
