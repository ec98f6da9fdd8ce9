//! The request to stop, from the platform (SIGTERM) or from a person (Ctrl-C).

use tokio_util::sync::CancellationToken;

/// A token that is cancelled when the process is told to stop.
///
/// # Errors
/// Where the operating system does not let signals be heard.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("told to stop");
        told.cancel();
    });
    Ok(stop)
}
