//! The time of the last read of each list.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::DbError;
use crate::domain::metadata::MetadataList;

pub async fn set_read(connection: &mut PgConnection, list: MetadataList, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO payshack_lists (list, read_at) VALUES ($1, $2)
               ON CONFLICT (list) DO UPDATE SET read_at = excluded.read_at"#,
        list.as_str(),
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}
