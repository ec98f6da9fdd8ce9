//! What runs when: one table.

use std::fmt;
use std::time::Duration;

use apalis_cron::{Schedule, Tick};
use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use psp_dashboard::clock::SharedClock;
use psp_dashboard::config::SyncConfig;
use psp_dashboard::domain::job::{HOUSEKEEPING, NewJob, Priority, Trigger};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, for ever: ticks are recorded under it.
    pub name: &'static str,
    /// When it runs.
    pub every: Every,
    /// What it enqueues at a tick.
    pub job_at: fn(DateTime<Utc>) -> NewJob,
}

/// The table.
#[must_use]
pub fn table(sync: &SyncConfig) -> Vec<Entry> {
    let entry = |name, every, job_at| Entry { name, every: Every(every), job_at };
    let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
    vec![
        entry("sync-vima", sync.vima_interval, |_| incremental(Source::Vima)),
        entry("sync-payshack", sync.payshack_interval, |_| incremental(Source::Payshack)),
        // Ids that became visible hours late, below a cursor that had passed.
        entry("sweep-vima", day, |tick| again(Source::Vima, days_before(tick, 2), days_before(tick, 1))),
        // Refunds that come weeks late: each of the last 30 days is read again about once a day.
        entry("pass-payshack", hour, |tick| {
            let day = days_before(tick, u64::try_from(tick.timestamp() / 3600 % 30).unwrap_or(0));
            again(Source::Payshack, day, day)
        }),
        entry("housekeeping", hour, |_| NewJob::plain(&HOUSEKEEPING, Trigger::Schedule)),
    ]
}

fn incremental(source: Source) -> NewJob {
    NewJob::sync(source, &SyncArgs::Incremental, Trigger::Schedule)
}

/// Days read again when nobody waits for it.
fn again(source: Source, from_date: NaiveDate, to_date: NaiveDate) -> NewJob {
    let args = SyncArgs::Range { from_date, to_date };
    NewJob { priority: Priority::Backfill, ..NewJob::sync(source, &args, Trigger::Schedule) }
}

fn days_before(tick: DateTime<Utc>, days: u64) -> NaiveDate {
    let today = tick.date_naive();
    today.checked_sub_days(Days::new(days)).unwrap_or(today)
}

/// Every so many seconds, counted from the epoch: two schedulers, or one that was restarted, tick at the same instants.
/// Cron cannot say every 45 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(pub Duration);

impl Every {
    fn seconds(self) -> i64 {
        i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX).max(1)
    }

    /// The last tick until `now`.
    #[must_use]
    pub fn last_tick(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = self.seconds();
        Utc.timestamp_opt(now.timestamp().div_euclid(seconds) * seconds, 0).single().unwrap_or(now)
    }

    /// The first tick after `now`.
    #[must_use]
    pub fn next_tick(self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.last_tick(now) + self.0
    }
}

impl fmt::Display for Every {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "every {} s", self.seconds())
    }
}

/// The ticks of an [`Every`] as apalis-cron asks for them, by a clock that is handed in.
pub struct Ticks {
    /// When.
    pub every: Every,
    /// By which clock.
    pub clock: SharedClock,
}

impl<Zone> Schedule<Zone> for Ticks {
    fn next_tick(&mut self, _zone: &Zone) -> Option<Tick<Zone>> {
        let next = self.every.next_tick(self.clock.now());
        u64::try_from(next.timestamp()).ok().map(Tick::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn every_one_of_the_last_thirty_days_has_its_turn() {
        let sync = SyncConfig {
            vima_interval: Duration::from_mins(1),
            payshack_interval: Duration::from_mins(5),
            initial_days: 7,
            vima_overlap: Duration::from_mins(15),
            payshack_overlap_days: 2,
        };
        let table = table(&sync);
        let pass = table.iter().find(|entry| entry.name == "pass-payshack").expect("it is in the table");
        let ticks = (0..30).map(|hours| at("2026-01-15T00:00:00Z") + Duration::from_hours(hours));
        let days: std::collections::BTreeSet<String> =
            ticks.map(|tick| (pass.job_at)(tick).args["from_date"].to_string()).collect();
        assert!(days.len() >= 29, "{days:?}");
    }

    #[test]
    fn ticks_are_counted_from_the_epoch() {
        for (seconds, now, last, next) in [
            (60, "2026-01-15T10:00:30Z", "2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z"),
            (60, "2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z", "2026-01-15T10:01:00Z"),
            (45, "2026-01-15T00:01:00Z", "2026-01-15T00:00:45Z", "2026-01-15T00:01:30Z"),
            (300, "2026-01-15T23:59:59Z", "2026-01-15T23:55:00Z", "2026-01-16T00:00:00Z"),
        ] {
            let every = Every(Duration::from_secs(seconds));
            assert_eq!((every.last_tick(at(now)), every.next_tick(at(now))), (at(last), at(next)), "{seconds} {now}");
        }
    }
}
