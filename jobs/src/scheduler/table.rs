//! What runs when: one table.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use apalis_cron::{Schedule, Tick};
use chrono::{DateTime, Days, NaiveDate, Utc};
use psp_dashboard::clock::SharedClock;
use psp_dashboard::config::{ReconciliationConfig, SyncConfig};
use psp_dashboard::domain::day::day_before;
use psp_dashboard::domain::job::{HOUSEKEEPING, NewJob, Priority, REFRESH_FX_RATES, SYNC_PAYSHACK_METADATA, Trigger};
use psp_dashboard::domain::reconciliation::ReconcileArgs;
use psp_dashboard::domain::schedule::{Every, Recurrence};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;

/// What an entry enqueues at a tick.
pub type JobAt = Arc<dyn Fn(DateTime<Utc>) -> NewJob + Send + Sync>;

/// One line of the table.
#[derive(Clone)]
pub struct Entry {
    /// Its name, for ever: ticks are recorded under it.
    pub name: Cow<'static, str>,
    /// When it runs.
    pub when: Recurrence,
    /// What becomes of ticks that nobody was there for.
    pub missed: Missed,
    /// What it enqueues at a tick.
    pub job_at: JobAt,
}

/// What becomes of ticks that passed while no scheduler was there to record them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// They become one, the last: the job goes on from where the last one ended, whenever that was.
    Coalesce,
    /// Each is made up for, the oldest first: the job does what is told by its tick and by nothing else.
    MakeUp,
}

/// The table.
#[must_use]
pub fn table(sync: &SyncConfig, reconciliation: &ReconciliationConfig) -> Vec<Entry> {
    let entry = |name, every, missed, job_at: fn(DateTime<Utc>) -> NewJob| {
        let when = Recurrence::Every(Every(every));
        Entry { name: Cow::Borrowed(name), when, missed, job_at: Arc::new(job_at) }
    };
    let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
    let mut table = vec![
        entry("sync-vima", sync.vima_interval, Missed::Coalesce, |_| incremental(Source::Vima)),
        entry("sync-payshack", sync.payshack_interval, Missed::Coalesce, |_| incremental(Source::Payshack)),
        entry("sync-payshack-metadata", sync.payshack_metadata_interval, Missed::Coalesce, |_| {
            NewJob::without_args(&SYNC_PAYSHACK_METADATA, Trigger::Schedule)
        }),
        // Ids that became visible hours late, below a cursor that had passed.
        entry("sweep-vima", day, Missed::MakeUp, |tick| {
            again(Source::Vima, days_before(tick, 2), days_before(tick, 1))
        }),
        // Refunds that come weeks late: each of the last 30 days is read again about once a day.
        entry("pass-payshack", hour, Missed::Coalesce, |tick| {
            let day = days_before(tick, u64::try_from(tick.timestamp() / 3600 % 30).unwrap_or(0));
            again(Source::Payshack, day, day)
        }),
        nightly(reconciliation),
        entry("housekeeping", hour, Missed::Coalesce, |_| NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule)),
    ];
    if sync.has_rates_url {
        table.push(entry("refresh-fx-rates", hour / 2, Missed::Coalesce, |_| {
            NewJob::without_args(&REFRESH_FX_RATES, Trigger::Schedule)
        }));
    }
    table
}

/// Each night that was missed is made up for: its day is reconciled by its own tick, or never.
fn nightly(reconciliation: &ReconciliationConfig) -> Entry {
    let zone = reconciliation.zone;
    let job_at =
        move |tick| NewJob::reconcile(ReconcileArgs::for_night_after(day_before(tick, zone)), Trigger::Schedule);
    Entry {
        name: Cow::Borrowed("reconcile"),
        when: Recurrence::Cron(reconciliation.nightly.clone()),
        missed: Missed::MakeUp,
        job_at: Arc::new(job_at),
    }
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

/// The ticks of a [`Recurrence`] as apalis-cron asks for them, by a clock that is handed in.
pub struct Ticks {
    /// When.
    pub when: Recurrence,
    /// By which clock.
    pub clock: SharedClock,
}

impl<Zone> Schedule<Zone> for Ticks {
    fn next_tick(&mut self, _zone: &Zone) -> Option<Tick<Zone>> {
        let next = self.when.next_tick(self.clock.now())?;
        u64::try_from(next.timestamp()).ok().map(Tick::new)
    }
}

#[cfg(test)]
mod tests {
    use psp_dashboard::config::EnvVars;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn table_where(has_rates_url: bool) -> Vec<Entry> {
        let sync = SyncConfig {
            vima_interval: Duration::from_mins(1),
            payshack_interval: Duration::from_mins(5),
            payshack_metadata_interval: Duration::from_mins(30),
            initial_days: 7,
            vima_overlap: Duration::from_mins(15),
            payshack_overlap_days: 2,
            has_rates_url,
        };
        let mut context =
            EnvVars::from_pairs([("RECONCILIATION_CRON", "30 1 * * *"), ("RECONCILIATION_TIMEZONE", "Asia/Kolkata")]);
        let read = ReconciliationConfig::read(&mut context);
        table(&sync, &context.finish(read).expect("nothing is amiss"))
    }

    #[test]
    fn each_night_reconciles_the_day_that_has_ended_in_its_zone() {
        let table = table_where(false);
        let night = table.iter().find(|entry| entry.name == "reconcile").expect("it is in the table");
        let (last, now) = (at("2026-01-12T20:00:00Z"), at("2026-01-15T12:00:00Z"));
        // Half past one in Kolkata is eight in the evening of the day before in UTC.
        let nights = night.when.ticks_since(last, now, 31);
        assert_eq!(nights, [at("2026-01-13T20:00:00Z"), at("2026-01-14T20:00:00Z")]);
        let jobs: Vec<NewJob> = nights.into_iter().map(|tick| (night.job_at)(tick)).collect();
        let args: Vec<String> = jobs.iter().map(|job| job.args.to_string()).collect();
        assert_eq!(args, [r#"{"nightly":"2026-01-13"}"#, r#"{"nightly":"2026-01-14"}"#]);
        assert_ne!(jobs[0].unique_key, jobs[1].unique_key, "no night joins another");
        assert_eq!(
            (night.when.to_string(), night.when.zone().name(), night.missed),
            ("30 1 * * *".to_owned(), "Asia/Kolkata", Missed::MakeUp)
        );
    }

    #[test]
    fn rates_are_fetched_every_half_an_hour_where_there_is_a_feed() {
        for (has_rates_url, expected) in [(false, None), (true, Some("every 1800 s".to_owned()))] {
            let table = table_where(has_rates_url);
            let entry = table.iter().find(|entry| entry.name == "refresh-fx-rates");
            assert_eq!(entry.map(|entry| entry.when.to_string()), expected);
        }
    }

    #[test]
    fn every_one_of_the_last_thirty_days_has_its_turn() {
        let table = table_where(false);
        let pass = table.iter().find(|entry| entry.name == "pass-payshack").expect("it is in the table");
        let ticks = (0..30).map(|hours| at("2026-01-15T00:00:00Z") + Duration::from_hours(hours));
        let days: std::collections::BTreeSet<String> =
            ticks.map(|tick| (pass.job_at)(tick).args["from_date"].to_string()).collect();
        assert!(days.len() >= 29, "{days:?}");
    }
}
