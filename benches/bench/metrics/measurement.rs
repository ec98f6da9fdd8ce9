//! Measures an endpoint and prints the table of docs/performance.md.
//!
//! *Cold*: each request is a different query, one at a time, and before each the versions of all days are raised, so that
//! no answer is cached, and packed days count as packed again after that: the process computes the answer from what the
//! database stores. *Concurrent*: the same by eight connections. *After a commit*: queries made before, one at a time, and
//! before each the versions of today are raised, as by a sync. *Cached*: one query by eight connections. Plain SQL computes
//! the same numbers; if both report a count of payments, the counts must be equal. Responses are compressed, as browsers
//! request them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::metrics::data_version;
use psp_dashboard::domain::transaction::Source;
use reqwest::Method;
use serde_json::Value;
use sqlx::{Executor, PgPool};

use super::plain_sql::{Outcome, PlainSql};
use crate::harness::test_system::{ADMIN, ApiResponse, Web};
use crate::report::{self, Durations, Target};

const CONNECTIONS: usize = 8;
/// How long cached queries are measured.
const CACHED: Duration = Duration::from_secs(2);
/// How many queries are measured after commits.
const AFTER_COMMITS: usize = 40;
/// Queries before those that count.
const WARM_UP: usize = 5;
/// The longest time for cold queries, even if some were not sent by then.
const LONGEST: Duration = Duration::from_secs(20);

/// The p95 of eight different queries at once, in milliseconds.
const AT_ONCE: Target = Target::AtMost(200.0);

/// The targets for p50 and p95, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits(pub(super) f64, pub(super) f64);

/// Where a response reports the number of its payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountIn {
    /// In a field, or as the sum over its rows.
    Rows,
    /// In the `total` of a listing.
    Total,
    /// Nowhere, or of another time than plain SQL.
    Nowhere,
}

/// An endpoint to measure.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) name: String,
    /// The targets, if there are any.
    pub(super) limits: Option<Limits>,
    /// Different queries, if the endpoint has several.
    pub(super) paths: Vec<String>,
    /// Queries whose result changes with a commit of today.
    pub(super) recent: Vec<String>,
    /// Plain SQL for the first query.
    pub(super) plain: Option<PlainSql>,
    pub(super) count_in: CountIn,
    /// The name of an endpoint to compare with, and the largest ratio of the cold p50s.
    pub(super) compared_with: Option<(&'static str, f64)>,
}

/// The measurements of one endpoint.
#[derive(Debug)]
pub(super) struct Measurement {
    name: String,
    /// Endpoints with targets also have one for their growth.
    has_limits: bool,
    compared_with: Option<(&'static str, f64)>,
    /// The status if it is not 200.
    results: Result<Results, u16>,
}

#[derive(Debug)]
struct Results {
    cold: Durations,
    concurrent: Durations,
    after_commit: Durations,
    cached: Durations,
    cached_per_second: f64,
    plain: Option<Outcome>,
    difference: Option<String>,
}

impl Measurement {
    /// How the response differs from plain SQL, if it does.
    pub(super) fn difference(&self) -> Option<&str> {
        self.results.as_ref().ok()?.difference.as_deref()
    }
}

pub(super) async fn measure(pool: &PgPool, web: &Web, endpoint: Endpoint) -> Measurement {
    let results = measure_all(pool, web, &endpoint).await;
    let has_several = endpoint.paths.first() != endpoint.paths.last();
    let Endpoint { name, limits, compared_with, .. } = endpoint;
    match &results {
        Err(status) => println!("  {name}: missing, the status is {status}"),
        Ok(results) => {
            let (p50, p95) = limits
                .map_or((Target::None, Target::None), |Limits(p50, p95)| (Target::AtMost(p50), Target::AtMost(p95)));
            report::print_cell(&name, "cold p50", results.cold.percentile_ms(50), "ms", p50);
            report::print_cell(&name, "cold p95", results.cold.percentile_ms(95), "ms", p95);
            let at_once = if has_several && limits.is_some() { AT_ONCE } else { Target::None };
            report::print_cell(&name, "concurrent p95", results.concurrent.percentile_ms(95), "ms", at_once);
            results.record(&name);
            if let Some(difference) = &results.difference {
                println!("    WRONG: {difference}");
            }
        }
    }
    Measurement { name, has_limits: limits.is_some(), compared_with, results }
}

async fn measure_all(pool: &PgPool, web: &Web, endpoint: &Endpoint) -> Result<Results, u16> {
    let path = &endpoint.paths[0];
    let response = get(web, path).await;
    if response.status != 200 {
        return Err(response.status);
    }
    let cold = measure_uncached(pool, web, &endpoint.paths, Invalidated::AllDays).await;
    let clients = (0..CONNECTIONS).map(|index| rotated(&endpoint.paths, index));
    let clients = clients.map(|paths| async move { measure_uncached(pool, web, &paths, Invalidated::AllDays).await });
    let concurrent = join_all(clients).await.concat();
    let recent: Vec<String> = endpoint.recent.iter().cycle().take(AFTER_COMMITS).cloned().collect();
    let after_commit = measure_uncached(pool, web, &recent, Invalidated::Today).await;
    let started = Instant::now();
    let cached = join_all((0..CONNECTIONS).map(|_| measure_cached(web, path))).await.concat();
    let cached_per_second = report::per_second(i64::try_from(cached.len()).unwrap_or(i64::MAX), started.elapsed());
    let plain = match &endpoint.plain {
        Some(plain) => Some(plain.run(pool).await),
        None => None,
    };
    let difference = plain.and_then(|plain| difference(endpoint, &response.json(), plain));
    let [cold, concurrent, after_commit, cached] = [cold, concurrent, after_commit, cached].map(Durations::new);
    Ok(Results { cold, concurrent, after_commit, cached, cached_per_second, plain, difference })
}

/// The same queries, starting at another one for each connection, so that no two send the same at once.
fn rotated(paths: &[String], connection: usize) -> Vec<String> {
    let mut paths = paths.to_vec();
    let first = connection * paths.len() / CONNECTIONS;
    paths.rotate_left(first);
    paths
}

/// How a response differs from plain SQL, if it does.
fn difference(endpoint: &Endpoint, response: &Value, plain: Outcome) -> Option<String> {
    let Outcome::Finished(_, counted) = plain else { return None };
    let reported = match endpoint.count_in {
        CountIn::Rows => count_of(response),
        // A large total may be only a lower bound.
        CountIn::Total if response["total_relation"] == "at_least" => response["total"].as_i64().max(Some(counted)),
        CountIn::Total => response["total"].as_i64(),
        CountIn::Nowhere => return None,
    };
    (reported != Some(counted)).then(|| format!("{}: {reported:?}, plain SQL {counted}", endpoint.paths[0]))
}

/// Which days are marked as changed before a query.
#[derive(Debug, Clone, Copy)]
enum Invalidated {
    AllDays,
    Today,
}

async fn invalidate(pool: &PgPool, days: Invalidated) {
    match days {
        Invalidated::AllDays => {
            // One statement, so that neither is visible without the other. Without the lock, those of several connections would
            // update the rows in different orders, and deadlock.
            pool.execute(
                "LOCK TABLE packed_days IN SHARE ROW EXCLUSIVE MODE;
                 WITH raised AS (UPDATE payment_versions SET version = version + 1 RETURNING source, version)
                 UPDATE packed_days SET version = raised.version FROM raised WHERE raised.source = packed_days.source",
            )
            .await
            .expect("the versions can be raised");
        }
        Invalidated::Today => {
            let mut connection = pool.acquire().await.expect("a connection");
            let today = BTreeSet::from([SystemClock.now().date_naive()]);
            for source in Source::ALL {
                data_version::increment(&mut connection, source, &today).await.expect("the versions can be raised");
            }
        }
    }
}

async fn measure_uncached(pool: &PgPool, web: &Web, paths: &[String], days: Invalidated) -> Vec<Duration> {
    let (started, mut waits) = (Instant::now(), vec![]);
    // The last queries warm up, so that the first ones are new when they are measured.
    let warm_up = paths.iter().rev().cycle().take(WARM_UP);
    for (index, path) in warm_up.chain(paths).enumerate() {
        invalidate(pool, days).await;
        let sent = Instant::now();
        let response = get(web, path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        if index >= WARM_UP {
            waits.push(sent.elapsed());
        }
        if !waits.is_empty() && started.elapsed() > LONGEST {
            break;
        }
    }
    waits
}

async fn measure_cached(web: &Web, path: &str) -> Vec<Duration> {
    let (started, mut waits) = (Instant::now(), vec![]);
    while started.elapsed() < CACHED {
        let sent = Instant::now();
        let response = get(web, path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        waits.push(sent.elapsed());
    }
    waits
}

async fn get(web: &Web, path: &str) -> ApiResponse {
    web.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process responds")
}

/// The number of payments in a response: a field, or the sum over its rows.
fn count_of(response: &Value) -> Option<i64> {
    let count = |of: &Value| ["total_count", "count"].iter().find_map(|name| of.get(*name)?.as_i64());
    if let Some(count) = count(response) {
        return Some(count);
    }
    if let Some(current) = response.get("current") {
        return count_of(current);
    }
    let counts = |rows: &Vec<Value>| -> Option<i64> {
        rows.iter().map(|row| count(row).or_else(|| count(row.get("totals")?))).sum()
    };
    response.as_object()?.values().filter_map(Value::as_array).filter(|rows| !rows.is_empty()).find_map(counts)
}

/// Prints the table of docs/performance.md for `count` payments, with the growth since the smallest number of payments.
pub(super) fn print_table(count: u64, rows: &[Measurement], smallest: Option<&[Measurement]>) {
    println!(
        "\n| {count} payments | cold: p50, p95 | concurrent | after a commit | cached: p50, p95 | per second | plain SQL | ratio | growth |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        match &row.results {
            Err(status) => println!("| {} | missing: {status} | | | | | | | |", row.name),
            Ok(results) => println!("| {} | {} | {} |", row.name, results.cells(), growth(row, smallest)),
        }
    }
    println!();
    report::heading(&format!("{} compared", payments(count)));
    for row in rows {
        let Some((name, most)) = row.compared_with else { continue };
        let Some(ratio) = p50(row).zip(rows.iter().find(|row| row.name == name).and_then(p50)).map(|(a, b)| a / b)
        else {
            continue;
        };
        report::print(&format!("{}, ratio to {name}", row.name), ratio, "", Target::AtMost(most));
    }
    for row in rows.iter().filter(|row| row.has_limits) {
        let Some(growth) = smallest.and_then(|smallest| growth_of(row, smallest)) else { continue };
        report::print(&format!("{}, growth of p50", row.name), growth, "", Target::AtMost(most_growth(&row.name)));
    }
}

/// Of the p50, from the first number of payments to ten times as many.
fn most_growth(name: &str) -> f64 {
    match name {
        _ if name.contains("search") => 2.0,
        _ if ["overview", "comparison", "transactions"].iter().any(|listed| name.starts_with(listed)) => 1.3,
        _ => 1.5,
    }
}

fn p50(row: &Measurement) -> Option<f64> {
    row.results.as_ref().ok().map(|results| results.cold.percentile_ms(50))
}

fn growth_of(row: &Measurement, smallest: &[Measurement]) -> Option<f64> {
    let before = smallest.iter().find(|before| before.name == row.name)?;
    Some(p50(row)? / p50(before)?)
}

fn growth(row: &Measurement, smallest: Option<&[Measurement]>) -> String {
    smallest.and_then(|smallest| growth_of(row, smallest)).map(|growth| format!("{growth:.2}")).unwrap_or_default()
}

/// The heading of the results with this number of payments.
pub(super) fn payments(count: u64) -> String {
    format!("{count} payments")
}

impl Results {
    /// Records what is not printed line by line.
    fn record(&self, name: &str) {
        let waits = [
            ("concurrent p50", &self.concurrent, 50),
            ("after a commit p50", &self.after_commit, 50),
            ("after a commit p95", &self.after_commit, 95),
        ];
        for (column, waits, percent) in waits {
            report::record_cell(name, column, waits.percentile_ms(percent), "ms", Target::None);
        }
        report::record_cell(name, "cached p50", self.cached.percentile_ms(50), "ms", Target::None);
        report::record_cell(name, "cached p95", self.cached.percentile_ms(95), "ms", Target::None);
        report::record_cell(name, "cached per second", self.cached_per_second, "", Target::None);
        if let Some(Outcome::Finished(ms, _)) = self.plain {
            report::record_cell(name, "plain SQL", ms, "ms", Target::None);
        }
    }

    fn cells(&self) -> String {
        let waits = |waits: &Durations| format!("{:.1} ms, {:.1} ms", waits.percentile_ms(50), waits.percentile_ms(95));
        let plain = match self.plain {
            None => " | ".to_owned(),
            Some(Outcome::TooLong) => format!("over 60 s | over {:.0}", 60_000.0 / self.cold.percentile_ms(50)),
            Some(Outcome::Finished(ms, _)) => format!("{ms:.1} ms | {:.1}", ms / self.cold.percentile_ms(50)),
        };
        let columns = [&self.cold, &self.concurrent, &self.after_commit, &self.cached].map(waits).join(" | ");
        format!("{columns} | {:.0} | {plain}", self.cached_per_second)
    }
}
