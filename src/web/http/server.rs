//! Accepts connections and serves them.
//!
//! poem's own server was rejected for two reasons: it continues after a connection has failed, and then sends the end of a
//! body that is incomplete (a truncated file looks complete), and a request is processed to its end although the client is
//! gone; and it serves any number of silent connections forever. Here a failed connection is closed and its handler is dropped,
//! and clients that are slow or silent lose their connection ([`super::connection`]). Everything else is as in poem.

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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Activity, OpenBody, Socket};
use super::hardening::MAX_HEADERS;
use super::limits::HeldPermit;
use super::open_connections::{OpenConnections, Registration};
use crate::config::HttpConfig;

/// The pause after a failed accept; most likely the process has too many connections.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);
/// How long a silent connection has to close after it was told to.
const CLOSING_TIME: Duration = Duration::from_secs(1);
/// How long a silent connection may take to make room for another.
const MAKING_ROOM: Duration = Duration::from_millis(200);
/// How many connections beyond the limit are told why they are closed, at a time; the others are just closed.
const MAX_REFUSED: usize = 64;
/// The most bytes of a head that are read.
const MAX_BUFFER: usize = 64 << 10;
const MAX_BUFFER_OF_HTTP2: u32 = 64 << 10;
/// Requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 100;
const MAX_RESETS: usize = 20;
const TOO_MANY_CONNECTIONS: &str = r#"{"type":"about:blank","title":"Service unavailable","status":503,"detail":"this process has too many connections; try again later","code":"SERVICE_UNAVAILABLE","request_id":"","trace_id":"","errors":[]}"#;

/// Serves until `stop` is cancelled; then open requests have `grace` to finish.
pub(in crate::web) async fn serve<E>(
    listener: TcpListener,
    endpoint: E,
    config: &HttpConfig,
    stop: CancellationToken,
    grace: Duration,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let (endpoint, connections, cut) = (Arc::new(endpoint), TaskTracker::new(), CancellationToken::new());
    let open = OpenConnections::default();
    let (permits, refusals) = (Arc::new(Semaphore::new(config.max_connections)), Arc::new(Semaphore::new(MAX_REFUSED)));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, remote)) => {
                if let Some(permit) = find_place(&permits, &open).await {
                    let activity = Activity::default();
                    let place = open.register(activity.clone());
                    let socket = Socket::new(stream, activity.clone(), permit);
                    let connection =
                        connection(socket, remote, (activity, place), Arc::clone(&endpoint), *config, stop.clone());
                    connections.spawn(cut.clone().run_until_cancelled_owned(connection));
                } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tracing::warn!(max_connections = config.max_connections, "refused a connection: too many are open");
                    connections.spawn(async move {
                        let _refused = tokio::time::timeout(CLOSING_TIME, refuse(stream)).await;
                        drop(permit);
                    });
                }
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

/// A place for a connection, if necessary that of a silent one.
async fn find_place(permits: &Arc<Semaphore>, open: &OpenConnections) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Some(permit);
    }
    if !open.close_silent() {
        return None;
    }
    tokio::time::timeout(MAKING_ROOM, Arc::clone(permits).acquire_owned()).await.ok()?.ok()
}

fn connection<E>(
    socket: Socket,
    remote: SocketAddr,
    (activity, place): (Activity, Registration),
    endpoint: Arc<E>,
    config: HttpConfig,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send
where
    E: Endpoint<Output = Response> + 'static,
{
    let local = socket.local_address().map_or_else(LocalAddr::default, |local| LocalAddr(Addr::SocketAddr(local)));
    let remote = RemoteAddr(Addr::SocketAddr(remote));
    let requests = activity.clone();
    let service = hyper::service::service_fn(move |request| {
        let open = requests.open_request();
        let request: Request = Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
        let endpoint = Arc::clone(&endpoint);
        async move {
            let mut response = hyper::Response::from(endpoint.get_response(request).await);
            let permit = response.extensions_mut().remove::<HeldPermit>();
            Ok::<_, Infallible>(response.map(|body| OpenBody::new(body, open, permit)))
        }
    });
    async move {
        let server = protocol();
        let mut connection = pin!(server.serve_connection_with_upgrades(TokioIo::new(socket), service));
        tokio::select! {
            // The connection has ended, with or without an error.
            _ended = connection.as_mut() => return,
            () = place.closed() => return,
            () = stop.cancelled() => {}
            () = activity.until_silent(config.header_timeout, config.idle_timeout) => {
                connection.as_mut().graceful_shutdown();
                let _ended = tokio::time::timeout(CLOSING_TIME, connection).await;
                return;
            }
        }
        connection.as_mut().graceful_shutdown();
        let _ended = connection.await;
    }
}

/// HTTP/1 and HTTP/2 with bounds on what a client can make this process store. They are above those of [`super::hardening`], which
/// refuses with a problem document.
fn protocol() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().max_headers(2 * MAX_HEADERS).max_buf_size(MAX_BUFFER);
    server
        .http2()
        .max_header_list_size(MAX_BUFFER_OF_HTTP2)
        .max_concurrent_streams(MAX_STREAMS)
        // A client that opens and resets streams (rapid reset) is disconnected after so many.
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS);
    server
}

/// Says why the connection is closed.
async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    // A socket with unread data is reset when it is closed, and the client would not see the response.
    let _request = stream.read(&mut [0; 4096]).await?;
    let length = TOO_MANY_CONNECTIONS.len();
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
         retry-after: 5\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n{TOO_MANY_CONNECTIONS}"
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}
