//! A replica, and what is known of its state.
//!
//! A replica only moves forward, so once it has been seen to have a state it need not be asked again. A new connection may lead to
//! another server behind the same address, or to the same one after a crash, which had forgotten what it had not yet written to disk.
//! So a connection is used only if its server has everything that was seen before. Rejected: asking the server again with every
//! read, which costs each of them a round trip.
//!
//! A replica that fails is left alone for a while, and then tried beside the requests, never by one of them. Rejected: a task that
//! checks every replica all the time. It would still know nothing about the last moments, and every process would run it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::state;
use super::state::{ServerState, StoredState};
use crate::db::DbError;
use crate::db::installation;
use crate::db::session_limits::Purpose;
use crate::db::settings::DatabaseSettings;

/// How long a replica may take to answer which state it has, a connection included.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);
/// So long after a check a replica that was behind is not asked again: it costs requests nothing while it stays behind.
const CHECK_PAUSE: Duration = Duration::from_millis(20);
/// How long a replica is left alone after its first failure, and after many in a row.
const SHORTEST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(15);

const NO_REPLICA: &str = "it follows no other server: it was promoted, or DATABASE_READ_URL names a primary";

/// Why a replica cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    Behind,
    /// All of its connections are in use.
    Busy,
    /// It has failed, and is left alone for a while.
    Failing,
}

pub(super) struct Replica {
    /// For logs: without credentials.
    pub(super) address: String,
    pub(super) pool: PgPool,
    /// For checks: apart from the reads, so that slow ones do not make the replica look dead.
    check_pool: PgPool,
    primary: Primary,
    known: Arc<Mutex<Known>>,
    checking: tokio::sync::Mutex<()>,
}

/// The server that the replica has to follow.
#[derive(Clone)]
pub(super) struct Primary {
    pub(super) pool: PgPool,
    installation: Arc<OnceCell<String>>,
}

impl Primary {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, installation: Arc::default() }
    }

    /// What its replicas have in common with it, and no other server has.
    async fn installation(&self) -> Result<&str, DbError> {
        Ok(self.installation.get_or_try_init(|| installation::get_id(&self.pool)).await?)
    }
}

#[derive(Debug, Default)]
struct Known {
    seen: Option<StoredState>,
    checked_at: Option<Instant>,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Replica {
    /// Opens no connection yet.
    pub(super) fn new(
        primary: &Primary,
        settings: &DatabaseSettings,
        options: &PgConnectOptions,
        max_connections: u32,
    ) -> Self {
        let known = Arc::new(Mutex::<Known>::default());
        let verified = Arc::clone(&known);
        let pool_options = Purpose::Replica.pool_options_with(settings.request_statement, move |connection| {
            let known = Arc::clone(&verified);
            Box::pin(async move { verify(connection, &known).await })
        });
        let connect = |pool: PgPoolOptions, connections| {
            pool.max_connections(connections).acquire_timeout(CHECK_TIMEOUT).connect_lazy_with(options.clone())
        };
        Self {
            address: format!("{}:{}", options.get_host(), options.get_port()),
            pool: connect(pool_options, max_connections),
            check_pool: connect(Purpose::Replica.pool_options(settings.request_statement), 1),
            primary: primary.clone(),
            known,
            checking: tokio::sync::Mutex::default(),
        }
    }

    /// Succeeds if the replica has everything of `required`.
    pub(super) async fn prepare(self: &Arc<Self>, required: &StoredState) -> Result<(), Unfit> {
        if self.is_resting() {
            return Err(Unfit::Failing);
        }
        if self.has_seen(required) {
            return Ok(());
        }
        // Requests that arrive while another one asks wait for the answer: it comes soon, or not at all.
        let checking = self.checking.lock().await;
        if self.is_resting() {
            return Err(Unfit::Failing);
        }
        if !self.has_seen(required) && self.is_check_due() {
            self.check().await.map_err(|()| Unfit::Failing)?;
        }
        drop(checking);
        if self.has_seen(required) { Ok(()) } else { Err(Unfit::Behind) }
    }

    /// Whether it answers within a short time. Notes it if it does not.
    pub(super) async fn answers(&self) -> bool {
        self.check().await.is_ok()
    }

    /// Leaves the replica alone for a while: a statement of it has failed.
    pub(super) fn note_failure(&self, problem: &str) {
        let mut known = lock(&self.known);
        known.failures = known.failures.saturating_add(1);
        let rest = SHORTEST_REST.saturating_mul(1 << (known.failures - 1).min(8)).min(LONGEST_REST);
        known.rests_until = Some(Instant::now() + rest);
        known.seen = None;
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(replica = self.address, problem, rest_ms, "a replica fails, reading from the primary instead");
    }

    /// While it rests; when the rest is over, it is checked in the background, and rests until it has answered.
    fn is_resting(self: &Arc<Self>) -> bool {
        let mut known = lock(&self.known);
        let Some(until) = known.rests_until else { return false };
        if Instant::now() >= until {
            // Until the check is over. It prolongs the rest if it fails.
            known.rests_until = Some(Instant::now() + CHECK_TIMEOUT * 2);
            let replica = Arc::clone(self);
            tokio::spawn(async move {
                if replica.check().await.is_ok() {
                    tracing::info!(replica = replica.address, "a replica answers again");
                }
            });
        }
        true
    }

    fn has_seen(&self, required: &StoredState) -> bool {
        lock(&self.known).seen.is_some_and(|seen| seen.covers(required))
    }

    fn is_check_due(&self) -> bool {
        let known = lock(&self.known);
        known.seen.is_none() || known.checked_at.is_none_or(|at| at.elapsed() >= CHECK_PAUSE)
    }

    async fn check(&self) -> Result<(), ()> {
        match self.ask().await {
            Ok(server) => {
                *lock(&self.known) =
                    Known { seen: Some(server.stored), checked_at: Some(Instant::now()), ..Known::default() };
                Ok(())
            }
            Err(problem) => {
                self.note_failure(&problem);
                Err(())
            }
        }
    }

    /// What it has, or why it cannot be read.
    pub(super) async fn ask(&self) -> Result<ServerState, String> {
        let asking = async {
            let mut connection = self.check_pool.acquire().await?;
            let server = state::read(&mut connection).await?;
            let own = installation::get_id(&mut *connection).await? == self.primary.installation().await?;
            Ok::<_, DbError>((server, own))
        };
        match timeout(CHECK_TIMEOUT, asking).await {
            Ok(Ok((server, true))) if server.is_replica => Ok(server),
            Ok(Ok((_, true))) => Err(NO_REPLICA.to_owned()),
            Ok(Ok((_, false))) => {
                Err("it has another database: it is no replica of the one of DATABASE_URL".to_owned())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }
}

/// Fails if a new connection leads to a server that is no replica, or has less than was seen before.
async fn verify(connection: &mut PgConnection, known: &Mutex<Known>) -> Result<(), sqlx::Error> {
    // What is seen while the server answers may be more than it answers.
    let seen = lock(known).seen.unwrap_or_default();
    let server = state::read(connection).await?;
    if !server.is_replica {
        return Err(sqlx::Error::Protocol(NO_REPLICA.to_owned()));
    }
    if !server.stored.covers(&seen) {
        return Err(sqlx::Error::Protocol("the server has less than was read from this address before".to_owned()));
    }
    Ok(())
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
