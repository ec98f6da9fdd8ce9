//! Reads that a replica may answer instead of the primary, if it is fresh enough.
//!
//! A reader names the state that its answer must include: what the primary had committed when the request arrived, as far as the
//! request depends on it ([`StoredState`]). A replica that has this state is as good as the primary for it, so no client ever sees
//! an older state than before, whichever process and server answer, and an answer can be cached under the version that the primary
//! had. Rejected: a limit for the lag in seconds, with which two requests in a row could go back in time.
//!
//! A replica that is behind, fails or hangs costs a request one more attempt, on the primary; a result of a statement that failed
//! is never used. Only a statement that ran into its own time limit is not repeated: the primary would take as long.

mod replica;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::time::sleep;

use self::replica::{Primary, Replica, Unfit};
use super::DbError;
use super::settings::DatabaseSettings;
use super::snapshot::Snapshot;
use crate::observability::record::{self, ReadFrom};

pub use self::state::StoredState;

/// A read that takes so long may wait for a replica that hangs: it is asked whether it still answers.
const ASK_AFTER: Duration = Duration::from_millis(500);

/// An error of a read, which may have another cause than the database.
pub trait ReadError {
    /// `None` if the database is not the cause.
    fn database_error(&self) -> Option<&DbError>;
}

impl ReadError for DbError {
    fn database_error(&self) -> Option<&DbError> {
        Some(self)
    }
}

/// What a replica answers when it is asked whether it can be read.
#[derive(Debug)]
pub struct ReplicaAnswer {
    /// Without credentials.
    pub address: String,
    /// Or why it cannot be read.
    pub state: Result<ReplicaState, String>,
}

#[derive(Debug)]
pub struct ReplicaState {
    /// Whether the primary had something that it does not have.
    pub is_behind: bool,
    /// Whether the primary keeps what long statements of the replica read (`hot_standby_feedback`).
    pub keeps_what_is_read: bool,
}

/// The primary and its replicas.
#[derive(Clone)]
pub struct ReadPools {
    primary: Primary,
    replicas: Arc<[Arc<Replica>]>,
    next: Arc<AtomicUsize>,
}

impl std::fmt::Debug for ReadPools {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let replicas: Vec<&str> = self.replicas.iter().map(|replica| &*replica.address).collect();
        out.debug_struct("ReadPools").field("replicas", &replicas).finish_non_exhaustive()
    }
}

impl ReadPools {
    /// Connects to the replicas of `settings` when they are first needed. Each gets up to `max_connections`.
    #[must_use]
    pub fn new(primary: PgPool, settings: &DatabaseSettings, max_connections: u32) -> Self {
        let primary = Primary::new(primary);
        let replica = |options: &PgConnectOptions| Arc::new(Replica::new(&primary, settings, options, max_connections));
        Self {
            primary: primary.clone(),
            replicas: settings.replicas.iter().map(replica).collect(),
            next: Arc::default(),
        }
    }

    /// Without replicas.
    #[must_use]
    pub fn only(primary: PgPool) -> Self {
        Self { primary: Primary::new(primary), replicas: Arc::new([]), next: Arc::default() }
    }

    /// For what no replica may answer.
    #[must_use]
    pub fn primary(&self) -> &PgPool {
        &self.primary.pool
    }

    /// Runs `read` with the pool of a server that has everything of `required`.
    pub async fn run<T, E: ReadError, F: Future<Output = Result<T, E>>>(
        &self,
        required: &StoredState,
        read: impl Fn(PgPool) -> F,
    ) -> Result<T, E> {
        let mut reason = ReadFrom::PrimaryOnly;
        for replica in self.in_turn() {
            match run_on(replica, required, &read).await {
                Ok(result) => {
                    record::read(ReadFrom::Replica);
                    return result;
                }
                Err(unfit) => reason = unfit.into(),
            }
        }
        record::read(reason);
        read(self.primary().clone()).await
    }

    /// Opens a snapshot for an export on a server that has all transactions that are stored now.
    pub async fn open_for_export(&self) -> Result<Snapshot, DbError> {
        if self.replicas.is_empty() {
            return Snapshot::open_for_export(self.primary()).await;
        }
        let stored = state::read(&mut *self.primary().acquire().await?).await?.stored;
        self.run(&StoredState { last_event: 0, ..stored }, |pool| async move { Snapshot::open_for_export(&pool).await })
            .await
    }

    /// Asks each replica whether it can be read, for `psp check`.
    pub async fn ask_each(&self) -> Result<Vec<ReplicaAnswer>, DbError> {
        let stored = state::read(&mut *self.primary().acquire().await?).await?.stored;
        let ask = |replica: &Arc<Replica>| {
            let replica = Arc::clone(replica);
            async move {
                let state = replica.ask().await.map(|server| ReplicaState {
                    is_behind: !server.stored.covers(&stored),
                    keeps_what_is_read: server.keeps_what_is_read,
                });
                ReplicaAnswer { address: replica.address.clone(), state }
            }
        };
        Ok(join_all(self.replicas.iter().map(ask)).await)
    }

    /// The replicas, each time beginning with another one.
    fn in_turn(&self) -> impl Iterator<Item = &Arc<Replica>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.replicas.len().max(1);
        self.replicas.iter().cycle().skip(first).take(self.replicas.len())
    }
}

impl From<Unfit> for ReadFrom {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Behind => Self::PrimaryAsBehind,
            Unfit::Busy => Self::PrimaryAsBusy,
            Unfit::Failing => Self::PrimaryAsFailing,
        }
    }
}

/// The result of `read` on `replica`, which includes the errors that the primary would return as well.
async fn run_on<T, E: ReadError, F: Future<Output = Result<T, E>>>(
    replica: &Arc<Replica>,
    required: &StoredState,
    read: &impl Fn(PgPool) -> F,
) -> Result<Result<T, E>, Unfit> {
    replica.prepare(required).await?;
    let result = tokio::select! {
        result = read(replica.pool.clone()) => result,
        () = until_it_hangs(replica) => return Err(Unfit::Failing),
    };
    match result.as_ref().err().and_then(ReadError::database_error) {
        None | Some(DbError::TimedOut(_)) => Ok(result),
        // All connections are in use, unless none can be opened.
        Some(DbError::Unavailable(sqlx::Error::PoolTimedOut)) if replica.answers().await => Err(Unfit::Busy),
        Some(error) => {
            replica.note_failure(&error.to_string());
            Err(Unfit::Failing)
        }
    }
}

async fn until_it_hangs(replica: &Replica) {
    loop {
        sleep(ASK_AFTER).await;
        if !replica.answers().await {
            return;
        }
    }
}
