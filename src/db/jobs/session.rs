//! Settings of PostgreSQL sessions by purpose, and the cancellation of the statements of jobs and requests.
//!
//! Dropping a future does not stop the statement it waits for: the server continues and keeps its locks. So a session is named
//! after the job that uses it, which allows cancelling its statement, and the server checks every second that its client is
//! still connected, which ends the statements of a killed worker. A request whose client disconnects is dropped as well: its
//! connection is closed instead of returned to the pool, and the same check ends its statement.
//!
//! Rejected: a connection per job (a handshake per job), and cancelling by process id (the session may have returned to the pool
//! and serve another job).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use crate::db::DbError;
use crate::db::connection_checks::{ConnectionChecks, may_use};
use crate::db::session_limits::{Purpose, SessionLimits, millis};
use crate::domain::job::JobId;

/// How often the server checks that the client of a running statement is still connected.
const CLIENT_CHECK: Duration = Duration::from_secs(1);
/// How long a statement whose request was dropped may take to end before its connection is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(100);

tokio::task_local! { static CURRENT_JOB: JobId; }

impl Purpose {
    pub(in crate::db) fn pool_options(self, request_statement: Duration) -> PgPoolOptions {
        self.pool_options_with(request_statement, |_| Box::pin(async { Ok(()) }))
    }

    /// A connection is used only if `verify` succeeds when it has been opened.
    pub(in crate::db) fn pool_options_with(
        self,
        request_statement: Duration,
        verify: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> + Send + Sync + 'static,
    ) -> PgPoolOptions {
        let limits = SessionLimits::new(self, request_statement);
        let verify = Arc::new(verify);
        let options = PgPoolOptions::new().after_connect(move |connection, _| {
            let verify = Arc::clone(&verify);
            Box::pin(async move {
                set_up(connection, self, limits).await?;
                verify(connection).await?;
                if self == Self::Work { name_session(connection).await.map(drop) } else { Ok(()) }
            })
        });
        let checks = Arc::new(ConnectionChecks::default());
        // The hook also tests the connection.
        let options = options.test_before_acquire(false).before_acquire(move |connection, metadata| {
            let checks = Arc::clone(&checks);
            Box::pin(async move {
                match self {
                    Self::Work => Ok(may_use(name_session(connection).await?, metadata.age)),
                    Self::Requests | Self::Access | Self::Queue | Self::Command => {
                        checks.is_usable(connection, metadata).await
                    }
                    Self::Replica => checks.is_alive(connection, metadata).await,
                }
            })
        });
        match self {
            Self::Requests | Self::Access | Self::Replica => {
                options.after_release(|connection, _| Box::pin(async { Ok(is_ready(connection).await) }))
            }
            Self::Queue | Self::Work | Self::Command => options,
        }
    }
}

/// Whether a connection that returns to the pool has no running statement. Those of requests that were not dropped have none,
/// so nothing is sent.
async fn is_ready(connection: &mut PgConnection) -> bool {
    let ready = tokio::time::timeout(RELEASE_TIMEOUT, Connection::flush(connection)).await;
    ready.is_ok_and(|received| received.is_ok())
}

async fn set_up(connection: &mut PgConnection, purpose: Purpose, limits: SessionLimits) -> Result<(), sqlx::Error> {
    // Not every platform can check a socket without reading from it; there a statement just runs to its end.
    let check = sqlx::query!("SELECT set_config('client_connection_check_interval', $1, false)", millis(CLIENT_CHECK));
    if let Err(error) = check.fetch_one(&mut *connection).await {
        tracing::debug!(%error, "PostgreSQL cannot check for disconnected clients on this platform");
    }
    limits.apply(&mut *connection).await?;
    if matches!(purpose, Purpose::Requests | Purpose::Access | Purpose::Replica) {
        // A query takes milliseconds, less than its compilation would. Rare and frequent values need different plans, so each
        // query is planned with its parameters.
        sqlx::query!(
            r#"SELECT set_config('jit', 'off', false) AS jit,
                      set_config('plan_cache_mode', 'force_custom_plan', false) AS plans"#
        )
        .fetch_one(connection)
        .await?;
        return Ok(());
    }
    if purpose == Purpose::Queue {
        // A few statements run thousands of times, on tables that are empty now and full in a minute. Plans made for empty tables
        // would scan the full ones; an index is never much worse. Where there is none, the scan counts as so expensive that the
        // statement would be compiled each time, which takes a thousand times as long as the scan.
        sqlx::query!(
            r#"SELECT set_config('jit', 'off', false) AS jit,
                      set_config('plan_cache_mode', 'force_generic_plan', false) AS plans,
                      set_config('enable_seqscan', 'off', false) AS scans,
                      set_config('enable_bitmapscan', 'off', false) AS bitmaps"#
        )
        .fetch_one(connection)
        .await?;
    }
    Ok(())
}

/// Names the session after the job that takes it from the pool. Returns whether the server accepts only reads.
async fn name_session(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let name = CURRENT_JOB.try_with(|job_id| application_name(*job_id)).unwrap_or_else(|_| "psp work".to_owned());
    let named = sqlx::query!(
        r#"SELECT set_config('application_name', $1, false), current_setting('transaction_read_only')::boolean AS "read_only!""#,
        name
    );
    Ok(named.fetch_one(connection).await?.read_only)
}

fn application_name(job_id: JobId) -> String {
    format!("psp job {job_id}")
}

/// Runs `work` as part of a job: the sessions that it takes from a pool for [`Purpose::Work`] have the job's name in
/// `pg_stat_activity`. Tasks that it spawns are not included.
pub async fn run_as_job<T>(job_id: JobId, work: impl Future<Output = T>) -> T {
    CURRENT_JOB.scope(job_id, work).await
}

/// Cancels the running statements of a job in the server, and returns how many there were.
pub async fn cancel_statements(pool: &PgPool, job_id: JobId) -> Result<u64, DbError> {
    let cancelled = sqlx::query!(
        r#"SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE application_name = $1 AND state = 'active' AND datname = current_database()
              AND usename = current_user"#,
        application_name(job_id)
    );
    Ok(cancelled.fetch_all(pool).await?.len() as u64)
}
