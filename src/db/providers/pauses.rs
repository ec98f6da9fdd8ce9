//! Which requests to providers wait, and until when.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::job::waiting::{PauseReason, ProviderPause};
use crate::domain::transaction::Source;

/// Leaves out services that are not a source, such as that of exchange rates.
pub async fn list(pool: &PgPool) -> Result<Vec<ProviderPause>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT provider AS "provider!", reason AS "reason!", until AS "until!", message
             FROM provider_pauses WHERE provider = ANY($1) ORDER BY provider, reason"#,
        &Source::ALL.map(Source::as_str) as &[&str]
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ProviderPause {
                provider: read_name("provider_pauses.provider", row.provider, Source::from_name)?,
                reason: read_name("provider_pauses.reason", row.reason, PauseReason::from_name)?,
                until: row.until,
                message: row.message,
            })
        })
        .collect()
}
