//! US dollars: by the record's own rate, else by a stored one, else not at all; and never a reason to write a record again.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::db::transactions::exchange_rates;
use psp_dashboard::db::transactions::lock_source;
use psp_dashboard::domain::money::Currency;
use psp_dashboard::domain::transaction::Source;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::consistency::{assert_matches_sandbox, assert_rollups_match_transactions};
use crate::harness::eventually;
use crate::harness::programs::{Program, RunningProgram, run};
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::TestSystem;

const REFRESH: &str = "refresh-fx-rates";
const WITHOUT_RATE: &str = "SELECT count(*) FROM transactions WHERE exchange_rate IS NULL";
const KEY: &str = "k3y-of-the-feed";

fn worker(system: &TestSystem) -> RunningProgram {
    system.start_jobs_with(&["worker"], &[("FX_RATES_URL", &system.sandbox.fx_url())])
}

async fn rupees_for_a_dollar(system: &TestSystem, rupees: &str) {
    system.sandbox.set_fx_response(200, &format!(r#"{{"base":"USD","rates":{{"INR":{rupees},"JPY":157.84}}}}"#)).await;
}

/// Creates and changes payments at both providers, and reads them.
async fn move_on(system: &TestSystem) {
    system.sandbox.send(Method::POST, "live", Some(json!({"create": 40, "change": 60}))).await;
    system.sync_both().await;
    assert_matches_sandbox(system).await;
}

#[tokio::test]
async fn what_was_stored_before_any_rate_is_valued_by_the_first() {
    let system = TestSystem::start(&[]).await;
    let _worker = worker(&system);
    system.sync_both().await;
    let of_payshack = "SELECT count(*) FROM transactions WHERE source = 'payshack'";
    let waiting = system.number(WITHOUT_RATE).await;
    assert!(waiting >= system.number(of_payshack).await, "PayShack says nothing of dollars");
    // Whoever writes a row again gives it a later xmin, and so a larger sum.
    let told = "SELECT sum(xmin::text::bigint)::bigint FROM transactions WHERE rate_origin = 'record'";
    let told_before = system.number(told).await;
    let metrics_updated = "SELECT count(*) FROM events WHERE body->>'type' = 'metrics_updated'";
    let news_before = system.number(metrics_updated).await;

    system.run_job(REFRESH, None);
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
    let by_ours = "SELECT count(*) FROM transactions
                    WHERE rate_origin = 'stored' AND amount_usd = amount * exchange_rate
                      AND fee_usd IS NOT DISTINCT FROM fee * exchange_rate
                      AND exchange_rate = CASE currency WHEN 'INR' THEN 0.012019230769 WHEN 'JPY' THEN 0.006335529650 END
                      AND rate_at = (SELECT min(fetched_at) FROM exchange_rates)";
    assert_eq!(system.number(by_ours).await, waiting, "every one of them by the rate that we fetched");
    assert!(system.number("SELECT count(fee_usd) FROM transactions WHERE source = 'payshack'").await > 0);
    assert_eq!(system.number(told).await, told_before, "the record's own word stays");
    assert!(system.number(metrics_updated).await > news_before, "dashboards are told");
    assert_rollups_match_transactions(&system).await;

    move_on(&system).await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0, "what comes later is valued as it comes");
    let own_rate = "SELECT count(*) FROM transactions
                     WHERE source = 'vima' AND currency = 'INR' AND exchange_rate = 0.01201 AND rate_origin = 'record'";
    assert!(system.number(own_rate).await > 0, "a rate of the record's own goes before ours");
}

#[tokio::test]
async fn rates_that_move_make_no_record_look_changed() {
    let system = TestSystem::start(&[]).await;
    let _worker = worker(&system);
    rupees_for_a_dollar(&system, "80").await;
    system.run_job(REFRESH, None);
    system.sync_both().await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
    let written = "SELECT sum(xmin::text::bigint)::bigint FROM transactions";
    let before = system.number(written).await;

    rupees_for_a_dollar(&system, "100").await;
    system.run_job(REFRESH, None);
    system.sync_both().await;
    system.run_job("sync-vima", Some(r#"{"mode":"full"}"#));
    assert_eq!(system.number(written).await, before, "an unchanged record is not written because rates moved");

    move_on(&system).await;
    let changed = "SELECT count(*) FROM transactions
                    WHERE rate_origin = 'stored' AND id IN (SELECT transaction_id FROM transaction_changes)";
    assert!(system.number(changed).await > 0, "some of those that we valued have changed");
    let by_its_time = "SELECT count(*) FROM transactions
                        WHERE rate_origin = 'stored' AND currency = 'INR'
                          AND exchange_rate = CASE WHEN created_at < (SELECT max(fetched_at) FROM exchange_rates)
                                                   THEN 0.0125 ELSE 0.01 END";
    let by_ours = "SELECT count(*) FROM transactions WHERE rate_origin = 'stored' AND currency = 'INR'";
    assert_eq!(system.number(by_its_time).await, system.number(by_ours).await, "a payment keeps the rate of its time");
    assert!(system.number("SELECT count(*) FROM transactions WHERE exchange_rate = 0.01").await > 0);
    let yen = "SELECT count(*) FROM exchange_rates WHERE currency = 'JPY'";
    assert_eq!(system.number(yen).await, 1, "a rate that has not moved is not stored again");
}

#[tokio::test]
async fn a_rate_is_stored_when_it_moves_and_once_a_day() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let mut connection = pool.acquire().await.expect("a connection");
    let start: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
    for (minutes, rate, stored) in
        [(0, "0.012", 1), (30, "0.012", 0), (60, "0.013", 1), (90, "0.012", 1), (1531, "0.012", 1)]
    {
        let fetched = BTreeMap::from([(Currency::inr(), rate.parse().expect("a rate"))]);
        let now = start + TimeDelta::minutes(minutes);
        let new = exchange_rates::insert(&mut connection, &fetched, now).await.expect("the database takes it");
        assert_eq!(new, stored, "{rate} after {minutes} minutes");
    }
    let pruned = exchange_rates::prune(&pool, start + TimeDelta::hours(2)).await.expect("the database answers");
    let left = number(&pool, "SELECT count(*) FROM exchange_rates").await;
    assert_eq!((pruned, left), (3, 1));
}

#[tokio::test]
async fn a_feed_at_its_worst_leaves_the_old_rates_in_use() {
    let system = TestSystem::start(&[]).await;
    let url = format!("{}?app_id={KEY}", system.sandbox.fx_url());
    let worker = system.start_jobs_with(&["worker"], &[("FX_RATES_URL", &url)]);
    system.run_job(REFRESH, None);
    for (status, answer, told) in [
        (503, "down for maintenance", "unavailable (HTTP 503)"),
        (200, "<html>please wait</html>", "cannot be parsed"),
        (200, r#"{"base":"USD","rates":{"INR":0,"JPY":-3}}"#, "no usable rate"),
        (200, r#"{"base":"EUR","rates":{"INR":90}}"#, "no usable USD"),
    ] {
        system.sandbox.set_fx_response(status, answer).await;
        assert!(run(Program::Jobs, &["enqueue", REFRESH], system.settings()).status.success());
        let why = eventually("the job to wait for another attempt", || async {
            let why = sqlx::query_scalar!("SELECT error FROM jobs WHERE kind = $1 AND state = 'retrying'", REFRESH);
            why.fetch_optional(&system.pool).await.expect("the jobs table answers").flatten()
        })
        .await;
        assert!(why.contains(told), "{answer}: {why}");
        assert!(!why.contains(KEY), "{why}");
        sqlx::query!("DELETE FROM jobs").execute(&system.pool).await.expect("the jobs table answers");
    }
    system.sync_both().await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0, "the rates of before are used");
    rupees_for_a_dollar(&system, "100").await;
    system.run_job(REFRESH, None);
    assert!(!worker.output().contains(KEY), "a key in the log: {}", worker.output());
}

#[tokio::test]
async fn without_a_feed_nothing_is_made_up() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let made_up = "SELECT count(*) FROM transactions
                    WHERE source = 'payshack' AND (exchange_rate, amount_usd, fee_usd, rate_origin) IS DISTINCT FROM
                          (NULL::numeric, NULL::numeric, NULL::numeric, NULL::text)";
    assert_eq!(system.number(made_up).await, 0);
    let ended = system.try_run_job(REFRESH, None);
    assert!(!ended.status.success() && ended.stderr.contains("FX_RATES_URL is not set"), "{ended:?}");
}

#[tokio::test]
async fn a_refresh_that_is_killed_half_way_is_taken_over() {
    let system = TestSystem::start(&["--per-day", "600"]).await;
    let mut first = worker(&system);
    system.sync_both().await;
    let mut lock = system.pool.begin().await.expect("a transaction");
    // In the third batch.
    sqlx::query!(
        "SELECT id FROM transactions
          WHERE id = (SELECT id FROM transactions WHERE source = 'payshack' ORDER BY created_at, id OFFSET 1100 LIMIT 1)
            FOR UPDATE"
    )
    .fetch_one(&mut *lock)
    .await
    .expect("so many payments");
    assert!(run(Program::Jobs, &["enqueue", REFRESH], system.settings()).status.success());
    let by_ours = "SELECT count(*) FROM transactions WHERE source = 'payshack' AND rate_origin = 'stored'";
    eventually("two batches", || async { (system.number(by_ours).await == 1000).then_some(()) }).await;
    first.kill();
    lock.rollback().await.expect("the lock is ours");
    let _second = worker(&system);
    system.wait_until_idle().await;
    assert_eq!(system.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await, 1);
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
    assert_rollups_match_transactions(&system).await;
}

#[tokio::test]
async fn what_is_being_stored_while_the_first_rates_come_is_valued_too() {
    let system = TestSystem::start(&[]).await;
    let _worker = worker(&system);
    system.sync_both().await;
    // A page that was begun without rates, with the first payment of its currency.
    let mut page = system.pool.begin().await.expect("a transaction");
    lock_source(&mut page, Source::Payshack).await.expect("nobody else writes");
    sqlx::query!(
        "UPDATE transactions SET currency = 'JPY'
          WHERE id = (SELECT id FROM transactions WHERE source = 'payshack' ORDER BY id LIMIT 1)"
    )
    .execute(&mut *page)
    .await
    .expect("the database takes it");
    assert!(run(Program::Jobs, &["enqueue", REFRESH], system.settings()).status.success());
    let waiting = "SELECT count(*) FROM pg_locks
                    WHERE locktype = 'advisory' AND NOT granted
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the refresh to wait for its turn", || async { (system.number(waiting).await == 1).then_some(()) })
        .await;
    page.commit().await.expect("the page is stored");
    system.wait_until_idle().await;
    assert_eq!(system.number(WITHOUT_RATE).await, 0);
}

#[tokio::test]
async fn the_api_says_whose_word_a_rate_is() {
    let system = TestSystem::start(&[]).await;
    let _worker = worker(&system);
    system.sync_both().await;
    let web = system.start_web().await;
    let newest = async |source: &str| {
        let listed = web.get(&format!("/api/v1/transactions?source={source}&currency=INR&limit=1")).await;
        let newest = &listed["items"][0];
        ["exchange_rate", "exchange_rate_origin", "exchange_rate_at"].map(|field| newest[field].clone())
    };
    assert_eq!(newest("payshack").await, [Value::Null, Value::Null, Value::Null]);
    system.run_job(REFRESH, None);
    let [rate, origin, at] = newest("payshack").await;
    assert_eq!((rate, origin), (json!("0.012019230769"), json!("stored")));
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    // A process of before knew no rate but the record's, and no column to say so.
    sqlx::query!("UPDATE transactions SET rate_origin = NULL, rate_at = NULL, exchange_rate = 0.01201")
        .execute(&system.pool)
        .await
        .expect("the database answers");
    assert_eq!(newest("vima").await, [json!("0.01201"), json!("record"), Value::Null]);
}
