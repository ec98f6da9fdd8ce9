//! What the last runs found about one payment, and its rows.
//!
//! Only the last completed run of each day counts. Callers use one snapshot for all queries: a run that completes between two of
//! them would seem to have found nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::facts::DiscrepancyTypes;
use crate::db::DbError;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::reconciliation::last_finding::{Finding, LastRun, StoredRow};
use crate::domain::reconciliation::rules::Row;
use crate::domain::transaction::Kind;

/// A key that more rows share does not identify a payment.
const MAX_ROWS: i64 = 100;

/// The rows of both sources with this key; if there are very many, those nearest to `around`.
pub async fn list_rows(
    connection: &mut PgConnection,
    kind: Kind,
    key: &str,
    around: DateTime<Utc>,
) -> Result<Vec<StoredRow>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", source AS "source!", source_id AS "source_id!", project, status AS "status!",
                  amount AS "amount!", paid_amount, currency AS "currency!", created_at AS "created_at!", updated_at,
                  ingested_at AS "ingested_at!"
             FROM (SELECT * FROM transactions WHERE source = 'vima' AND client_operation_id = $2
                    UNION ALL
                   SELECT * FROM transactions WHERE source = 'payshack' AND order_id = $2) AS rows
            WHERE kind = $1
            ORDER BY abs(extract(epoch FROM created_at - $3)), id LIMIT $4"#,
        kind.as_str(),
        key,
        around,
        MAX_ROWS
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let ingested_at = row.ingested_at;
            let row = Row {
                id: row.id,
                source: row.source.try_into()?,
                source_id: row.source_id,
                key: Some(key.to_owned()),
                project: row.project,
                status: row.status.try_into()?,
                amount: row.amount,
                paid_amount: row.paid_amount,
                currency: row.currency,
                created_at: row.created_at,
                updated_at: row.updated_at,
            };
            Ok(StoredRow { row, ingested_at })
        })
        .collect()
}

/// The last completed runs of the days that these times belong to, in any time zone.
pub async fn list_runs(
    connection: &mut PgConnection,
    times: impl Iterator<Item = DateTime<Utc>>,
) -> Result<Vec<LastRun>, DbError> {
    let around = |day: NaiveDate| [day.pred_opt(), Some(day), day.succ_opt()].into_iter().flatten();
    let days: BTreeSet<NaiveDate> = times.flat_map(|time| around(time.date_naive())).collect();
    let rows = sqlx::query!(
        r#"SELECT id, recon_date, day_from, day_until, as_of, parameters
             FROM reconciliation_runs AS runs
            WHERE recon_date = ANY($1) AND version IS NOT NULL
              AND NOT EXISTS (SELECT FROM reconciliation_runs AS later
                               WHERE later.recon_date = runs.recon_date AND later.version > runs.version)"#,
        &days.into_iter().collect::<Vec<_>>()
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let parameters = serde_json::from_value(row.parameters);
            Ok(LastRun {
                id: row.id,
                recon_date: row.recon_date,
                day: row.day_from..row.day_until,
                as_of: row.as_of.ok_or_else(|| missing_as_of(row.id))?,
                parameters: parameters
                    .map_err(|error| DbError::impossible("reconciliation_runs.parameters", error.to_string()))?,
            })
        })
        .collect()
}

/// What the last completed runs found about these rows.
pub async fn list_findings(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Finding>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT run_id, results.recon_date, runs.as_of, match_status, types, vima_txn_id, payshack_txn_id, details
             FROM reconciliation_results AS results JOIN reconciliation_runs AS runs ON runs.id = run_id
            WHERE results.id IN (SELECT id FROM reconciliation_results
                                  WHERE vima_txn_id IS NOT NULL AND vima_txn_id = ANY($1)
                                  UNION ALL
                                 SELECT id FROM reconciliation_results
                                  WHERE payshack_txn_id IS NOT NULL AND payshack_txn_id = ANY($1))
              AND version IS NOT NULL
              AND NOT EXISTS (SELECT FROM reconciliation_runs AS later
                               WHERE later.recon_date = runs.recon_date AND later.version > runs.version)"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Finding {
                run_id: row.run_id,
                recon_date: row.recon_date,
                as_of: row.as_of.ok_or_else(|| missing_as_of(row.run_id))?,
                match_status: row.match_status.try_into()?,
                types: DiscrepancyTypes::try_from(row.types)?.0,
                vima: row.vima_txn_id,
                payshack: row.payshack_txn_id,
                details: Some(row.details),
            })
        })
        .collect()
}

fn missing_as_of(run_id: Uuid) -> DbError {
    DbError::impossible("reconciliation_runs.as_of", format!("null, although {run_id} is completed"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscrepancyRef {
    pub id: Uuid,
    pub state: DiscrepancyState,
}

/// The discrepancy of a day about this row; `duplicate` selects those about a duplicate row, otherwise about a payment. Of
/// several, an unresolved one, otherwise the latest.
pub async fn find_discrepancy(
    connection: &mut PgConnection,
    recon_date: NaiveDate,
    id: Uuid,
    duplicate: bool,
) -> Result<Option<DiscrepancyRef>, DbError> {
    let row = sqlx::query!(
        r#"SELECT id, state FROM discrepancies
            WHERE (vima_txn_id = $2 OR payshack_txn_id = $2) AND recon_date = $1
              AND (duplicate_txn_id IS NOT NULL) = $3
            ORDER BY resolved_at IS NOT NULL, first_seen_at DESC, id DESC LIMIT 1"#,
        recon_date,
        id,
        duplicate
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(DiscrepancyRef { id: row.id, state: row.state.try_into()? })).transpose()
}

/// Whether a change of one of these transactions was stored after `since`.
pub async fn have_changed_since(
    connection: &mut PgConnection,
    ids: &[Uuid],
    since: DateTime<Utc>,
) -> Result<bool, DbError> {
    let changed = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM transaction_changes WHERE transaction_id = ANY($1) AND recorded_at > $2) AS "changed!""#,
        ids,
        since
    );
    Ok(changed.fetch_one(connection).await?)
}
