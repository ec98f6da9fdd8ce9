//! Accepts connections and serves them.
//!
//! poem's own server was rejected for one reason: it continues after a connection has failed, and then sends the end of a
//! body that is incomplete (a truncated file looks complete), and a request is processed to its end although the client is
//! gone. Here a failed connection is closed and its handler is dropped. Everything else is as in poem.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after a failed accept; most likely the process has too many connections.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// Serves until `stop` is cancelled; then open requests have `grace` to finish.
pub(in crate::web) async fn serve<E>(listener: TcpListener, endpoint: E, stop: CancellationToken, grace: Duration)
where
    E: Endpoint<Output = Response> + 'static,
{
    let (endpoint, connections, cut) = (Arc::new(endpoint), TaskTracker::new(), CancellationToken::new());
    while let Some(taken) = stop.run_until_cancelled(listener.accept()).await {
        match taken {
            Ok((socket, remote)) => {
                let connection = connection(socket, remote, Arc::clone(&endpoint), stop.clone());
                connections.spawn(cut.clone().run_until_cancelled_owned(connection));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }
    // Refuses new clients, which can use another process.
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "closing connections that are still open after the shutdown grace period"
        );
        cut.cancel();
        connections.wait().await;
    }
}

fn connection<E>(
    socket: TcpStream,
    remote: SocketAddr,
    endpoint: Arc<E>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send
where
    E: Endpoint<Output = Response> + 'static,
{
    let local = socket.local_addr().map_or_else(|_| LocalAddr::default(), |local| LocalAddr(Addr::SocketAddr(local)));
    let remote = RemoteAddr(Addr::SocketAddr(remote));
    let service = hyper::service::service_fn(move |request| {
        let request: Request = Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, Infallible>(hyper::Response::from(endpoint.get_response(request).await)) }
    });
    async move {
        let server = auto::Builder::new(TokioExecutor::new());
        let mut connection = pin!(server.serve_connection_with_upgrades(TokioIo::new(socket), service));
        if stop.run_until_cancelled(connection.as_mut()).await.is_none() {
            connection.as_mut().graceful_shutdown();
            // The connection has ended, with or without an error.
            let _ended = connection.await;
        }
    }
}
