//! The figures of a day, compared with the day before and with the same weekday of the week before.
//!
//! They are sums of the same cells as the metrics of the API, so that both show the same. A day is the schedule's, in its time zone.
//! Amounts in different currencies are never added: a project has a line per currency.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::domain::alerts::rule::Severity;
use crate::domain::day::DayRange;
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::query::MetricRow;
use crate::domain::money::format_decimal;
use crate::domain::rate::{percent, percent_change};
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;

/// The days that are compared; the first is the one of the digest.
const COMPARED_DAYS: usize = 3;

/// How many alerts are listed.
pub const MAX_ALERTS: usize = 20;

/// The day of a digest, the day before, and the same weekday of the week before, as the buckets 0, 1 and 2.
#[must_use]
pub fn compared_days(day: NaiveDate, zone: Tz) -> [TimeRange; COMPARED_DAYS] {
    [0, 1, 7].map(|days| {
        let compared = day.checked_sub_days(Days::new(days)).unwrap_or(day);
        DayRange::single(compared, zone).time_range()
    })
}

/// Payments of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DayFigures {
    pub count: i64,
    #[serde(serialize_with = "money")]
    pub amount: Decimal,
    pub success_count: i64,
    #[serde(serialize_with = "money")]
    pub success_amount: Decimal,
    #[serde(serialize_with = "money")]
    pub fee: Decimal,
}

impl DayFigures {
    fn add(&mut self, status: Status, measures: &Measures) {
        self.count += measures.count;
        self.amount += measures.amount;
        self.fee += measures.fee;
        if status == Status::Success {
            self.success_count += measures.count;
            self.success_amount += measures.amount;
        }
    }

    /// Successful payments in percent of all, as in the metrics.
    #[must_use]
    pub fn conversion_rate(&self) -> Option<f64> {
        percent(self.success_count.into(), self.count.into())
    }
}

/// Payments of one currency, of one project or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DigestLine {
    /// `None`: without a project. Of totals always `None`.
    pub project: Option<String>,
    pub currency: String,
    #[serde(flatten)]
    pub day: DayFigures,
    pub conversion_rate: Option<f64>,
    pub day_before: DayFigures,
    pub week_before: DayFigures,
    /// Of the successful amount, against the day before.
    pub day_change_percent: Option<f64>,
    /// Of the successful amount, against the same weekday of the week before.
    pub week_change_percent: Option<f64>,
}

impl DigestLine {
    fn new(
        project: Option<String>,
        currency: String,
        [day, day_before, week_before]: [DayFigures; COMPARED_DAYS],
    ) -> Self {
        let change = |before: &DayFigures| percent_change(day.success_amount, before.success_amount);
        Self {
            project,
            currency,
            conversion_rate: day.conversion_rate(),
            day_change_percent: change(&day_before),
            week_change_percent: change(&week_before),
            day,
            day_before,
            week_before,
        }
    }
}

/// The lines of all projects together, and of each project, sorted by currency and then by project. `rows` are those of
/// [`compared_days`], by project.
#[must_use]
pub fn lines(rows: &[MetricRow]) -> (Vec<DigestLine>, Vec<DigestLine>) {
    type Figures = [DayFigures; COMPARED_DAYS];
    let (mut totals, mut projects) = (BTreeMap::<&str, Figures>::new(), BTreeMap::<(&str, &str), Figures>::new());
    for row in rows {
        let Some(index) = usize::try_from(row.bucket).ok().filter(|index| *index < COMPARED_DAYS) else { continue };
        for figures in
            [totals.entry(&row.currency).or_default(), projects.entry((&row.currency, &row.member)).or_default()]
        {
            figures[index].add(row.status, &row.measures);
        }
    }
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let totals = totals.into_iter().map(|(currency, days)| DigestLine::new(None, currency.to_owned(), days));
    let projects = projects
        .into_iter()
        .map(|((currency, project), days)| DigestLine::new(named(project), currency.to_owned(), days));
    (totals.collect(), projects.collect())
}

/// How far a source has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceProgress {
    pub source: Source,
    /// `None` if it has never been read completely.
    pub read_until: Option<DateTime<Utc>>,
    /// Whether it has been read to the end of the day.
    pub is_complete: bool,
    /// How long ago that is.
    pub lag_minutes: Option<i64>,
}

/// The progress of both sources when the figures were read.
#[must_use]
pub fn progress(
    read_until: [Option<DateTime<Utc>>; 2],
    day_end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<SourceProgress> {
    let of_source = |(source, read_until): (Source, Option<DateTime<Utc>>)| SourceProgress {
        source,
        read_until,
        is_complete: read_until.is_some_and(|until| until >= day_end),
        lag_minutes: read_until.map(|until| (now - until).num_minutes().max(0)),
    };
    Source::ALL.into_iter().zip(read_until).map(of_source).collect()
}

/// Discrepancies that changed on the day, and those that are unresolved now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiscrepancyCounts {
    /// Opened or reopened.
    pub opened: i64,
    /// Resolved or ignored by people, or no longer found by a run.
    pub closed: i64,
    pub unresolved: i64,
}

/// What unresolved discrepancies are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AtRisk {
    /// `None`: of payments whose currency is not known.
    pub currency: Option<String>,
    pub count: i64,
    #[serde(serialize_with = "money")]
    pub amount: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FiredAlert {
    pub name: String,
    pub severity: Severity,
    pub message: String,
    pub fired_at: DateTime<Utc>,
    pub is_resolved: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedJobs {
    pub kind: String,
    pub count: i64,
}

/// What went wrong on the day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Incidents {
    pub alert_count: i64,
    /// The first [`MAX_ALERTS`].
    pub alerts: Vec<FiredAlert>,
    /// Jobs that failed for good.
    pub failed_jobs: Vec<FailedJobs>,
    /// Records that came into quarantine.
    pub quarantined: i64,
    /// Records that are in quarantine now.
    pub in_quarantine: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Digest {
    pub date: NaiveDate,
    pub timezone: Tz,
    /// `None`: all projects.
    pub scope: Option<Vec<String>>,
    /// A source had not been read to the end of the day.
    pub provisional: bool,
    pub created_at: DateTime<Utc>,
    pub sources: Vec<SourceProgress>,
    pub totals: Vec<DigestLine>,
    pub projects: Vec<DigestLine>,
    pub discrepancies: DiscrepancyCounts,
    pub value_at_risk: Vec<AtRisk>,
    /// `None` if it is limited to some projects: incidents are about the whole service.
    pub incidents: Option<Incidents>,
}

fn money<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_decimal(*amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bucket: i32, member: &str, currency: &str, status: Status, count: i64) -> MetricRow {
        let measures =
            Measures { count, amount: Decimal::from(count * 10), fee: Decimal::from(count), ..Measures::default() };
        MetricRow { bucket, source: None, member: member.to_owned(), status, currency: currency.to_owned(), measures }
    }

    #[test]
    fn lines_add_up_each_currency_and_compare_days() {
        let (totals, projects) = lines(&[
            row(0, "acme", "INR", Status::Success, 3),
            row(0, "acme", "INR", Status::Failed, 1),
            row(0, "", "INR", Status::Success, 2),
            row(0, "acme", "USD", Status::Pending, 1),
            row(1, "acme", "INR", Status::Success, 2),
            row(2, "old", "INR", Status::Success, 10),
        ]);
        let names: Vec<_> = projects.iter().map(|line| (line.currency.as_str(), line.project.as_deref())).collect();
        assert_eq!(names, [("INR", None), ("INR", Some("acme")), ("INR", Some("old")), ("USD", Some("acme"))]);
        let acme = &projects[1];
        assert_eq!((acme.day.count, acme.day.success_count, acme.conversion_rate), (4, 3, Some(75.0)));
        assert_eq!((acme.day.amount, acme.day.success_amount, acme.day.fee), (40.into(), 30.into(), 4.into()));
        assert_eq!((acme.day_change_percent, acme.week_change_percent), (Some(50.0), None));
        assert_eq!(
            (projects[2].day.count, projects[2].conversion_rate, projects[2].week_change_percent),
            (0, None, Some(-100.0))
        );
        let inr = &totals[0];
        assert_eq!((totals.len(), inr.day.count, inr.day.success_amount), (2, 6, 50.into()));
        assert_eq!((inr.day_change_percent, inr.week_change_percent), (Some(150.0), Some(-50.0)));
    }

    #[test]
    fn day_is_complete_once_a_source_was_read_past_it() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().expect(text);
        let (end, now) = (time("2026-01-15T00:00:00Z"), time("2026-01-15T01:00:00Z"));
        for (read_until, complete, lag) in [
            (Some("2026-01-15T00:00:00Z"), true, Some(60)),
            (Some("2026-01-14T23:59:59Z"), false, Some(60)),
            (Some("2026-01-15T01:00:30Z"), true, Some(0)),
            (None, false, None),
        ] {
            let progress = progress([read_until.map(time), None], end, now);
            assert_eq!((progress[0].is_complete, progress[0].lag_minutes, progress.len()), (complete, lag, 2));
        }
    }

    #[test]
    fn compared_days_are_calendar_days() {
        let days = compared_days("2026-03-09".parse().expect("a day"), Tz::America__New_York);
        let hours = days.map(|range| (range.until - range.from).num_hours());
        // The clocks went forward on the day before.
        assert_eq!(hours, [24, 23, 24]);
        assert_eq!(days[1].until, days[0].from);
    }
}
