//! The expected responses: counts over the raw rows in plain SQL, and their comparison with a response.

use chrono::NaiveDate;
use psp_dashboard::clock::{Clock, SystemClock};
use serde_json::Value;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::links::{assert_links, assert_summary_link};
use super::values::{assert_says, is_equal, is_same};
use crate::harness::test_system::Web;

/// Counts over the payments of some days of a zone that match a filter.
pub(super) struct Oracle<'a> {
    pub(super) pool: &'a PgPool,
    pub(super) zone: &'static str,
    pub(super) days: (NaiveDate, NaiveDate),
    pub(super) filter: Vec<(&'static str, &'static str)>,
}

/// The project that is reconciled: its payments are reported by both sources.
pub(super) const RECONCILED: &str = "project-1";

/// What every response says about all of its payments.
const SUMMARY: &str = "SELECT (SELECT COALESCE(jsonb_agg(part ORDER BY currency), '[]')
              FROM (SELECT currency, count(*) AS count, sum(amount) AS amount, COALESCE(sum(amount_usd), 0) AS amount_usd,
                           count(*) FILTER (WHERE status = 'success') AS success_count,
                           COALESCE(sum(amount) FILTER (WHERE status = 'success'), 0) AS success_amount,
                           count(*) FILTER (WHERE status = 'failed') AS failed_count,
                           COALESCE(sum(amount) FILTER (WHERE status = 'failed'), 0) AS failed_amount,
                           count(*) FILTER (WHERE status IN ('pending', 'processing')) AS pending_count,
                           COALESCE(sum(fee), 0) AS fee, count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing_count
                      FROM payments GROUP BY currency) AS part) AS by_currency,
           (SELECT jsonb_build_object(
                       'count', count(*), 'amount_usd', COALESCE(sum(amount_usd), 0),
                       'amount', CASE WHEN count(DISTINCT currency) < 2 THEN COALESCE(sum(amount), 0) END)
              FROM records
             WHERE source = 'payshack' AND kind = 'payin' AND project = 'project-1'
               AND EXISTS (SELECT FROM reconciliation_results AS results JOIN reconciliation_runs AS runs ON runs.id = run_id
                            WHERE payshack_txn_id = records.id AND match_status = 'missing_vima' AND version = 2)) AS not_in_vima";

/// A request, and the SQL of its expected rows.
pub(super) struct Asked {
    /// The path under `/metrics`, and its query besides days, zone and filter.
    path: &'static str,
    /// The JSON pointer of the rows in the response; empty for the response itself.
    rows: &'static str,
    /// The key of a row, in the response and in the count; if empty, both have the same order.
    key: &'static [&'static str],
    /// Whether the response may have additional rows with zeros.
    fills: bool,
    /// The rows, from `payments`, whose `local` is the time in the zone `$1`.
    sql: &'static str,
}

/// The measures, with the names of the contract. An amount is null if its row has several currencies.
const MEASURES: &str = "count(*) AS total_count, CASE WHEN count(DISTINCT currency) < 2 THEN COALESCE(sum(amount), 0) END AS total_amount, \
    COALESCE(sum(amount_usd), 0) AS total_amount_usd, count(*) FILTER (WHERE status = 'success') AS success_count, \
    CASE WHEN count(DISTINCT currency) < 2 THEN COALESCE(sum(amount) FILTER (WHERE status = 'success'), 0) END AS success_amount, \
    COALESCE(sum(amount_usd) FILTER (WHERE status = 'success'), 0) AS success_amount_usd, \
    count(*) FILTER (WHERE status = 'failed') AS failed_count, \
    CASE WHEN count(DISTINCT currency) < 2 THEN COALESCE(sum(amount) FILTER (WHERE status = 'failed'), 0) END AS failed_amount, \
    COALESCE(sum(amount_usd) FILTER (WHERE status = 'failed'), 0) AS failed_amount_usd, \
    count(*) FILTER (WHERE status IN ('pending', 'processing')) AS pending_count, \
    count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing_count, \
    round(100.0 * count(*) FILTER (WHERE status = 'success') / NULLIF(count(*), 0), 2)::float8 AS conversion_rate, \
    CASE WHEN count(DISTINCT currency) < 2 THEN round(sum(amount) / NULLIF(count(*), 0), 2) END AS avg_ticket";

/// The same for a time bucket, whose amounts are null if the whole response has several currencies.
const BUCKET: &str = "count(*) AS count, CASE WHEN (SELECT count(DISTINCT currency) FROM payments) < 2 THEN COALESCE(sum(amount), 0) END AS amount, \
    COALESCE(sum(amount_usd), 0) AS amount_usd, count(*) FILTER (WHERE status = 'success') AS success_count, \
    count(*) FILTER (WHERE status = 'failed') AS failed_count, \
    count(*) FILTER (WHERE status IN ('pending', 'processing')) AS pending_count, \
    round(100.0 * count(*) FILTER (WHERE status = 'success') / NULLIF(count(*), 0), 2)::float8 AS conversion_rate";

/// The rows of the overview.
const OVERVIEW: &str = "SELECT total_count, total_amount, total_amount_usd, usd_missing_count, COALESCE(conversion_rate, 0) AS conversion_rate, avg_ticket,
           total_fee, total_fee_usd, currency, by_source, by_status,
           round(100.0 * (total_count - earlier_count) / NULLIF(earlier_count, 0), 2)::float8 AS count_change_percent,
           round(100.0 * CASE WHEN currencies < 2 THEN amount - earlier_amount ELSE total_amount_usd - earlier_amount_usd END
                 / NULLIF(CASE WHEN currencies < 2 THEN earlier_amount ELSE earlier_amount_usd END, 0), 2)::float8
               AS amount_change_percent
      FROM (SELECT MEASURES, COALESCE(sum(fee_usd), 0) AS total_fee_usd,
                   CASE WHEN count(DISTINCT currency) < 2 THEN COALESCE(sum(fee), 0) END AS total_fee,
                   CASE WHEN count(DISTINCT currency) < 2 THEN min(currency) END AS currency,
                   COALESCE(sum(amount), 0) AS amount,
                   (SELECT count(DISTINCT currency) FROM (TABLE payments UNION ALL TABLE earlier) AS both_periods) AS currencies,
                   jsonb_build_object(
                       'vima', jsonb_build_object('count', count(*) FILTER (WHERE source = 'vima')),
                       'payshack', jsonb_build_object(
                           'count', count(*) FILTER (WHERE source = 'payshack'),
                           'amount_usd', COALESCE(sum(amount_usd) FILTER (WHERE source = 'payshack'), 0))) AS by_source
              FROM payments) AS current_period
           CROSS JOIN (SELECT count(*) AS earlier_count, COALESCE(sum(amount), 0) AS earlier_amount,
                              COALESCE(sum(amount_usd), 0) AS earlier_amount_usd FROM earlier) AS earlier_period
           CROSS JOIN (SELECT COALESCE(jsonb_object_agg(status, share), '{}') AS by_status
                         FROM (SELECT status, jsonb_build_object('count', count(*), 'amount_usd', COALESCE(sum(amount_usd), 0)) AS share
                                 FROM payments GROUP BY status) AS shares) AS statuses";

impl Asked {
    #[expect(clippy::too_many_lines, reason = "a statement for each endpoint")]
    pub(super) fn all() -> Vec<Self> {
        let filled = |path, key, sql| Self { path, rows: "/data", key, fills: true, sql };
        let trends = |path, sql| filled(path, &["timestamp"], sql);
        let by = |path, rows, key, sql| Self { path, rows, key, fills: false, sql };
        // Failures that only occurred in the days before are in the response too.
        let failures = |path, sql| Self {
            path,
            rows: "/failures",
            key: &["group", "source", "original_status"],
            fills: true,
            sql,
        };
        vec![
            Self { path: "overview?", rows: "", key: &[], fills: false, sql: OVERVIEW },
            by("by-project?", "/projects", &["project"], "SELECT project, MEASURES FROM payments GROUP BY project"),
            trends(
                "trends?granularity=minute",
                "SELECT date_trunc('minute', created_at, $1) AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            trends(
                "trends?granularity=5min",
                "SELECT date_bin('5 minutes', created_at, 'epoch') AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            trends(
                "trends?granularity=15min",
                "SELECT date_bin('15 minutes', created_at, 'epoch') AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            trends(
                "trends?",
                "SELECT date_trunc('hour', created_at, $1) AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            trends(
                "trends?granularity=day",
                "SELECT date_trunc('day', created_at, $1) AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            trends(
                "trends?granularity=week",
                "SELECT date_trunc('week', created_at, $1) AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            trends(
                "trends?granularity=month",
                "SELECT date_trunc('month', created_at, $1) AS timestamp, BUCKET FROM payments GROUP BY 1",
            ),
            by("by-country?", "/countries", &["country"], "SELECT country, MEASURES FROM payments GROUP BY country"),
            by("by-status?", "/statuses", &["status"], "SELECT status, MEASURES FROM payments GROUP BY status"),
            by(
                "by-payment-method?",
                "/payment_methods",
                &["payment_method"],
                "SELECT payment_method, MEASURES FROM payments GROUP BY payment_method",
            ),
            by(
                "by-merchant?limit=100",
                "/items",
                &["merchant_id"],
                "SELECT merchant_id, MEASURES, min(created_at) AS first_txn_at, max(created_at) AS last_txn_at
                   FROM payments GROUP BY merchant_id",
            ),
            by(
                "by-original-status?",
                "/statuses",
                &["source", "original_status", "status"],
                "SELECT source, original_status, status, count(*) AS count,
                        CASE WHEN count(DISTINCT currency) < 2 THEN sum(amount) END AS amount,
                        COALESCE(sum(amount_usd), 0) AS amount_usd,
                        count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing_count
                   FROM payments GROUP BY 1, 2, 3",
            ),
            failures(
                "failures?",
                "SELECT project AS \"group\", source, original_status, count(*) AS count, COALESCE(sum(amount_usd), 0) AS amount_usd
                   FROM payments WHERE status = 'failed' GROUP BY 1, 2, 3",
            ),
            failures(
                "failures?by=hour",
                "SELECT extract(hour FROM local)::text AS \"group\", source, original_status, count(*) AS count,
                        COALESCE(sum(amount_usd), 0) AS amount_usd
                   FROM payments WHERE status = 'failed' GROUP BY 1, 2, 3",
            ),
            failures(
                "failures?by=amount_band",
                "SELECT ('{0-100,100-500,500-1000,1000-5000,5000-10000,10000-50000,50000-100000,100000+}'::text[])[
                            1 + width_bucket(amount, '{100,500,1000,5000,10000,50000,100000}'::numeric[])] AS \"group\",
                        source, original_status, count(*) AS count
                   FROM payments WHERE status = 'failed' GROUP BY 1, 2, 3",
            ),
            by(
                "time-to-final?by=project",
                "/groups",
                &["group"],
                "SELECT project AS \"group\" FROM payments WHERE status IN ('success', 'failed', 'refunded') GROUP BY 1",
            ),
            by(
                "horizontal-bars/payment_method?",
                "/bars",
                &["label"],
                "SELECT payment_method AS label, count(*) AS count FROM payments GROUP BY 1",
            ),
            by(
                "horizontal-bars/status?",
                "/bars",
                &["label"],
                "SELECT status AS label, count(*) AS count FROM payments GROUP BY 1",
            ),
            by(
                "conversion-by-project?",
                "/projects",
                &["project"],
                "SELECT project, count(*) AS total_count, count(*) FILTER (WHERE status = 'success') AS success_count,
                        round(100.0 * count(*) FILTER (WHERE status = 'success') / count(*), 2)::float8 AS conversion_rate
                   FROM payments GROUP BY project HAVING count(*) >= 10",
            ),
            filled(
                "hourly-distribution?",
                &["weekday", "hour"],
                "SELECT extract(isodow FROM local)::int - 1 AS weekday, extract(hour FROM local)::int AS hour, count(*) AS count,
                        COALESCE(sum(amount_usd), 0) AS amount_usd, count(*) FILTER (WHERE status = 'success') AS success_count
                   FROM payments GROUP BY 1, 2",
            ),
            filled(
                "amount-distribution?",
                &["bucket_index", "hour"],
                "SELECT (SELECT count(*) FROM UNNEST('{100,500,1000,5000,10000,50000,100000}'::numeric[]) AS bound
                          WHERE amount >= bound) AS bucket_index,
                        extract(hour FROM local)::int AS hour, count(*) AS count,
                        CASE WHEN (SELECT count(DISTINCT currency) FROM payments) < 2 THEN sum(amount) END AS total_amount
                   FROM payments GROUP BY 1, 2",
            ),
            Self {
                path: "heatmap?metric=count",
                rows: "/cells",
                key: &["x", "y"],
                fills: true,
                sql: "SELECT extract(hour FROM local)::int AS x, extract(isodow FROM local)::int - 1 AS y, count(*) AS count,
                             count(*) AS value
                        FROM payments GROUP BY 1, 2",
            },
            Self {
                path: "by-source?granularity=day",
                rows: "/sources",
                key: &["source"],
                fills: true,
                sql: "SELECT source, CASE WHEN count(DISTINCT currency) < 2 THEN min(currency) END AS currency,
                             jsonb_build_object('count', count(*), 'amount_usd', COALESCE(sum(amount_usd), 0)) AS totals
                        FROM payments GROUP BY source",
            },
        ]
    }

    /// The statuses of the payments that the answer is about; empty if they are those of the filter.
    fn summarized_statuses(&self) -> &'static str {
        match self.path.split_once('?') {
            Some(("failures", _)) => "failed",
            Some(("time-to-final", _)) => "success,failed,refunded",
            _ => "",
        }
    }

    pub(super) async fn compare(&self, web: &Web, oracle: &Oracle<'_>) {
        if self.path.starts_with("failures") && !oracle.has_failures() {
            return;
        }
        // Minutes of four days are many.
        let days = if self.path.contains("granularity=minute") { (oracle.days.1, oracle.days.1) } else { oracle.days };
        let filter: Vec<String> = oracle.filter.iter().map(|(name, values)| format!("&{name}={values}")).collect();
        let path = format!(
            "/api/v1/metrics/{}&from_date={}&to_date={}&timezone={}{}",
            self.path,
            days.0,
            days.1,
            oracle.zone,
            filter.concat()
        );
        let response = web.get(&path).await;
        let found = response.pointer(self.rows).unwrap_or_else(|| panic!("{path}: no {} in {response}", self.rows));
        let found = found.as_array().cloned().unwrap_or_else(|| vec![found.clone()]);
        let summary = oracle.of_statuses(self.summarized_statuses()).count(days, SUMMARY).await.remove(0);
        assert_summary(&path, &response, &summary);
        assert_summary_link(web, &path, &response).await;
        assert_links(web, &path, found.iter()).await;
        let counted = oracle.count(days, self.sql).await;
        for row in &counted {
            let same_key = |found: &&Value| self.key.iter().all(|key| is_same(&found[*key], &row[*key]));
            let found = found.iter().find(same_key).unwrap_or_else(|| panic!("{path}: there is no row like {row}"));
            assert_says(&path, found, row);
        }
        let of_something =
            |row: &&Value| !self.fills || ["count", "totals"].iter().any(|field| has_count(&row[*field]));
        assert_eq!(found.iter().filter(of_something).count(), counted.len(), "{path}: {found:?} {counted:?}");
    }
}

fn has_count(value: &Value) -> bool {
    value.as_i64().or_else(|| value["count"].as_i64()).is_some_and(|count| count > 0)
}

/// Sums that a response does not have are null.
fn assert_summary(path: &str, response: &Value, summary: &Value) {
    let found = response["by_currency"].as_array().unwrap_or_else(|| panic!("{path}: no by_currency"));
    let counted = summary["by_currency"].as_array().expect("a list");
    assert_eq!(found.len(), counted.len(), "{path}: {found:?} {counted:?}");
    for (found, counted) in found.iter().zip(counted) {
        for (field, value) in counted.as_object().expect("a row") {
            let is_left_out = match field.as_str() {
                "fee" => !path.contains("/overview"),
                "count" | "currency" | "success_count" | "failed_count" | "pending_count" => false,
                _ => path.contains("metric=count"),
            };
            let said = &found[field];
            assert!(
                if is_left_out { said.is_null() } else { is_equal(field, said, value) },
                "{path}: {field} in {found}"
            );
        }
    }
    let (counts_payments, missing) = (path.contains("count=payments"), &response["not_in_vima"]);
    assert_eq!(response["counted"], if counts_payments { "payments" } else { "records" }, "{path}");
    if counts_payments {
        assert_says(path, missing, &summary["not_in_vima"]);
    } else {
        assert!(missing.is_null(), "{path}: {missing}");
    }
}

impl Oracle<'_> {
    /// The same of payments that have one of these statuses too, if there are any.
    fn of_statuses(&self, statuses: &'static str) -> Self {
        let filter = self.filter.iter().copied().chain((!statuses.is_empty()).then_some(("status", statuses)));
        Self { filter: filter.collect(), ..*self }
    }

    /// Whether failures of these days can be requested: they ignore a filter by status, and end at the present.
    fn has_failures(&self) -> bool {
        let has_ended = self.days.1 < SystemClock.now().date_naive() - chrono::Days::new(1);
        has_ended && self.filter.iter().all(|(name, _)| *name != "status")
    }

    /// The rows of a count, with exact numbers: JSON keeps the digits of a `numeric`, and they are parsed as text.
    async fn count(&self, days: (NaiveDate, NaiveDate), sql: &'static str) -> Vec<Value> {
        let sql = sql.replace("MEASURES", MEASURES).replace("BUCKET", BUCKET);
        let mut query = QueryBuilder::<Postgres>::new("WITH asked AS (SELECT ");
        query.push_bind(self.zone).push(
            "::text AS zone), matching AS (SELECT *, created_at AT TIME ZONE $1 AS local FROM transactions WHERE true",
        );
        for (name, values) in self.filter.iter().filter(|(name, _)| *name != "count") {
            let values: Vec<&str> = values.split(',').collect();
            query.push(format!(" AND {name} = ANY(")).push_bind(values).push(")");
        }
        query.push("), filtered AS (SELECT * FROM matching WHERE true");
        if self.filter.contains(&("count", "payments")) {
            query
                .push(" AND (source, kind, COALESCE(project, '')) <> ('payshack', 'payin', ")
                .push_bind(RECONCILED)
                .push(")");
        }
        query.push("), records AS (SELECT * FROM matching WHERE local::date BETWEEN ").push_bind(days.0);
        query.push(" AND ").push_bind(days.1);
        query.push("), payments AS (SELECT * FROM filtered WHERE local::date BETWEEN ").push_bind(days.0);
        query.push(" AND ").push_bind(days.1);
        query.push("), earlier AS (SELECT * FROM filtered WHERE local::date BETWEEN ");
        let length = days.1 - days.0 + chrono::TimeDelta::days(1);
        query.push_bind(days.0 - length).push(" AND ").push_bind(days.1 - length);
        query.push(format!(") SELECT to_jsonb(counted)::text FROM ({sql}) AS counted"));
        let rows: Vec<String> =
            query.build_query_scalar().fetch_all(self.pool).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
        rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect()
    }
}
