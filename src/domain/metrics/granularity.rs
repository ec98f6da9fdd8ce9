//! How long a bucket of time is, by the clocks and the calendar of a zone.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use crate::domain::day::start_of_day;
use crate::domain::string_enum::string_enum;

string_enum! {
    /// How long a bucket is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Granularity {
        /// A minute.
        Minute = "minute",
        /// Five of them.
        FiveMinutes = "5min",
        /// A quarter of an hour.
        QuarterHour = "15min",
        /// An hour of the zone's clocks.
        #[default]
        Hour = "hour",
        /// A day of the zone.
        Day = "day",
        /// A week, from Monday.
        Week = "week",
        /// A calendar month.
        Month = "month",
    }
}

impl Granularity {
    /// The start of the bucket that `time` falls in.
    pub(super) fn start(self, time: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = time.with_timezone(&zone);
        let day = local.date_naive();
        let first = match self {
            Self::Minute => return time - past(local.minute(), 1, local.second()),
            Self::FiveMinutes => return time - past(local.minute(), 5, local.second()),
            Self::QuarterHour => return time - past(local.minute(), 15, local.second()),
            Self::Hour => return time - past(local.minute(), 60, local.second()),
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => day.with_day(1),
        };
        first.map_or(time, |first| start_of_day(first, zone))
    }

    /// The start of the bucket after the one that begins at `start`.
    pub(super) fn next(self, start: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = start.with_timezone(&zone);
        let day = local.date_naive();
        let first: Option<NaiveDate> = match self {
            Self::Minute => return start + left(local.minute(), 1),
            Self::FiveMinutes => return start + left(local.minute(), 5),
            Self::QuarterHour => return start + left(local.minute(), 15),
            Self::Hour => return start + left(local.minute(), 60),
            Self::Day => day.succ_opt(),
            Self::Week => day.checked_add_days(Days::new(7)),
            Self::Month => day.checked_add_months(Months::new(1)),
        };
        first.map_or(DateTime::<Utc>::MAX_UTC, |first| start_of_day(first, zone))
    }
}

/// How far a clock that shows `minute` and `second` is into its stretch of so many minutes.
fn past(minute: u32, of: u32, second: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(minute % of * 60 + second))
}

/// How long it is to the end of the stretch.
fn left(minute: u32, of: u32) -> TimeDelta {
    TimeDelta::minutes(i64::from(of - minute % of))
}
