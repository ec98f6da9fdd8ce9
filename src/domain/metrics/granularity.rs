//! The granularity of time buckets, by the clocks and the calendar of a zone.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use crate::domain::day::start_of_day;
use crate::domain::string_enum::string_enum;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Granularity {
        Minute = "minute",
        FiveMinutes = "5min",
        QuarterHour = "15min",
    /// An hour of local time.
        #[default]
        Hour = "hour",
    /// A calendar day of the zone.
        Day = "day",
    /// From Monday.
        Week = "week",
        Month = "month",
    }
}

impl Granularity {
    /// The start of the bucket that contains `time`.
    pub(super) fn start(self, time: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = time.with_timezone(&zone);
        let day = local.date_naive();
        let first = match self {
            Self::Minute => return time - elapsed(local.minute(), 1, local.second()),
            Self::FiveMinutes => return time - elapsed(local.minute(), 5, local.second()),
            Self::QuarterHour => return time - elapsed(local.minute(), 15, local.second()),
            Self::Hour => return time - elapsed(local.minute(), 60, local.second()),
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => day.with_day(1),
        };
        first.map_or(time, |first| start_of_day(first, zone))
    }

    /// The start of the bucket after the one that starts at `start`.
    pub(super) fn next(self, start: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = start.with_timezone(&zone);
        let day = local.date_naive();
        let first: Option<NaiveDate> = match self {
            Self::Minute => return start + remaining(local.minute(), 1),
            Self::FiveMinutes => return start + remaining(local.minute(), 5),
            Self::QuarterHour => return start + remaining(local.minute(), 15),
            Self::Hour => return start + remaining(local.minute(), 60),
            Self::Day => day.succ_opt(),
            Self::Week => day.checked_add_days(Days::new(7)),
            Self::Month => day.checked_add_months(Months::new(1)),
        };
        first.map_or(DateTime::<Utc>::MAX_UTC, |first| start_of_day(first, zone))
    }
}

/// The time since the start of the current interval of `interval` minutes.
fn elapsed(minute: u32, interval: u32, second: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(minute % interval * 60 + second))
}

/// The time until the end of the current interval of `interval` minutes.
fn remaining(minute: u32, interval: u32) -> TimeDelta {
    TimeDelta::minutes(i64::from(interval - minute % interval))
}
