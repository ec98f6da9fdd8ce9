//! The requests of a dashboard: how long one takes, and how many a service answers per second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Days;
use chrono_tz::Tz;
use futures_util::future::join_all;
use psp_dashboard::domain::day::DayRange;
use serde_json::Value;
use sqlx::{Executor, PgPool};

use super::agreement::{difference, difference_of_pages};
use super::server::Client;
use crate::payments::{PROJECTS, Payments};
use crate::report::{self, Durations};

const CONNECTIONS: usize = 8;
/// How long requests are sent by all connections.
const LOADED: Duration = Duration::from_secs(5);
/// Requests before those that count.
const WARM_UP: u64 = 3;
/// How many requests are sent one at a time.
const SAMPLES: usize = 60;
/// The longest time for these, once there are [`FEWEST_SAMPLES`].
const LONGEST: Duration = Duration::from_secs(30);
const FEWEST_SAMPLES: usize = 5;
const ZONES: [Tz; 4] = [Tz::UTC, Tz::Asia__Kolkata, Tz::Asia__Kathmandu, Tz::America__New_York];
/// Different periods of [`period`].
const PERIODS: u64 = 108;

/// Something that a dashboard requests, with different queries.
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    /// How many different queries there are.
    queries: u64,
    path: Box<dyn Fn(u64) -> String>,
    compare: fn(&str, &Value, &Value) -> Option<String>,
}

/// What was measured of one service.
pub(super) struct Served {
    pub(super) one_at_a_time: Durations,
    /// Requests per second by all connections, each a different query.
    pub(super) per_second: f64,
}

pub(super) fn all(payments: Payments) -> Vec<Endpoint> {
    let list = |name, queries, path: Box<dyn Fn(u64) -> String>| Endpoint {
        name,
        queries,
        path: Box::new(move |number| format!("/api/v1/transactions?{}", path(number % queries))),
        compare: difference_of_pages,
    };
    let metrics = |name, endpoint: &'static str| Endpoint {
        name,
        queries: PERIODS,
        path: Box::new(move |number| format!("/api/v1/metrics/{endpoint}?{}", period(&payments, number % PERIODS))),
        compare: difference,
    };
    vec![
        list("list, first pages", 20, Box::new(|number| format!("page={}", 1 + number))),
        list("list, pages from row 9,950 on", 20, Box::new(|number| format!("page={}", 200 + number))),
        list("list of a project", PROJECTS.into(), Box::new(|number| format!("project=project-{}", 1 + number))),
        list(
            "list of open payments of Vima",
            5,
            Box::new(|number| format!("source=vima&status=pending,processing&page={}", 1 + number)),
        ),
        list(
            "list of a day by amount",
            60,
            Box::new(move |number| {
                let day = payments.until.date_naive() - Days::new(2 + number);
                format!("from_date={day}&to_date={day}&sort_by=amount")
            }),
        ),
        metrics("overview of 30 days", "overview"),
        metrics("by-project of 30 days", "by-project"),
        metrics("trends by hour of 30 days", "trends"),
    ]
}

/// Thirty days, different for each query, alternating between the zones.
fn period(payments: &Payments, query: u64) -> String {
    let zone = ZONES[usize::try_from(query % 4).unwrap_or_default()];
    let to = payments.until.date_naive() - Days::new(2 + query / 4 * 2);
    let days = DayRange::new(to - Days::new(29), to, zone).expect("a valid range");
    format!("from_date={}&to_date={}&timezone={zone}", days.from(), days.to())
}

impl Endpoint {
    /// Where the first and the last query have different results, if they do.
    pub(super) async fn difference(&self, ours: &Client, theirs: &Client) -> Option<String> {
        for number in [0, self.queries - 1] {
            let path = (self.path)(number);
            let difference = (self.compare)(&path, &ours.get(&path).await, &theirs.get(&path).await);
            if difference.is_some() {
                return difference;
            }
        }
        None
    }

    pub(super) async fn measure(&self, pool: &PgPool, client: &Client) -> Served {
        let one_at_a_time = self.request_one_at_a_time(pool, client).await;
        let (next, started) = (AtomicU64::new(0), Instant::now());
        let clients = (0..CONNECTIONS).map(|_| async {
            while started.elapsed() < LOADED {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number.is_multiple_of(self.queries) {
                    invalidate(pool).await;
                }
                client.read(&(self.path)(number)).await;
            }
        });
        join_all(clients).await;
        Served { one_at_a_time, per_second: rate(next.into_inner(), started) }
    }

    async fn request_one_at_a_time(&self, pool: &PgPool, client: &Client) -> Durations {
        let (mut waits, started) = (vec![], Instant::now());
        for number in 0..WARM_UP {
            client.read(&(self.path)(self.queries - 1 - number % self.queries)).await;
        }
        for number in 0.. {
            invalidate(pool).await;
            let sent = Instant::now();
            client.read(&(self.path)(number)).await;
            waits.push(sent.elapsed());
            let are_enough = waits.len() >= FEWEST_SAMPLES && started.elapsed() > LONGEST;
            if waits.len() == SAMPLES || are_enough {
                break;
            }
        }
        Durations::new(waits)
    }

    /// Requests per second if all connections send one query again and again.
    pub(super) async fn repeat(&self, client: &Client) -> f64 {
        let (sent, started) = (AtomicU64::new(0), Instant::now());
        let clients = (0..CONNECTIONS).map(|_| async {
            while started.elapsed() < LOADED {
                client.read(&(self.path)(0)).await;
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        join_all(clients).await;
        rate(sent.into_inner(), started)
    }
}

/// Marks the payments of every day as changed, so that our service answers nothing from a cache.
async fn invalidate(pool: &PgPool) {
    pool.execute("UPDATE payment_versions SET version = version + 1").await.expect("the versions can be raised");
}

fn rate(requests: u64, started: Instant) -> f64 {
    report::per_second(i64::try_from(requests).unwrap_or(i64::MAX), started.elapsed())
}
