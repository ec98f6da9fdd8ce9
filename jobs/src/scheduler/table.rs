//! The schedule: which jobs are enqueued when.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use apalis_cron::{Schedule, Tick};
use chrono::{DateTime, Days, NaiveDate, Utc};
use psp_dashboard::clock::SharedClock;
use psp_dashboard::config::{ReconciliationConfig, SyncConfig};
use psp_dashboard::domain::day::day_before;
use psp_dashboard::domain::job::{
    EVALUATE_ALERTS, HOUSEKEEPING, NewJob, Priority, REFRESH_FX_RATES, RUN_REPORT_SCHEDULES, SYNC_PAYSHACK_METADATA,
    Trigger,
};
use psp_dashboard::domain::reconciliation::ReconcileArgs;
use psp_dashboard::domain::schedule::{Every, Recurrence};
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;

/// Creates the job of a tick.
pub type JobAt = Arc<dyn Fn(DateTime<Utc>) -> NewJob + Send + Sync>;

#[derive(Clone)]
pub struct ScheduledJob {
    /// Ticks are recorded under this name, so it can never change.
    pub name: Cow<'static, str>,
    pub when: Recurrence,
    pub missed: MissedTicks,
    pub job_at: JobAt,
}

/// What happens to ticks that passed while no scheduler could record them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedTicks {
    /// Only the last is enqueued: its job continues where the last job ended, however long ago.
    Coalesce,
    /// Each is enqueued, oldest first: what a job does depends on its tick alone.
    MakeUp,
}

#[must_use]
pub fn table(sync: &SyncConfig, reconciliation: &ReconciliationConfig) -> Vec<ScheduledJob> {
    let entry = |name, every, missed, job_at: fn(DateTime<Utc>) -> NewJob| {
        let when = Recurrence::Every(Every(every));
        ScheduledJob { name: Cow::Borrowed(name), when, missed, job_at: Arc::new(job_at) }
    };
    let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
    let mut table = vec![
        entry("sync-vima", sync.vima_interval, MissedTicks::Coalesce, |_| sync_new(Source::Vima)),
        entry("sync-payshack", sync.payshack_interval, MissedTicks::Coalesce, |_| sync_new(Source::Payshack)),
        entry("sync-payshack-metadata", sync.payshack_metadata_interval, MissedTicks::Coalesce, |_| {
            NewJob::without_args(&SYNC_PAYSHACK_METADATA, Trigger::Schedule)
        }),
        // Finds ids that became visible hours late, below the position of the cursor.
        entry("sweep-vima", day, MissedTicks::MakeUp, |tick| {
            sync_days(Source::Vima, days_before(tick, 2), days_before(tick, 1))
        }),
        // Finds refunds that come weeks late: each of the last 30 days is read again about once a day.
        entry("pass-payshack", hour, MissedTicks::Coalesce, |tick| {
            let day = days_before(tick, u64::try_from(tick.timestamp() / 3600 % 30).unwrap_or(0));
            sync_days(Source::Payshack, day, day)
        }),
        nightly(reconciliation),
        entry("evaluate-alerts", Duration::from_mins(1), MissedTicks::Coalesce, |_| {
            NewJob::without_args(&EVALUATE_ALERTS, Trigger::Schedule)
        }),
        entry("run-report-schedules", Duration::from_mins(1), MissedTicks::Coalesce, |_| {
            NewJob::without_args(&RUN_REPORT_SCHEDULES, Trigger::Schedule)
        }),
        entry("housekeeping", hour, MissedTicks::Coalesce, |_| NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule)),
    ];
    if sync.has_rates_url {
        table.push(entry("refresh-fx-rates", hour / 2, MissedTicks::Coalesce, |_| {
            NewJob::without_args(&REFRESH_FX_RATES, Trigger::Schedule)
        }));
    }
    table
}

/// Missed nights are made up for, because the job of another night does not reconcile their days.
fn nightly(reconciliation: &ReconciliationConfig) -> ScheduledJob {
    let zone = reconciliation.zone;
    let job_at =
        move |tick| NewJob::reconcile(ReconcileArgs::for_night_after(day_before(tick, zone)), Trigger::Schedule);
    ScheduledJob {
        name: Cow::Borrowed("reconcile"),
        when: Recurrence::Cron(reconciliation.nightly.clone()),
        missed: MissedTicks::MakeUp,
        job_at: Arc::new(job_at),
    }
}

fn sync_new(source: Source) -> NewJob {
    NewJob::sync(source, &SyncArgs::Incremental, Trigger::Schedule)
}

/// Reads days again, with the lowest priority.
fn sync_days(source: Source, from_date: NaiveDate, to_date: NaiveDate) -> NewJob {
    let args = SyncArgs::Range { from_date, to_date };
    NewJob { priority: Priority::Backfill, ..NewJob::sync(source, &args, Trigger::Schedule) }
}

fn days_before(tick: DateTime<Utc>, days: u64) -> NaiveDate {
    let today = tick.date_naive();
    today.checked_sub_days(Days::new(days)).unwrap_or(today)
}

/// A [`Recurrence`] as a schedule of apalis-cron, with our clock.
pub struct RecurrenceSchedule {
    pub when: Recurrence,
    pub clock: SharedClock,
}

impl<Zone> Schedule<Zone> for RecurrenceSchedule {
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

    fn table_with(has_rates_url: bool) -> Vec<ScheduledJob> {
        let sync = SyncConfig {
            vima_interval: Duration::from_mins(1),
            payshack_interval: Duration::from_mins(5),
            payshack_metadata_interval: Duration::from_mins(30),
            initial_days: 7,
            vima_overlap: Duration::from_mins(15),
            payshack_overlap_days: 2,
            has_rates_url,
        };
        let mut variables =
            EnvVars::from_pairs([("RECONCILIATION_CRON", "30 1 * * *"), ("RECONCILIATION_TIMEZONE", "Asia/Kolkata")]);
        let read = ReconciliationConfig::read(&mut variables);
        table(&sync, &variables.finish(read).expect("valid settings"))
    }

    #[test]
    fn nightly_entry_reconciles_the_day_that_ended_in_its_time_zone() {
        let table = table_with(false);
        let night = table.iter().find(|entry| entry.name == "reconcile").expect("it is in the table");
        let (last, now) = (at("2026-01-12T20:00:00Z"), at("2026-01-15T12:00:00Z"));
        // 01:30 in Kolkata is 20:00 UTC of the day before.
        let nights = night.when.ticks_since(last, now, 31);
        assert_eq!(nights, [at("2026-01-13T20:00:00Z"), at("2026-01-14T20:00:00Z")]);
        let jobs: Vec<NewJob> = nights.into_iter().map(|tick| (night.job_at)(tick)).collect();
        let args: Vec<String> = jobs.iter().map(|job| job.args.to_string()).collect();
        assert_eq!(args, [r#"{"nightly":"2026-01-13"}"#, r#"{"nightly":"2026-01-14"}"#]);
        assert_ne!(jobs[0].unique_key, jobs[1].unique_key, "nights are separate jobs");
        assert_eq!(
            (night.when.to_string(), night.when.zone().name(), night.missed),
            ("30 1 * * *".to_owned(), "Asia/Kolkata", MissedTicks::MakeUp)
        );
    }

    #[test]
    fn rates_are_fetched_every_half_hour_if_a_feed_is_set() {
        for (has_rates_url, expected) in [(false, None), (true, Some("every 1800 s".to_owned()))] {
            let table = table_with(has_rates_url);
            let entry = table.iter().find(|entry| entry.name == "refresh-fx-rates");
            assert_eq!(entry.map(|entry| entry.when.to_string()), expected);
        }
    }

    #[test]
    fn hourly_pass_covers_the_last_thirty_days() {
        let table = table_with(false);
        let pass = table.iter().find(|entry| entry.name == "pass-payshack").expect("it is in the table");
        let ticks = (0..30).map(|hours| at("2026-01-15T00:00:00Z") + Duration::from_hours(hours));
        let days: std::collections::BTreeSet<String> =
            ticks.map(|tick| (pass.job_at)(tick).args["from_date"].to_string()).collect();
        assert!(days.len() >= 29, "{days:?}");
    }
}
