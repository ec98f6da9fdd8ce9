//! The versions of a transaction, with the sync runs that stored them.
//!
//! A version is recorded as it is stored: the first one and the current one with the transaction, and each change of status or
//! amount in `transaction_changes`. Versions between them that changed neither have been replaced without a trace. Rejected: a row
//! for each version, which would repeat most payments when newer rules read them again.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::explanation::versions::{PaymentVersion, StoringRun, VersionChange};
use crate::domain::sync::SyncMode;

/// Oldest first; empty if the transaction does not exist.
pub async fn list(connection: &mut PgConnection, id: Uuid) -> Result<Vec<PaymentVersion>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT stored.ordinal AS "ordinal!", stored.stored_at AS "stored_at!", stored.changed_at, stored.run_id,
                  stored.old_status, stored.new_status, stored.old_amount, stored.new_amount,
                  runs.mode AS "mode?", runs.trigger AS "trigger?", runs.started_at AS "started_at?"
             FROM (SELECT 0::bigint AS ordinal, ingested_at AS stored_at, created_at AS changed_at, first_run_id AS run_id,
                          NULL AS old_status, NULL AS new_status, NULL::numeric AS old_amount, NULL::numeric AS new_amount
                     FROM transactions WHERE id = $1
                    UNION ALL
                   SELECT id, recorded_at, changed_at, run_id, old_status, new_status, old_amount, new_amount
                     FROM transaction_changes WHERE transaction_id = $1
                    UNION ALL
                   SELECT 9223372036854775807, last_stored_at, updated_at, last_run_id, NULL, NULL, NULL, NULL
                     FROM transactions
                    WHERE id = $1 AND last_stored_at IS NOT NULL
                      AND NOT EXISTS (SELECT FROM transaction_changes
                                       WHERE transaction_id = $1 AND recorded_at >= last_stored_at)) AS stored
                  LEFT JOIN sync_runs AS runs ON runs.id = stored.run_id
            ORDER BY stored.ordinal"#,
        id
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let run = match (row.run_id, row.mode, row.trigger, row.started_at) {
                (Some(id), Some(mode), Some(trigger), Some(started_at)) => {
                    let mode = read_name("sync_runs.mode", mode, SyncMode::from_name)?;
                    StoringRun::Known { id, mode, trigger: trigger.try_into()?, started_at }
                }
                (Some(id), ..) => StoringRun::Deleted { id },
                (None, ..) => StoringRun::Unknown,
            };
            let change = match (row.old_status, row.new_status, row.old_amount, row.new_amount) {
                (Some(old_status), Some(new_status), Some(old_amount), Some(new_amount)) => VersionChange::Recorded {
                    status: (old_status.try_into()?, new_status.try_into()?),
                    amount: (old_amount, new_amount),
                },
                _ if row.ordinal == 0 => VersionChange::First,
                _ => VersionChange::Other,
            };
            Ok(PaymentVersion { stored_at: row.stored_at, changed_at: row.changed_at, run, change })
        })
        .collect()
}
