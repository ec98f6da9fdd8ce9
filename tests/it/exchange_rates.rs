//! Amounts in US dollars: by the record's own rate, else by a stored rate, else none. New rates never cause unchanged records
//! to be written again.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::db::transactions::exchange_rates;
use psp_dashboard::db::transactions::lock_source;
use psp_dashboard::domain::money::Currency;
use psp_dashboard::domain::transaction::Source;
use serde_json::{Value, json};

use crate::harness::consistency::{assert_matches_sandbox, assert_rollups_match_transactions};
use crate::harness::eventually;
use crate::harness::programs::RunningProgram;
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::TestSystem;

const REFRESH: &str = "refresh-fx-rates";
const WITHOUT_RATE: &str = "SELECT count(*) FROM transactions WHERE exchange_rate IS NULL";
const RATES_API_KEY: &str = "k3y-of-the-feed";

fn start_worker(system: &TestSystem) -> RunningProgram {
    system.start_jobs_with(&["worker"], &[("FX_RATES_URL", &system.sandbox.fx_url())])
}

async fn set_rupees_per_dollar(system: &TestSystem, rupees: &str) {
    system.sandbox.set_fx_response(200, &format!(r#"{{"base":"USD","rates":{{"INR":{rupees},"JPY":157.84}}}}"#)).await;
}

/// Creates and changes payments at both providers, and syncs them.
async fn sync_changes(system: &TestSystem) {
    system.sandbox.create_and_change(40, 60).await;
    system.sync_both().await;
    assert_matches_sandbox(system).await;
}

#[tokio::test]
async fn payments_without_rate_get_the_first_stored_rate() {
    let system = TestSystem::start(&[]).await;
    let _worker = start_worker(&system);
    system.sync_both().await;
    let without_rate = system.number(WITHOUT_RATE).await;
    assert!(without_rate >= system.count_transactions("payshack").await, "PayShack reports no dollar amounts");
    // Each write of a row increases its xmin, and with it the sum.
    let rows_with_own_rate = "SELECT sum(xmin::text::bigint)::bigint FROM transactions WHERE rate_origin = 'record'";
    let own_rate_before = system.number(rows_with_own_rate).await;
    let metrics_updated = "SELECT count(*) FROM events WHERE body->>'type' = 'metrics_updated'";
    let events_before = system.number(metrics_updated).await;

    system.run_job(REFRESH, None);
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
    let converted = "SELECT count(*) FROM transactions
                      WHERE rate_origin = 'stored' AND amount_usd = amount * exchange_rate
                        AND fee_usd IS NOT DISTINCT FROM fee * exchange_rate
                        AND exchange_rate = CASE currency WHEN 'INR' THEN 0.012019230769 WHEN 'JPY' THEN 0.006335529650 END
                        AND rate_at = (SELECT min(fetched_at) FROM exchange_rates)";
    assert_eq!(system.number(converted).await, without_rate, "all of them are converted by the fetched rate");
    assert!(system.number("SELECT count(fee_usd) FROM transactions WHERE source = 'payshack'").await > 0);
    assert_eq!(system.number(rows_with_own_rate).await, own_rate_before, "a record keeps its own rate");
    assert!(system.number(metrics_updated).await > events_before, "dashboards are notified");
    assert_rollups_match_transactions(&system).await;

    sync_changes(&system).await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0, "new payments are converted when they are stored");
    let own_rate = "SELECT count(*) FROM transactions
                     WHERE source = 'vima' AND currency = 'INR' AND exchange_rate = 0.01201 AND rate_origin = 'record'";
    assert!(system.number(own_rate).await > 0, "the record's own rate takes precedence over a stored one");
}

#[tokio::test]
async fn changed_rates_do_not_rewrite_unchanged_records() {
    let system = TestSystem::start(&[]).await;
    let _worker = start_worker(&system);
    set_rupees_per_dollar(&system, "80").await;
    system.run_job(REFRESH, None);
    system.sync_both().await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
    let written = "SELECT sum(xmin::text::bigint)::bigint FROM transactions";
    let before = system.number(written).await;

    set_rupees_per_dollar(&system, "100").await;
    system.run_job(REFRESH, None);
    system.sync_both().await;
    system.run_job("sync-vima", Some(r#"{"mode":"full"}"#));
    assert_eq!(system.number(written).await, before, "an unchanged record is not written because rates moved");

    sync_changes(&system).await;
    let changed = "SELECT count(*) FROM transactions
                    WHERE rate_origin = 'stored' AND id IN (SELECT transaction_id FROM transaction_changes)";
    assert!(system.number(changed).await > 0, "some of the converted payments have changed");
    let at_rate_of_creation_time = "SELECT count(*) FROM transactions
                        WHERE rate_origin = 'stored' AND currency = 'INR'
                          AND exchange_rate = CASE WHEN created_at < (SELECT max(fetched_at) FROM exchange_rates)
                                                   THEN 0.0125 ELSE 0.01 END";
    let converted = "SELECT count(*) FROM transactions WHERE rate_origin = 'stored' AND currency = 'INR'";
    assert_eq!(system.number(at_rate_of_creation_time).await, system.number(converted).await);
    assert!(system.number("SELECT count(*) FROM transactions WHERE exchange_rate = 0.01").await > 0);
    let yen = "SELECT count(*) FROM exchange_rates WHERE currency = 'JPY'";
    assert_eq!(system.number(yen).await, 1, "an unchanged rate is not stored again");
}

#[tokio::test]
async fn rate_is_stored_when_it_changes_and_once_a_day() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let mut connection = pool.acquire().await.expect("a connection");
    let start: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
    for (minutes, rate, stored) in
        [(0, "0.012", 1), (30, "0.012", 0), (60, "0.013", 1), (90, "0.012", 1), (1531, "0.012", 1)]
    {
        let fetched = BTreeMap::from([(Currency::inr(), rate.parse().expect("a rate"))]);
        let now = start + TimeDelta::minutes(minutes);
        let inserted = exchange_rates::insert(&mut connection, &fetched, now).await.expect("the database accepts it");
        assert_eq!(inserted, stored, "{rate} after {minutes} minutes");
    }
    let pruned = exchange_rates::prune(&pool, start + TimeDelta::hours(2), 10).await.expect("the database responds");
    let left = number(&pool, "SELECT count(*) FROM exchange_rates").await;
    assert_eq!((pruned, left), (3, 1));
}

#[tokio::test]
async fn broken_rates_response_keeps_the_stored_rates() {
    let system = TestSystem::start(&[]).await;
    let url = format!("{}?app_id={RATES_API_KEY}", system.sandbox.fx_url());
    let worker = system.start_jobs_with(&["worker"], &[("FX_RATES_URL", &url)]);
    system.run_job(REFRESH, None);
    for (status, response, expected) in [
        (503, "down for maintenance", "unavailable (HTTP 503)"),
        (200, "<html>please wait</html>", "cannot be parsed"),
        (200, r#"{"base":"USD","rates":{"INR":0,"JPY":-3}}"#, "no usable rate"),
        (200, r#"{"base":"EUR","rates":{"INR":90}}"#, "no usable USD"),
    ] {
        system.sandbox.set_fx_response(status, response).await;
        system.enqueue(REFRESH, None);
        let error = eventually("the job to wait for another attempt", || async {
            let error = sqlx::query_scalar!("SELECT error FROM jobs WHERE kind = $1 AND state = 'retrying'", REFRESH);
            error.fetch_optional(&system.pool).await.expect("the jobs table responds").flatten()
        })
        .await;
        assert!(error.contains(expected), "{response}: {error}");
        assert!(!error.contains(RATES_API_KEY), "{error}");
        sqlx::query!("DELETE FROM jobs").execute(&system.pool).await.expect("the jobs table responds");
    }
    system.sync_both().await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0, "the stored rates are used");
    set_rupees_per_dollar(&system, "100").await;
    system.run_job(REFRESH, None);
    assert!(!worker.output().contains(RATES_API_KEY), "the log contains the key: {}", worker.output());
}

#[tokio::test]
async fn without_rates_url_no_payment_is_converted() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let converted = "SELECT count(*) FROM transactions
                    WHERE source = 'payshack' AND (exchange_rate, amount_usd, fee_usd, rate_origin) IS DISTINCT FROM
                          (NULL::numeric, NULL::numeric, NULL::numeric, NULL::text)";
    assert_eq!(system.number(converted).await, 0);
    let output = system.try_run_job(REFRESH, None);
    assert!(!output.status.success() && output.stderr.contains("FX_RATES_URL is not set"), "{output:?}");
}

#[tokio::test]
async fn refresh_killed_half_way_is_completed_by_another_worker() {
    let system = TestSystem::start(&["--per-day", "600"]).await;
    let mut first = start_worker(&system);
    system.sync_both().await;
    let mut lock = system.pool.begin().await.expect("a transaction");
    // Blocks the third batch.
    sqlx::query!(
        "SELECT id FROM transactions
          WHERE id = (SELECT id FROM transactions WHERE source = 'payshack' ORDER BY created_at, id OFFSET 1100 LIMIT 1)
            FOR UPDATE"
    )
    .fetch_one(&mut *lock)
    .await
    .expect("the payment exists");
    system.enqueue(REFRESH, None);
    let converted = "SELECT count(*) FROM transactions WHERE source = 'payshack' AND rate_origin = 'stored'";
    eventually("two batches to be converted", || async { (system.number(converted).await == 1000).then_some(()) })
        .await;
    first.kill();
    lock.rollback().await.expect("the lock is released");
    let _second = start_worker(&system);
    system.wait_until_idle().await;
    assert_eq!(system.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await, 1);
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
    assert_rollups_match_transactions(&system).await;
}

#[tokio::test]
async fn payments_committed_during_the_first_refresh_are_converted() {
    let system = TestSystem::start(&[]).await;
    let _worker = start_worker(&system);
    system.sync_both().await;
    // A page that started without rates and contains the first payment of a currency.
    let mut page = system.pool.begin().await.expect("a transaction");
    lock_source(&mut page, Source::Payshack).await.expect("there is no other writer");
    sqlx::query!(
        "UPDATE transactions SET currency = 'JPY'
          WHERE id = (SELECT id FROM transactions WHERE source = 'payshack' ORDER BY id LIMIT 1)"
    )
    .execute(&mut *page)
    .await
    .expect("the database accepts it");
    system.enqueue(REFRESH, None);
    let waiting = "SELECT count(*) FROM pg_locks
                    WHERE locktype = 'advisory' AND NOT granted
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the refresh to wait for the lock", || async { (system.number(waiting).await == 1).then_some(()) })
        .await;
    page.commit().await.expect("the page is committed");
    system.wait_until_idle().await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
}

#[tokio::test]
async fn api_reports_the_origin_of_a_rate() {
    let system = TestSystem::start(&[]).await;
    let _worker = start_worker(&system);
    system.sync_both().await;
    let web = system.start_web().await;
    let newest_rate = async |source: &str| {
        let listed = web.get(&format!("/api/v1/transactions?source={source}&currency=INR&limit=1")).await;
        let newest = &listed["items"][0];
        ["exchange_rate", "exchange_rate_origin", "exchange_rate_at"].map(|field| newest[field].clone())
    };
    assert_eq!(newest_rate("payshack").await, [Value::Null, Value::Null, Value::Null]);
    system.run_job(REFRESH, None);
    let [rate, origin, at] = newest_rate("payshack").await;
    assert_eq!((rate, origin), (json!("0.012019230769"), json!("stored")));
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    // Rows of earlier releases, which had only the record's rate and no column for its origin.
    sqlx::query!("UPDATE transactions SET rate_origin = NULL, rate_at = NULL, exchange_rate = 0.01201")
        .execute(&system.pool)
        .await
        .expect("the database responds");
    assert_eq!(newest_rate("vima").await, [json!("0.01201"), json!("record"), Value::Null]);
}
