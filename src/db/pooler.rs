//! Detects a connection pooler in transaction mode, such as PgBouncer's.
//!
//! There each transaction of a connection may run in another session. What this program relies on would be lost silently:
//! prepared statements, session settings, the lock of migrations, and the names by which statements are cancelled. So it refuses
//! to start. A pooler does not say how it works, so this tries it out, with simple queries, which every mode allows.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::time::timeout;
use uuid::Uuid;

use super::DbError;

/// Other clients may get the session of the first connection before the second one does.
const ROUNDS: u32 = 3;
/// A pooler without another session keeps the first connection waiting for the second.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Fails with [`DbError::TransactionPooling`] if the transactions of `first` may run in different sessions.
pub(super) async fn reject_transaction_pooling(
    first: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), DbError> {
    let mut second = PgConnection::connect_with(options).await?;
    for _ in 0..ROUNDS {
        if !keeps_its_session(first, &mut second).await? {
            return Err(DbError::TransactionPooling);
        }
    }
    Ok(second.close().await?)
}

/// Whether a setting of the first connection is still there while the second one has a transaction open.
async fn keeps_its_session(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool, DbError> {
    let value = Uuid::now_v7().to_string();
    simple_query(first, format!("SELECT set_config('psp.session', '{value}', false)")).await?;
    if let Err(error) = simple_query(second, "BEGIN; SELECT ''".to_owned()).await {
        // In statement mode, PgBouncer refuses transactions.
        return if error.to_string().contains("pooling") { Ok(false) } else { Err(error.into()) };
    }
    let reading = simple_query(first, "SELECT COALESCE(current_setting('psp.session', true), '')".to_owned());
    let mut reading = std::pin::pin!(reading);
    let found = match timeout(TIMEOUT, reading.as_mut()).await {
        Ok(found) => Some(found?),
        Err(_) => None,
    };
    simple_query(second, "ROLLBACK; SELECT ''".to_owned()).await?;
    if let Some(found) = found {
        return Ok(found == value);
    }
    let answered = timeout(TIMEOUT, reading).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    tracing::debug!(answered, "the first connection had to wait for the second one");
    Ok(false)
}

/// The text in the first row of a query that uses no prepared statement.
#[expect(clippy::disallowed_methods, reason = "the checked macros use prepared statements, which some poolers refuse")]
async fn simple_query(connection: &mut PgConnection, query: String) -> Result<String, sqlx::Error> {
    let row = sqlx::raw_sql(AssertSqlSafe(query)).fetch_one(connection).await?;
    row.try_get_unchecked(0)
}
