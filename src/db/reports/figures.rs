//! Discrepancies and incidents of a day, for digests. Metrics come from the cells (`db/metrics`).
//!
//! With a scope, only discrepancies whose payments are all in it count, as in their list (`db/reconciliation/facts`).

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::access::ProjectScope;
use crate::domain::alerts::rule::Severity;
use crate::domain::reports::digest::{AtRisk, DiscrepancyCounts, FailedJobs, FiredAlert, Incidents, MAX_ALERTS};
use crate::domain::time_range::TimeRange;

/// Those of the projects in `scope` that were opened and closed in `range`, and that are unresolved now.
pub async fn count_discrepancies(
    pool: &PgPool,
    range: TimeRange,
    scope: &ProjectScope,
) -> Result<DiscrepancyCounts, DbError> {
    let row = sqlx::query!(
        r#"WITH moved AS (
               SELECT COALESCE(from_state IN ('open', 'acknowledged'), false) AS was_unresolved,
                      to_state IN ('open', 'acknowledged') AS is_unresolved
                 FROM discrepancy_changes JOIN discrepancies ON discrepancies.id = discrepancy_id
                WHERE changed_at >= $1 AND changed_at < $2 AND ($3::text[] IS NULL OR project = ANY($3) AND NOT EXISTS (
                          SELECT FROM transactions AS payment WHERE payment.id IN (vima_txn_id, payshack_txn_id)
                             AND (payment.project = ANY($3)) IS NOT TRUE)))
           SELECT count(*) FILTER (WHERE is_unresolved AND NOT was_unresolved) AS "opened!",
                  count(*) FILTER (WHERE was_unresolved AND NOT is_unresolved) AS "closed!",
                  (SELECT count(*) FROM discrepancies
                    WHERE state IN ('open', 'acknowledged') AND ($3::text[] IS NULL OR project = ANY($3) AND NOT EXISTS (
                          SELECT FROM transactions AS payment WHERE payment.id IN (vima_txn_id, payshack_txn_id)
                             AND (payment.project = ANY($3)) IS NOT TRUE))) AS "unresolved!"
             FROM moved"#,
        range.from,
        range.until,
        scope.projects()
    )
    .fetch_one(pool)
    .await?;
    Ok(DiscrepancyCounts { opened: row.opened, closed: row.closed, unresolved: row.unresolved })
}

/// The unresolved discrepancies of the projects in `scope`, by currency.
pub async fn sum_at_risk(pool: &PgPool, scope: &ProjectScope) -> Result<Vec<AtRisk>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT COALESCE(vima_currency, payshack_currency) AS currency, count(*) AS "count!",
                  COALESCE(sum(CASE WHEN types = ARRAY['amount'] AND amount_diff IS NOT NULL THEN abs(amount_diff)
                                    ELSE COALESCE(vima_amount, payshack_amount) END), 0) AS "amount!"
             FROM discrepancies
            WHERE state IN ('open', 'acknowledged') AND ($1::text[] IS NULL OR project = ANY($1) AND NOT EXISTS (
                          SELECT FROM transactions AS payment WHERE payment.id IN (vima_txn_id, payshack_txn_id)
                             AND (payment.project = ANY($1)) IS NOT TRUE))
            GROUP BY 1 ORDER BY 1"#,
        scope.projects()
    )
    .fetch_all(pool)
    .await?;
    let at_risk = rows.into_iter().map(|row| AtRisk { currency: row.currency, count: row.count, amount: row.amount });
    Ok(at_risk.collect())
}

/// What went wrong in `range`, and what is in quarantine now.
pub async fn get_incidents(pool: &PgPool, range: TimeRange) -> Result<Incidents, DbError> {
    let TimeRange { from, until } = range;
    let alerts = sqlx::query!(
        r#"SELECT rule_name, severity, message, fired_at, resolved_at IS NOT NULL AS "is_resolved!", count(*) OVER () AS "total!"
             FROM alerts WHERE fired_at >= $1 AND fired_at < $2 ORDER BY fired_at, id LIMIT $3"#,
        from,
        until,
        i64::try_from(MAX_ALERTS).unwrap_or(i64::MAX)
    )
    .fetch_all(pool)
    .await?;
    let failed = sqlx::query!(
        r#"SELECT kind, count(*) AS "count!" FROM jobs
            WHERE state = 'failed' AND finished_at >= $1 AND finished_at < $2 GROUP BY kind ORDER BY kind"#,
        from,
        until
    )
    .fetch_all(pool)
    .await?;
    let quarantine = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE first_seen_at >= $1 AND first_seen_at < $2) AS "new!", count(*) AS "total!"
             FROM quarantine"#,
        from,
        until
    )
    .fetch_one(pool)
    .await?;
    let alert_count = alerts.first().map_or(0, |row| row.total);
    let alerts = alerts.into_iter().map(|row| {
        Ok(FiredAlert {
            name: row.rule_name,
            severity: read_name("alerts.severity", row.severity, Severity::from_name)?,
            message: row.message,
            fired_at: row.fired_at,
            is_resolved: row.is_resolved,
        })
    });
    Ok(Incidents {
        alert_count,
        alerts: alerts.collect::<Result<_, DbError>>()?,
        failed_jobs: failed.into_iter().map(|row| FailedJobs { kind: row.kind, count: row.count }).collect(),
        quarantined: quarantine.new,
        in_quarantine: quarantine.total,
    })
}
