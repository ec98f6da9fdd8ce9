//! A schedule of reports, as a person sets it, and the state of its runs.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::period::Period;
use super::recipients::Address;
use crate::domain::schedule::Cron;
use crate::domain::string_enum::string_enum;

/// How many times are made up for that passed while no process could record them.
const MAX_MADE_UP: usize = 7;
/// Reports more often than that are no reports.
const MIN_INTERVAL: TimeDelta = TimeDelta::minutes(15);
/// How many intervals are compared with it: more than a week of a daily report with two times.
const COMPARED_INTERVALS: usize = 20;
const MAX_FOLDER_LENGTH: usize = 200;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum ReportKind {
        #[default]
        Digest = "digest",
        Export = "export",
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DestinationKind {
        Webhook = "webhook",
        Email = "email",
        ObjectStore = "object_store",
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Language {
        #[default]
        English = "en",
        Russian = "ru",
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ReportState {
        /// It is being created or delivered.
        Pending = "pending",
        /// Handed over to its destination.
        Delivered = "delivered",
        /// Not delivered, and not retried.
        Failed = "failed",
    }
}

/// A folder below the object store's folder of reports: names separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(String);

impl Folder {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Folder {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        };
        if text.len() <= MAX_FOLDER_LENGTH && text.split('/').all(is_name) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be names of letters, digits, -, _ and . separated by /, at most 200 characters: finance/daily")
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Webhook(Uuid),
    Email(Vec<Address>),
    ObjectStore(Folder),
}

impl Destination {
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        match self {
            Self::Webhook(_) => DestinationKind::Webhook,
            Self::Email(_) => DestinationKind::Email,
            Self::ObjectStore(_) => DestinationKind::ObjectStore,
        }
    }
}

/// An export without its days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledExport {
    /// What the person asked for, as the API writes it.
    pub request: Value,
    /// What a job exports, as exports store it.
    pub spec: Value,
    /// `None` if it has no days.
    pub period: Option<Period>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportContent {
    Digest,
    Export(ScheduledExport),
}

impl ReportContent {
    #[must_use]
    pub fn kind(&self) -> ReportKind {
        match self {
            Self::Digest => ReportKind::Digest,
            Self::Export(_) => ReportKind::Export,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleProperties {
    pub name: String,
    pub content: ReportContent,
    pub language: Language,
    pub cron: Cron,
    pub destination: Destination,
    pub enabled: bool,
}

impl ScheduleProperties {
    /// The next time after `now`; `None` if it is not enabled.
    #[must_use]
    pub fn next_run_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.next_tick(now).filter(|_| self.enabled)
    }

    /// The times from `next_run_at`, the first that has no run yet, up to `now`: what a report covers depends on its time, so those
    /// that were missed are made up for, at most the last seven.
    #[must_use]
    pub fn due_since(&self, next_run_at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        self.cron.ticks_since(next_run_at - TimeDelta::nanoseconds(1), now, MAX_MADE_UP)
    }
}

/// Whether a schedule leaves at least a quarter of an hour between its times, of which those after `now` are looked at.
#[must_use]
pub fn is_slow_enough(cron: &Cron, now: DateTime<Utc>) -> bool {
    let times = std::iter::successors(cron.next_tick(now), |tick| cron.next_tick(*tick));
    let times: Vec<DateTime<Utc>> = times.take(COMPARED_INTERVALS + 1).collect();
    times.windows(2).all(|pair| pair[1] - pair[0] >= MIN_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn schedule(cron: &str, zone: Tz) -> ScheduleProperties {
        ScheduleProperties {
            name: "digest".to_owned(),
            content: ReportContent::Digest,
            language: Language::English,
            cron: Cron { expression: cron.parse().expect(cron), zone },
            destination: Destination::ObjectStore("a".parse().expect("a folder")),
            enabled: true,
        }
    }

    #[test]
    fn missed_times_are_due_once_each_across_changes_of_the_clock() {
        let berlin = schedule("30 2 * * *", Tz::Europe__Berlin);
        // On March 29, 02:30 does not exist: it is due at 03:00, which is 01:00 UTC.
        let next = berlin.next_run_at(at("2026-03-28T01:30:00Z"));
        assert_eq!(next, Some(at("2026-03-29T01:00:00Z")));
        let due = berlin.due_since(at("2026-03-28T01:30:00Z"), at("2026-03-30T00:30:00Z"));
        assert_eq!(due, [at("2026-03-28T01:30:00Z"), at("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z")]);
        // On October 25, 02:30 exists twice: it is due the first time.
        let due = berlin.due_since(at("2026-10-24T00:30:00Z"), at("2026-10-26T12:00:00Z"));
        assert_eq!(due, [at("2026-10-24T00:30:00Z"), at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]);
        // At most the last seven.
        let due = berlin.due_since(at("2026-01-01T01:30:00Z"), at("2026-01-31T12:00:00Z"));
        assert_eq!((due.len(), due[0]), (7, at("2026-01-25T01:30:00Z")));
        assert!(berlin.due_since(at("2026-01-02T01:30:00Z"), at("2026-01-02T01:29:59Z")).is_empty());
        let disabled = ScheduleProperties { enabled: false, ..berlin };
        assert_eq!(disabled.next_run_at(at("2026-03-28T01:30:00Z")), None);
    }

    #[test]
    fn schedules_leave_a_quarter_of_an_hour() {
        let now = at("2026-01-15T10:00:00Z");
        for (cron, expected) in [
            ("0 7 * * *", true),
            ("*/15 * * * *", true),
            ("0,10 7 * * *", false),
            ("* * * * *", false),
            ("*/20 * * * * *", false),
            ("0 0 29 2 *", true),
        ] {
            let cron = schedule(cron, Tz::UTC).cron;
            assert_eq!(is_slow_enough(&cron, now), expected, "{}", cron.expression);
        }
    }

    #[test]
    fn folders_stay_below_the_folder_of_reports() {
        for (text, expected) in [
            ("finance", true),
            ("finance/daily_2026.v1", true),
            ("", false),
            ("/finance", false),
            ("finance/", false),
            ("finance//daily", false),
            ("../finance", false),
            ("finance/../..", false),
            (".hidden", false),
            ("a b", false),
        ] {
            assert_eq!(text.parse::<Folder>().is_ok(), expected, "{text:?}");
        }
        assert!("a".repeat(201).parse::<Folder>().is_err());
    }
}
