//! What a session of PostgreSQL is set to, by what it is for, and how the statements of a job are stopped.
//!
//! Dropping a future does not stop the statement that it waits for: the server goes on, with all the locks it has taken.
//! So a session bears the name of the job it works for at the moment, by which its statement can be cancelled; and the
//! server looks every second whether its client is still there, so that what a killed worker had asked for ends too.
//! Rejected: a connection of its own for each job (a handshake a job), and cancelling by process id (a session that went
//! back to the pool serves another job by then).

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use crate::db::DbError;
use crate::domain::job::JobId;

/// How often the server looks whether the client of a running statement is still there.
const CLIENT_CHECK: Duration = Duration::from_secs(1);
/// A transaction that nobody goes on with is rolled back: a worker that was stopped in the middle of one, or is behind a
/// network that fell silent, must not keep its locks.
const LONGEST_IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

tokio::task_local! { static AT_WORK: JobId; }

/// What the connections of a pool are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whoever asks the web process, or a command.
    Requests,
    /// Claims, heartbeats, outcomes: apart from the work, so that no job however greedy keeps a lease from being renewed.
    Queue,
    /// What jobs do.
    Work,
}

impl Purpose {
    /// Options of a pool whose sessions are set up for this purpose.
    pub(in crate::db) fn pool_options(self) -> PgPoolOptions {
        let options = PgPoolOptions::new().after_connect(move |connection, _| {
            Box::pin(async move {
                set_up(connection, self).await?;
                if self == Self::Work { name_session(connection).await } else { Ok(()) }
            })
        });
        match self {
            Self::Requests | Self::Queue => options,
            // Giving a name is a test as good as any.
            Self::Work => options.test_before_acquire(false).before_acquire(|connection, _| {
                Box::pin(async move {
                    name_session(connection).await?;
                    Ok(true)
                })
            }),
        }
    }
}

async fn set_up(connection: &mut PgConnection, purpose: Purpose) -> Result<(), sqlx::Error> {
    // Not every platform can look at a socket that is not read; there a statement ends when it ends.
    let check = sqlx::query!("SELECT set_config('client_connection_check_interval', $1, false)", millis(CLIENT_CHECK));
    if let Err(error) = check.fetch_one(&mut *connection).await {
        tracing::debug!(%error, "PostgreSQL does not look after its clients here");
    }
    if purpose == Purpose::Requests {
        // A question takes milliseconds: less than compiling it would. And what is rare is found by another way than what is
        // common, so each is planned for what it asks.
        sqlx::query!(
            r#"SELECT set_config('jit', 'off', false) AS jit,
                      set_config('plan_cache_mode', 'force_custom_plan', false) AS plans"#
        )
        .fetch_one(connection)
        .await?;
        return Ok(());
    }
    let longest = millis(LONGEST_IDLE_IN_TRANSACTION);
    sqlx::query!("SELECT set_config('idle_in_transaction_session_timeout', $1, false)", longest)
        .fetch_one(&mut *connection)
        .await?;
    if purpose == Purpose::Queue {
        // The jobs table asks a handful of questions, thousands of times, of tables that are empty now and full in a minute.
        // Plans made for the empty ones would read the full ones from end to end; an index is never far off.
        sqlx::query!(
            r#"SELECT set_config('plan_cache_mode', 'force_generic_plan', false) AS plans,
                      set_config('enable_seqscan', 'off', false) AS scans,
                      set_config('enable_bitmapscan', 'off', false) AS bitmaps"#
        )
        .fetch_one(connection)
        .await?;
    }
    Ok(())
}

/// Gives the session the name of the job that takes it, or takes the last one's away.
async fn name_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let name = AT_WORK.try_with(|job_id| application_name(*job_id)).unwrap_or_else(|_| "psp work".to_owned());
    sqlx::query!("SELECT set_config('application_name', $1, false)", name).fetch_one(connection).await?;
    Ok(())
}

fn application_name(job_id: JobId) -> String {
    format!("psp job {job_id}")
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Does `work` in the name of a job: statements that it runs over a pool for [`Purpose::Work`] bear the job's name in
/// `pg_stat_activity`. Tasks that it spawns do not.
pub async fn run_as_job<T>(job_id: JobId, work: impl Future<Output = T>) -> T {
    AT_WORK.scope(job_id, work).await
}

/// Cancels, in the server, whatever statements run in the name of a job, and says how many there were.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn cancel_statements(pool: &PgPool, job_id: JobId) -> Result<u64, DbError> {
    let cancelled = sqlx::query!(
        r#"SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE application_name = $1 AND state = 'active' AND datname = current_database()
              AND usename = current_user"#,
        application_name(job_id)
    );
    Ok(cancelled.fetch_all(pool).await?.len() as u64)
}
