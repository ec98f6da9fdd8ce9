//! What Prometheus reads from a process: its own counts, its connections, and, from a web process, the state of the installation.
//!
//! The state of the installation is read by web processes only: a scheduler has one connection, which its ticks need, and there
//! may be many workers. A scrape always succeeds within a few seconds: what cannot be read is absent, and a gauge says so.
//! Scrapes within [`MAX_AGE`] share what one of them has read.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::clock::SharedClock;
use crate::config::SyncConfig;
use crate::db::installation_state::{self, InstallationState, SourceState, Unresolved};
use crate::db::jobs::queues::QueueStatus;
use crate::db::writable::check_writable;
use crate::domain::reconciliation::MatchStatus;
use crate::domain::transaction::Source;
use crate::observability::catalog;
use crate::observability::exposition::Exposition;
use crate::observability::listener::MetricsSource;
use crate::redis::Redis;

const MAX_AGE: Duration = Duration::from_secs(5);
/// The longest that a scrape waits for a server. Prometheus waits for 10 s by default.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Any code that a provider sends becomes a currency, so their number is bounded here.
const MAX_CURRENCIES: usize = 20;

/// The metrics of one process.
pub struct Scraper {
    process: &'static str,
    /// By name.
    pools: [(&'static str, PgPool); 2],
    /// The pool whose server is checked.
    checked_pool: PgPool,
    redis: Redis,
    clock: SharedClock,
    /// `None` in processes that do not read the state of the installation.
    installation: Option<Installation>,
    last: Mutex<Option<(Instant, Readings)>>,
}

/// How to read the state of the installation.
pub struct Installation {
    pub pool: PgPool,
    pub sync: SyncConfig,
    /// The number of open connections for live events.
    pub live_clients: Box<dyn Fn() -> usize + Send + Sync>,
}

/// What the servers said.
#[derive(Clone)]
struct Readings {
    database_up: bool,
    redis_up: bool,
    installation: Option<InstallationState>,
}

#[async_trait]
impl MetricsSource for Scraper {
    async fn render(&self) -> String {
        let mut exposition = Exposition::default();
        // Before the readings, which use a connection themselves: a scheduler has no other one.
        self.write_connections(&mut exposition);
        let readings = Box::pin(self.read()).await;
        self.write_process(&mut exposition, &readings);
        if let Some(installation) = &self.installation {
            let clients = (installation.live_clients)();
            exposition.set_count(&catalog::LIVE_CLIENTS, &[], clients as u64);
            exposition.set(&catalog::INSTALLATION_UP, &[], number_of(readings.installation.is_some()));
            if let Some(state) = &readings.installation {
                write_installation(&mut exposition, state, &installation.sync, self.clock.now());
            }
        }
        exposition.render()
    }
}

impl Scraper {
    /// Of a process that does not read the state of the installation; the first pool is checked.
    #[must_use]
    pub fn new(process: &'static str, pools: [(&'static str, PgPool); 2], redis: Redis, clock: SharedClock) -> Self {
        let checked_pool = pools[0].1.clone();
        Self { process, pools, checked_pool, redis, clock, installation: None, last: Mutex::default() }
    }

    /// Reads the state of the installation too.
    #[must_use]
    pub fn with_installation(self, installation: Installation) -> Self {
        Self { installation: Some(installation), ..self }
    }

    async fn read(&self) -> Readings {
        let mut last = self.last.lock().await;
        if let Some((_, readings)) = last.as_ref().filter(|(at, _)| at.elapsed() < MAX_AGE) {
            return readings.clone();
        }
        let installation = async {
            let Installation { pool, .. } = self.installation.as_ref()?;
            in_time("the state of the installation", installation_state::read(pool, self.clock.now())).await
        };
        let (database, redis, installation) = tokio::join!(
            in_time("PostgreSQL", check_writable(&self.checked_pool)),
            in_time("Redis", self.redis.check_writable()),
            installation
        );
        let readings = Readings { database_up: database.is_some(), redis_up: redis.is_some(), installation };
        *last = Some((Instant::now(), readings.clone()));
        readings
    }

    fn write_process(&self, exposition: &mut Exposition, readings: &Readings) {
        exposition.set(&catalog::BUILD_INFO, &[self.process, env!("CARGO_PKG_VERSION")], 1.0);
        exposition.set(&catalog::DATABASE_UP, &[], number_of(readings.database_up));
        exposition.set(&catalog::REDIS_UP, &[], number_of(readings.redis_up));
    }

    fn write_connections(&self, exposition: &mut Exposition) {
        for (name, pool) in &self.pools {
            let (open, idle) = (u64::from(pool.size()), pool.num_idle() as u64);
            exposition.set_count(&catalog::DATABASE_CONNECTIONS, &[name, "idle"], idle.min(open));
            exposition.set_count(&catalog::DATABASE_CONNECTIONS, &[name, "used"], open.saturating_sub(idle));
            let max = pool.options().get_max_connections();
            exposition.set_count(&catalog::DATABASE_CONNECTIONS_MAX, &[name], max.into());
        }
    }
}

/// `None` if it fails, or takes too long.
async fn in_time<T, E: std::fmt::Display>(what: &str, reading: impl Future<Output = Result<T, E>>) -> Option<T> {
    match timeout(TIMEOUT, reading).await {
        Ok(Ok(read)) => Some(read),
        Ok(Err(error)) => {
            tracing::warn!(%error, "{what} cannot be read for metrics");
            None
        }
        Err(_) => {
            tracing::warn!("{what} cannot be read for metrics within {} s", TIMEOUT.as_secs());
            None
        }
    }
}

fn write_installation(exposition: &mut Exposition, state: &InstallationState, sync: &SyncConfig, now: DateTime<Utc>) {
    for queue in &state.queues {
        write_queue(exposition, queue);
    }
    exposition.set_count(&catalog::SCHEDULERS_ALIVE, &[], state.alive.schedulers);
    for listed in &state.schedule {
        let name = listed.entry.name.as_str();
        if let Some(tick) = &listed.last_tick {
            exposition.set(&catalog::SCHEDULE_LAST_TICK, &[name], seconds(tick.tick_at));
        }
        if let Some(next) = listed.entry.next_tick_at {
            exposition.set(&catalog::SCHEDULE_NEXT_TICK, &[name], seconds(next));
        }
    }
    for source in &state.sources {
        write_source(exposition, source, sync, now);
    }
    if let Some(reconciliation) = &state.reconciliation {
        let completed = seconds(reconciliation.last_completed_at);
        exposition.set(&catalog::RECONCILIATION_LAST_COMPLETED, &[], completed);
        exposition.set(&catalog::RECONCILIATION_NEWEST_DAY, &[], seconds(reconciliation.newest_day_from));
        for (verdict, count) in &reconciliation.verdicts {
            exposition.set_count(&catalog::RECONCILIATION_PAYMENTS, &[verdict], *count);
        }
    }
    write_unresolved(exposition, &state.unresolved);
    exposition.set_count(&catalog::EXPORTS_UNFINISHED, &[], state.exports.unfinished);
    exposition.set_count(&catalog::EXPORTS_STORED_BYTES, &[], state.exports.stored_bytes);
}

fn write_queue(exposition: &mut Exposition, queue: &QueueStatus) {
    let (name, depth) = (queue.name.as_str(), queue.depth);
    for (state, count) in [
        ("queued", depth.queued),
        ("scheduled", depth.scheduled),
        ("running", depth.running),
        ("retrying", depth.retrying),
    ] {
        exposition.set_count(&catalog::QUEUE_JOBS, &[name, state], count);
    }
    let waiting = queue.oldest_waiting.unwrap_or_default().as_secs_f64();
    exposition.set(&catalog::QUEUE_OLDEST_WAITING, &[name], waiting);
    exposition.set(&catalog::QUEUE_PAUSED, &[name], number_of(queue.pause.is_some()));
    exposition.set_count(&catalog::WORKERS_ALIVE, &[name], queue.workers_alive);
}

fn write_source(exposition: &mut Exposition, state: &SourceState, sync: &SyncConfig, now: DateTime<Utc>) {
    let source = state.source.as_str();
    if let Some(finished) = state.last_success {
        exposition.set(&catalog::SYNC_LAST_SUCCESS, &[source], seconds(finished));
    }
    for (stream, watermark) in &state.watermarks {
        exposition.set(&catalog::SYNC_WATERMARK, &[source, stream.as_str()], seconds(*watermark));
    }
    if let Some(as_of) = state.as_of {
        let lag = (now - as_of).to_std().unwrap_or_default();
        exposition.set(&catalog::SYNC_LAG, &[source], lag.as_secs_f64());
    }
    let interval = match state.source {
        Source::Vima => sync.vima_interval,
        Source::Payshack => sync.payshack_interval,
    };
    exposition.set(&catalog::SYNC_INTERVAL, &[source], interval.as_secs_f64());
    exposition.set_count(&catalog::QUARANTINE_RECORDS, &[source], state.quarantined);
}

fn write_unresolved(exposition: &mut Exposition, unresolved: &[Unresolved]) {
    for status in MatchStatus::DISCREPANCIES {
        let count = unresolved.iter().filter(|group| group.match_status == status).map(|group| group.count).sum();
        exposition.set_count(&catalog::DISCREPANCIES_UNRESOLVED, &[status.as_str()], count);
    }
    for (currency, at_risk) in values_at_risk(unresolved) {
        // Prometheus has only floats; the exact amounts are in the API.
        exposition.set(&catalog::VALUE_AT_RISK, &[currency], at_risk.to_f64().unwrap_or(f64::NAN));
    }
}

/// By currency; of many currencies, those with the most discrepancies.
fn values_at_risk(unresolved: &[Unresolved]) -> Vec<(&str, Decimal)> {
    let mut by_currency: Vec<(&str, u64, Decimal)> = vec![];
    for group in unresolved {
        let Some(currency) = group.currency.as_deref() else { continue };
        match by_currency.iter_mut().find(|(known, ..)| *known == currency) {
            Some((_, count, at_risk)) => {
                *count += group.count;
                *at_risk += group.at_risk;
            }
            None => by_currency.push((currency, group.count, group.at_risk)),
        }
    }
    by_currency.sort_by_key(|(currency, count, _)| (std::cmp::Reverse(*count), *currency));
    by_currency.into_iter().take(MAX_CURRENCIES).map(|(currency, _, at_risk)| (currency, at_risk)).collect()
}

/// The number of seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are exact")]
fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1_000.0
}

fn number_of(is_true: bool) -> f64 {
    if is_true { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(match_status: MatchStatus, currency: &str, count: u64, at_risk: i64) -> Unresolved {
        Unresolved { match_status, currency: Some(currency.to_owned()), count, at_risk: at_risk.into() }
    }

    #[test]
    fn currencies_are_summed_and_bounded() {
        let mut unresolved = vec![
            group(MatchStatus::Discrepancy, "INR", 2, 30),
            group(MatchStatus::MissingVima, "INR", 50, 12),
            group(MatchStatus::MissingVima, "USD", 3, 7),
        ];
        assert_eq!(values_at_risk(&unresolved), [("INR", 42.into()), ("USD", 7.into())]);
        unresolved.extend((0..100).map(|number| group(MatchStatus::Duplicate, &format!("X{number:02}"), 1, 1)));
        let values = values_at_risk(&unresolved);
        assert_eq!((values.len(), values[0].0, values[1].0), (MAX_CURRENCIES, "INR", "USD"));
    }

    #[test]
    fn discrepancies_of_every_kind_are_written_even_if_there_are_none() {
        let mut exposition = Exposition::default();
        write_unresolved(&mut exposition, &[group(MatchStatus::Discrepancy, "INR", 2, 30)]);
        let text = exposition.render();
        for line in [
            r#"psp_discrepancies_unresolved{match_status="discrepancy"} 2"#,
            r#"psp_discrepancies_unresolved{match_status="missing_payshack"} 0"#,
            r#"psp_discrepancies_value_at_risk{currency="INR"} 30"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
