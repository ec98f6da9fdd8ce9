//! How an endpoint is measured, and how that is told.
//!
//! *First*: each request another question, one at a time, and before each the versions of all days are raised, so that no kept
//! answer helps. *Crowded*: the same by eight connections at once. *After a commit*: a question that was asked before, one at a time, and before each the versions of today are
//! raised, as a sync does it. *Again*: one question by eight connections at once. The same number is asked of plain SQL; where
//! both give one, they must agree. Answers come compressed, as browsers ask for them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::metrics::data_version;
use psp_dashboard::domain::transaction::Source;
use reqwest::Method;
use serde_json::Value;
use sqlx::{Executor, PgPool};

use super::plain::{Outcome, Plain};
use crate::figure::{self, Target, Waits};
use crate::harness::test_system::{ADMIN, ApiResponse, Web};

/// How many ask at once.
const CONNECTIONS: usize = 8;
/// How long they ask again.
const AGAIN: Duration = Duration::from_secs(2);
/// So many questions are asked after a commit.
const AFTER_COMMITS: usize = 40;
/// Questions before those that count.
const WARM_UP: usize = 5;
/// How long first questions are asked, though not all were asked by then.
const LONGEST: Duration = Duration::from_secs(20);

/// What p50 and p95 may be at most, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits(pub(super) f64, pub(super) f64);

/// Where an answer tells how many payments it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountTold {
    /// It says so itself, or its rows add up to it.
    InRows,
    /// It is the page of a listing, which says how many there are in all.
    AsTotal,
    /// It does not, or of another moment.
    Nowhere,
}

/// Something to be asked.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// What it is called.
    pub(super) name: String,
    /// What it may take, where that was said.
    pub(super) limits: Option<Limits>,
    /// Questions, no two alike where that can be.
    pub(super) paths: Vec<String>,
    /// Questions that a commit of today changes the answer of.
    pub(super) recent: Vec<String>,
    /// What the first of them comes to in plain SQL.
    pub(super) plain: Option<Plain>,
    /// Where the answer tells how many payments it is of.
    pub(super) count_told: CountTold,
    /// What it must stand beside, as the name of another, and how much more it may take.
    pub(super) beside: Option<(&'static str, f64)>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Measured {
    name: String,
    /// Whether it was said what it may take: then it was also said how much it may grow.
    has_limits: bool,
    beside: Option<(&'static str, f64)>,
    figures: Result<Figures, u16>,
}

#[derive(Debug)]
struct Figures {
    first: Waits,
    crowded: Waits,
    after_a_commit: Waits,
    again: Waits,
    again_a_second: f64,
    plain: Option<Outcome>,
    difference: Option<String>,
}

impl Measured {
    /// How its answer and plain SQL contradict each other, if they do.
    pub(super) fn difference(&self) -> Option<&str> {
        self.figures.as_ref().ok()?.difference.as_deref()
    }
}

/// Asks an endpoint in every way.
pub(super) async fn measure(pool: &PgPool, web: &Web, endpoint: Endpoint) -> Measured {
    let figures = take(pool, web, &endpoint).await;
    let Endpoint { name, limits, beside, .. } = endpoint;
    match &figures {
        Err(status) => println!("  {name}: missing, it answers {status}"),
        Ok(figures) => {
            let (p50, p95) = limits
                .map_or((Target::None, Target::None), |Limits(p50, p95)| (Target::AtMost(p50), Target::AtMost(p95)));
            figure::print(&format!("{name}, p50"), millis(&figures.first, 50), "ms", p50);
            figure::print(&format!("{name}, p95"), millis(&figures.first, 95), "ms", p95);
            if let Some(difference) = &figures.difference {
                println!("    WRONG: {difference}");
            }
        }
    }
    Measured { name, has_limits: limits.is_some(), beside, figures }
}

async fn take(pool: &PgPool, web: &Web, endpoint: &Endpoint) -> Result<Figures, u16> {
    let path = &endpoint.paths[0];
    let answer = ask(web, path).await;
    if answer.status != 200 {
        return Err(answer.status);
    }
    let first = ask_changed(pool, web, &endpoint.paths, Changed::Everything).await;
    let crowd = (0..CONNECTIONS).map(|place| turned(&endpoint.paths, place));
    let crowd = crowd.map(|paths| async move { ask_changed(pool, web, &paths, Changed::Everything).await });
    let crowded = join_all(crowd).await.concat();
    let recent: Vec<String> = endpoint.recent.iter().cycle().take(AFTER_COMMITS).cloned().collect();
    let after_a_commit = ask_changed(pool, web, &recent, Changed::Today).await;
    let began = Instant::now();
    let again = join_all((0..CONNECTIONS).map(|_| ask_again(web, path))).await.concat();
    let again_a_second = figure::rate(i64::try_from(again.len()).unwrap_or(i64::MAX), began.elapsed());
    let plain = match &endpoint.plain {
        Some(plain) => Some(plain.run(pool).await),
        None => None,
    };
    let difference = plain.and_then(|plain| difference(endpoint, &answer.json(), plain));
    let [first, crowded, after_a_commit, again] = [first, crowded, after_a_commit, again].map(Waits::of);
    Ok(Figures { first, crowded, after_a_commit, again, again_a_second, plain, difference })
}

/// The same questions in another turn for each place, so that no two ask the same at once where there are others.
fn turned(paths: &[String], place: usize) -> Vec<String> {
    let mut paths = paths.to_vec();
    let first = place * paths.len() / CONNECTIONS;
    paths.rotate_left(first);
    paths
}

/// How an answer and plain SQL contradict each other, if they do.
fn difference(endpoint: &Endpoint, answer: &Value, plain: Outcome) -> Option<String> {
    let Outcome::Took(_, counted) = plain else { return None };
    let told = match endpoint.count_told {
        CountTold::InRows => count_told(answer),
        // Of more there are, an answer may say only how many at least.
        CountTold::AsTotal if answer["total_relation"] == "at_least" => answer["total"].as_i64().max(Some(counted)),
        CountTold::AsTotal => answer["total"].as_i64(),
        CountTold::Nowhere => return None,
    };
    (told != Some(counted)).then(|| format!("{}: {told:?}, plain SQL {counted}", endpoint.paths[0]))
}

/// What was written before a question is asked.
#[derive(Debug, Clone, Copy)]
enum Changed {
    Everything,
    Today,
}

async fn raise(pool: &PgPool, changed: Changed) {
    match changed {
        Changed::Everything => {
            pool.execute("UPDATE payment_versions SET version = version + 1")
                .await
                .expect("the versions can be raised");
        }
        Changed::Today => {
            let mut connection = pool.acquire().await.expect("a connection");
            let today = BTreeSet::from([SystemClock.now().date_naive()]);
            for source in Source::ALL {
                data_version::increment(&mut connection, source, &today).await.expect("the versions can be raised");
            }
        }
    }
}

async fn ask_changed(pool: &PgPool, web: &Web, paths: &[String], changed: Changed) -> Vec<Duration> {
    let (began, mut waits) = (Instant::now(), vec![]);
    // The last ones warm up, so that the first ones are new when they count.
    let warm_up = paths.iter().rev().cycle().take(WARM_UP);
    for (asked, path) in warm_up.chain(paths).enumerate() {
        raise(pool, changed).await;
        let sent = Instant::now();
        let answer = ask(web, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        if asked >= WARM_UP {
            waits.push(sent.elapsed());
        }
        if !waits.is_empty() && began.elapsed() > LONGEST {
            break;
        }
    }
    waits
}

async fn ask_again(web: &Web, path: &str) -> Vec<Duration> {
    let (began, mut waits) = (Instant::now(), vec![]);
    while began.elapsed() < AGAIN {
        let sent = Instant::now();
        let answer = ask(web, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        waits.push(sent.elapsed());
    }
    waits
}

async fn ask(web: &Web, path: &str) -> ApiResponse {
    web.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process answers")
}

/// Of how many payments an answer is: what it says, or what its rows add up to.
fn count_told(answer: &Value) -> Option<i64> {
    let count = |of: &Value| ["total_count", "count"].iter().find_map(|name| of.get(*name)?.as_i64());
    if let Some(count) = count(answer) {
        return Some(count);
    }
    if let Some(current) = answer.get("current") {
        return count_told(current);
    }
    let counts = |rows: &Vec<Value>| -> Option<i64> {
        rows.iter().map(|row| count(row).or_else(|| count(row.get("totals")?))).sum()
    };
    answer.as_object()?.values().filter_map(Value::as_array).filter(|rows| !rows.is_empty()).find_map(counts)
}

fn millis(waits: &Waits, of_hundred: usize) -> f64 {
    waits.percentile(of_hundred) * 1_000.0
}

/// Prints what was measured at `count` payments as the table of docs/performance.md, beside what it was at the fewest.
pub(super) fn print_table(count: u64, rows: &[Measured], fewest: Option<&[Measured]>) {
    println!(
        "\n| {count} payments | cold: p50, p95 | concurrent | after a commit | cached: p50, p95 | per second | plain SQL | ratio | growth |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        match &row.figures {
            Err(status) => println!("| {} | missing: {status} | | | | | | | |", row.name),
            Ok(figures) => println!("| {} | {} | {} |", row.name, figures.cells(), growth(row, fewest)),
        }
    }
    println!();
    for row in rows {
        let Some((name, most)) = row.beside else { continue };
        let Some(ratio) = p50(row).zip(rows.iter().find(|row| row.name == name).and_then(p50)).map(|(a, b)| a / b)
        else {
            continue;
        };
        figure::print(&format!("{}, beside {name}", row.name), ratio, "", Target::AtMost(most));
    }
    let grown = rows.iter().filter(|row| row.has_limits).filter_map(|row| Some((growth_of(row, fewest?)?, row)));
    if let Some((most, row)) = grown.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        figure::print(&format!("most growth of a p50: {}", row.name), most, "", Target::AtMost(1.5));
    }
}

fn p50(row: &Measured) -> Option<f64> {
    row.figures.as_ref().ok().map(|figures| millis(&figures.first, 50))
}

fn growth_of(row: &Measured, fewest: &[Measured]) -> Option<f64> {
    let before = fewest.iter().find(|before| before.name == row.name)?;
    Some(p50(row)? / p50(before)?)
}

fn growth(row: &Measured, fewest: Option<&[Measured]>) -> String {
    fewest.and_then(|fewest| growth_of(row, fewest)).map(|growth| format!("{growth:.2}")).unwrap_or_default()
}

impl Figures {
    fn cells(&self) -> String {
        let waits = |waits: &Waits| format!("{:.1} ms, {:.1} ms", millis(waits, 50), millis(waits, 95));
        let plain = match self.plain {
            None => " | ".to_owned(),
            Some(Outcome::TooLong) => format!("over 60 s | over {:.0}", 60_000.0 / millis(&self.first, 50)),
            Some(Outcome::Took(took, _)) => format!("{took:.1} ms | {:.1}", took / millis(&self.first, 50)),
        };
        let [first, crowded, after, again] = [&self.first, &self.crowded, &self.after_a_commit, &self.again].map(waits);
        format!("{first} | {crowded} | {after} | {again} | {:.0} | {plain}", self.again_a_second)
    }
}
