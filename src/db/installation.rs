//! What tells this installation from every other one.

use sqlx::PgExecutor;

use super::DbError;

/// The same in every process and after a failover, but another one in a copy of the database: it is made of the server, the
/// database and the time of the first migration. Not a secret.
pub async fn get_id(executor: impl PgExecutor<'_>) -> Result<String, DbError> {
    let id = sqlx::query_scalar!(
        r#"SELECT format('%s/%s/%s', system_identifier,
                         (SELECT oid FROM pg_database WHERE datname = current_database()),
                         (SELECT extract(epoch FROM min(installed_on)) FROM _sqlx_migrations)) AS "id!"
             FROM pg_control_system()"#
    );
    Ok(id.fetch_one(executor).await?)
}
