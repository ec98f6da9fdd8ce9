//! Cron expressions in a time zone.
//!
//! croner evaluates the expressions, but only for local times without a zone. Clock changes are handled here, in the same
//! way for every expression: **each matching local time is one tick; a skipped time is due right after the gap, and a
//! repeated time is due the first time only.** croner's own zone handling was rejected: it treats an expression with more
//! than one hour or minute (`0,30 2 * * *`) as an interval, and drops times that fall into a gap, so that a night would
//! not be reconciled. The price is that an hourly job pauses while an hour is repeated.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Direction;
use croner::parser::{CronParser, Year};

/// No zone sets its clocks back further at once.
const FURTHEST_BACK: TimeDelta = TimeDelta::hours(3);
/// Samoa skipped a day in 2011.
const LONGEST_GAP_MINUTES: i64 = 24 * 60;

/// Five fields (minute, hour, day of the month, month, day of the week, where 0 and 7 are Sunday), or six with the second
/// first. If both days are restricted, either one matches, as in Vixie cron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    // Large, and cloned with every entry of the schedule.
    pattern: Arc<croner::Cron>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("it must be five fields (minute, hour, day, month, weekday), or six with the second first: {0}")]
    Unreadable(String),
    #[error("no day ever matches it")]
    Never,
}

impl FromStr for CronExpression {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parser = CronParser::builder().year(Year::Disallowed).build();
        let pattern = Arc::new(parser.parse(text).map_err(|error| CronError::Unreadable(error.to_string()))?);
        let ever = pattern.find_next_occurrence(&DateTime::UNIX_EPOCH.naive_utc(), true);
        ever.map_err(|_| CronError::Never)?;
        Ok(Self { text: text.to_owned(), pattern })
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    pub expression: CronExpression,
    pub zone: Tz,
}

impl Cron {
    /// The last tick at or before `now`.
    #[must_use]
    pub fn last_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ticks_until(now).next()
    }

    #[must_use]
    pub fn next_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = now.with_timezone(&self.zone).naive_local();
        self.expression.pattern.iter_after(wall).filter_map(|time| self.instant(time)).find(|tick| *tick > now)
    }

    #[must_use]
    pub fn ticks_since(&self, last: DateTime<Utc>, now: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        let mut ticks: Vec<DateTime<Utc>> = self.ticks_until(now).take_while(|tick| *tick > last).take(most).collect();
        ticks.reverse();
        ticks
    }

    /// The ticks up to `now`, newest first. While an hour is repeated, ticks that have passed are ahead of the local time, so
    /// the search starts later than it.
    fn ticks_until(&self, now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let furthest = now.with_timezone(&self.zone).naive_local() + FURTHEST_BACK;
        let times = self.expression.pattern.iter_from(furthest, Direction::Backward);
        let mut later = None;
        // Several times in one gap are due at the same instant, which is one tick.
        times
            .filter_map(|time| self.instant(time))
            .filter(move |tick| *tick <= now && later.replace(*tick) != Some(*tick))
    }

    /// The first instant at which the local time is `time`, or the end of the gap that skips it.
    fn instant(&self, time: NaiveDateTime) -> Option<DateTime<Utc>> {
        let existing = |time: NaiveDateTime| self.zone.from_local_datetime(&time).earliest();
        // Clock changes happen at whole minutes.
        let minute = DateTime::from_timestamp(time.and_utc().timestamp().div_euclid(60) * 60, 0)?.naive_utc();
        let after = (1..=LONGEST_GAP_MINUTES).map(|minutes| minute + TimeDelta::minutes(minutes));
        let instant = std::iter::once(time).chain(after).find_map(existing)?;
        Some(instant.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn cron(expression: &str, zone: Tz) -> Cron {
        Cron { expression: expression.parse().expect(expression), zone }
    }

    #[test]
    fn ticks_follow_the_local_time_of_the_zone() {
        use Tz::{America__New_York as NewYork, Asia__Kolkata as Kolkata, UTC};
        for (expression, zone, now, last, next) in [
            ("30 1 * * *", UTC, "2026-01-15T01:29:59Z", "2026-01-14T01:30:00Z", "2026-01-15T01:30:00Z"),
            ("30 1 * * *", UTC, "2026-01-15T01:30:00Z", "2026-01-15T01:30:00Z", "2026-01-16T01:30:00Z"),
            ("30 1 * * *", UTC, "2026-01-15T01:30:00.5Z", "2026-01-15T01:30:00Z", "2026-01-16T01:30:00Z"),
            ("30 1 * * *", Kolkata, "2026-01-15T12:00:00Z", "2026-01-14T20:00:00Z", "2026-01-15T20:00:00Z"),
            // Seconds first.
            ("15 30 1 * * *", UTC, "2026-01-15T01:30:00Z", "2026-01-14T01:30:15Z", "2026-01-15T01:30:15Z"),
            ("*/20 * * * * *", UTC, "2026-01-15T01:30:59Z", "2026-01-15T01:30:40Z", "2026-01-15T01:31:00Z"),
            // 0 and 7 are Sunday.
            ("0 3 * * 0", UTC, "2026-01-15T00:00:00Z", "2026-01-11T03:00:00Z", "2026-01-18T03:00:00Z"),
            ("0 3 * * 7", UTC, "2026-01-15T00:00:00Z", "2026-01-11T03:00:00Z", "2026-01-18T03:00:00Z"),
            ("0 3 * * mon-fri", UTC, "2026-01-17T00:00:00Z", "2026-01-16T03:00:00Z", "2026-01-19T03:00:00Z"),
            // The 1st, or a Friday.
            ("0 3 1 * 5", UTC, "2026-01-30T12:00:00Z", "2026-01-30T03:00:00Z", "2026-02-01T03:00:00Z"),
            ("0 0 29 2 *", UTC, "2026-01-15T00:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
            // On March 8, the clocks of New York go from 02:00 to 03:00: times in between are due then.
            ("30 2 * * *", NewYork, "2026-03-08T06:59:59Z", "2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z"),
            ("30 2 * * *", NewYork, "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"),
            ("30 1 * * *", NewYork, "2026-03-08T07:00:00Z", "2026-03-08T06:30:00Z", "2026-03-09T05:30:00Z"),
            ("10,50 2 * * *", NewYork, "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:10:00Z"),
            ("0 * * * *", NewYork, "2026-03-08T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"),
            // On November 1, they go from 02:00 back to 01:00: times in between are due the first time.
            ("30 1 * * *", NewYork, "2026-11-01T05:29:59Z", "2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z"),
            ("30 1 * * *", NewYork, "2026-11-01T06:10:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"),
            ("30 1 * * *", NewYork, "2026-11-01T06:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"),
            ("0 2 * * *", NewYork, "2026-11-01T06:59:59Z", "2026-10-31T06:00:00Z", "2026-11-01T07:00:00Z"),
        ] {
            let cron = cron(expression, zone);
            let ticks = (cron.last_tick(at(now)), cron.next_tick(at(now)));
            assert_eq!(ticks, (Some(at(last)), Some(at(next))), "{expression} {zone} {now}");
        }
    }

    #[test]
    fn missed_ticks_are_listed_once_each() {
        use Tz::{America__New_York as NewYork, Asia__Kolkata as Kolkata};
        for (expression, zone, last, now, expected) in [
            ("30 1 * * *", Kolkata, "2026-01-14T20:00:00Z", "2026-01-15T19:59:59Z", vec![]),
            (
                "30 1 * * *",
                Kolkata,
                "2026-01-12T20:00:00Z",
                "2026-01-15T20:00:00Z",
                vec!["2026-01-13T20:00:00Z", "2026-01-14T20:00:00Z", "2026-01-15T20:00:00Z"],
            ),
            // Four were missed, the newest three are returned.
            (
                "30 1 * * *",
                Kolkata,
                "2026-01-11T20:00:00Z",
                "2026-01-15T20:00:00Z",
                vec!["2026-01-13T20:00:00Z", "2026-01-14T20:00:00Z", "2026-01-15T20:00:00Z"],
            ),
            // Across a gap, and across a repeated hour.
            (
                "0,30 2 * * *",
                NewYork,
                "2026-03-07T07:30:00Z",
                "2026-03-09T12:00:00Z",
                vec!["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z", "2026-03-09T06:30:00Z"],
            ),
            (
                "30 1 * * *",
                NewYork,
                "2026-10-31T05:30:00Z",
                "2026-11-02T12:00:00Z",
                vec!["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
            ),
            // The clock was set back.
            ("30 1 * * *", Kolkata, "2026-01-15T20:00:00Z", "2026-01-13T20:00:00Z", vec![]),
        ] {
            let expected: Vec<DateTime<Utc>> = expected.into_iter().map(at).collect();
            let ticks = cron(expression, zone).ticks_since(at(last), at(now), 3);
            assert_eq!(ticks, expected, "{expression} {zone} {last} {now}");
        }
    }

    /// For a year, in zones with changes of half an hour, at midnight, and of a whole day.
    #[test]
    fn ticks_are_the_same_forwards_and_backwards() {
        use Tz::{America__New_York, America__Santiago, Asia__Kolkata, Australia__Lord_Howe, Pacific__Apia};
        for zone in [America__New_York, America__Santiago, Asia__Kolkata, Australia__Lord_Howe, Pacific__Apia] {
            for expression in ["30 1 * * *", "0,45 0,2 * * *", "*/20 2 * * *"] {
                let cron = cron(expression, zone);
                let (from, until) = (at("2011-01-01T00:00:00Z"), at("2012-01-01T00:00:00Z"));
                let forwards = std::iter::successors(cron.next_tick(from), |tick| cron.next_tick(*tick));
                let forwards: Vec<DateTime<Utc>> = forwards.take_while(|tick| *tick <= until).collect();
                assert!(forwards.len() > 360, "{zone} {expression}");
                assert_eq!(cron.ticks_since(from, until, usize::MAX), forwards, "{zone} {expression}");
                for pair in forwards.windows(2) {
                    assert_eq!(cron.last_tick(pair[1] - TimeDelta::seconds(1)), Some(pair[0]), "{zone} {expression}");
                }
            }
        }
    }

    #[test]
    fn invalid_expressions_are_rejected_with_a_reason() {
        for (text, expected) in [
            ("", "must be five fields"),
            ("30 1 * *", "must be five fields"),
            ("0 30 1 * * * 2026", "must be five fields"),
            ("61 1 * * *", "must be five fields"),
            ("30 1 * * 8", "must be five fields"),
            ("half past one", "must be five fields"),
            ("0 0 30 2 *", "no day ever matches"),
        ] {
            let error = text.parse::<CronExpression>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!("30 1 * * *".parse::<CronExpression>().expect("an expression").to_string(), "30 1 * * *");
    }
}
