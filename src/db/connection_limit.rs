//! How many connections the server allows this role to this database.

use sqlx::PgPool;

use super::DbError;

/// The smallest of the limits of the server, without its reserved connections, of the role and of the database.
pub async fn get(pool: &PgPool) -> Result<u32, DbError> {
    let limit = sqlx::query_scalar!(
        r#"SELECT LEAST(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                        - COALESCE(current_setting('reserved_connections', true)::int, 0),
                        NULLIF(rolconnlimit, -1), NULLIF(datconnlimit, -1)) AS "limit!"
             FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"#
    );
    let limit = limit.fetch_one(pool).await?;
    u32::try_from(limit).map_err(|_| DbError::impossible("limit of connections", limit.to_string()))
}
