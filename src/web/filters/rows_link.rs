//! Links from a number of the metrics to the transactions that it counts.
//!
//! A link has the filters of its request, the part of it that a row, a tile or a cell counts, and the time in the zone of the
//! request. It names instants only if the part is not made of whole days. If the time has not ended yet, `as_of` leaves out what
//! is created after the response. A link of nothing is null: most cells of a sparse heatmap are empty, and each link would be ten
//! times as long as the cell.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::day::DayRange;
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::money::format_decimal;
use crate::domain::time_range::TimeRange;

const TRANSACTIONS: &str = "/api/v1/transactions";
/// What does not change the meaning of a query stays readable.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// The time of what is counted.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) enum CountedTime {
    Days(DayRange),
    Instants(TimeRange),
}

impl CountedTime {
    pub(in crate::web) fn time_range(self) -> TimeRange {
        match self {
            Self::Days(days) => days.time_range(),
            Self::Instants(range) => range,
        }
    }
}

/// A link to some transactions.
#[derive(Debug, Clone)]
pub(in crate::web) struct RowsLink {
    /// Filters by name: the parameters of all values.
    filters: Vec<(&'static str, String)>,
    zone: Tz,
    now: DateTime<Utc>,
    time: String,
}

impl RowsLink {
    /// The transactions that were created in `time`. `filters` are the values by the name of a parameter.
    pub(in crate::web) fn new(
        filters: impl IntoIterator<Item = (&'static str, Vec<String>)>,
        (time, zone): (CountedTime, Tz),
        now: DateTime<Utc>,
    ) -> Self {
        let mut link = Self { filters: vec![], zone, now, time: String::new() };
        for (name, values) in filters {
            link.set(name, &values);
        }
        match time {
            CountedTime::Days(days) => {
                let time = format!("from_date={}&to_date={}{}", days.from(), days.to(), link.as_of(days.time_range()));
                Self { time, ..link }
            }
            CountedTime::Instants(range) => link.within(range),
        }
    }

    /// The same, except that they were created in `range`.
    pub(in crate::web) fn within(&self, range: TimeRange) -> Self {
        let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let until = if range.until == TimeRange::ALL.until {
            String::new()
        } else {
            format!("&created_until={}", text(range.until))
        };
        let time = format!("created_from={}{until}{}", text(range.from), self.as_of(range));
        Self { time, ..self.clone() }
    }

    /// Those of them whose parameter `name` has this value.
    pub(in crate::web) fn with(&self, name: &'static str, value: &str) -> Self {
        self.with_any(name, &[value.to_owned()])
    }

    /// Those of them whose parameter `name` has one of these values.
    pub(in crate::web) fn with_any(&self, name: &'static str, values: &[String]) -> Self {
        let mut link = self.clone();
        link.set(name, values);
        link
    }

    /// Those of them with this member of a dimension; without any if it is empty.
    pub(in crate::web) fn with_member(&self, name: &'static str, member: &str) -> Self {
        if !member.is_empty() {
            return self.with(name, member);
        }
        let mut link = self.clone();
        link.filters.retain(|(known, _)| *known != name);
        // Those without a value of another dimension may also be meant.
        link.filters.push(("without", format!("without={name}")));
        link
    }

    /// Those of them with an amount in this range.
    pub(in crate::web) fn with_amounts(&self, amounts: AmountRange) -> Self {
        let bounds = [("min_amount", amounts.least), ("max_amount", amounts.most), ("amount_below", amounts.below)];
        let bounds = bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?)));
        bounds.fold(self.clone(), |link, (name, bound)| link.with(name, &format_decimal(bound)))
    }

    /// The link, or `None` if it would list nothing.
    pub(in crate::web) fn to(&self, count: i64) -> Option<String> {
        (count != 0).then(|| self.url())
    }

    fn url(&self) -> String {
        let mut url = String::with_capacity(200);
        url.push_str(TRANSACTIONS);
        for (place, (_, parameters)) in self.filters.iter().enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.push_str(parameters);
        }
        url.push(if self.filters.is_empty() { '?' } else { '&' });
        url.push_str(&self.time);
        url
    }

    fn set(&mut self, name: &'static str, values: &[String]) {
        self.filters.retain(|(known, _)| *known != name);
        if values.is_empty() {
            return;
        }
        let mut parameters = String::new();
        for value in values {
            let separator = if parameters.is_empty() { "" } else { "&" };
            // Writing to a text does not fail.
            let _ = write!(parameters, "{separator}{name}={}", utf8_percent_encode(value, ENCODED));
        }
        // A single value is split at its commas; repeated ones are not.
        if let [value] = values
            && value.contains(',')
        {
            let _ = write!(parameters, "&{name}=");
        }
        self.filters.push((name, parameters));
    }

    /// The zone, and the instant up to which transactions were counted if `range` has begun and not ended.
    fn as_of(&self, range: TimeRange) -> String {
        let zone = utf8_percent_encode(self.zone.name(), ENCODED);
        if !(range.from..range.until).contains(&self.now) {
            return format!("&timezone={zone}");
        }
        // The next second: nothing is created later than now.
        let next = self.now.with_nanosecond(0).unwrap_or(self.now) + TimeDelta::seconds(1);
        format!("&timezone={zone}&as_of={}", next.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metrics::amount_band::AmountBand;

    fn link(now: &str) -> RowsLink {
        let days = DayRange::new(
            "2026-01-14".parse().expect("a day"),
            "2026-01-15".parse().expect("a day"),
            Tz::Asia__Kolkata,
        );
        let filters = [
            ("source", vec!["vima".to_owned()]),
            ("project", vec!["a b".to_owned(), "c".to_owned()]),
            ("status", vec![]),
        ];
        RowsLink::new(filters, (CountedTime::Days(days.expect("days")), Tz::Asia__Kolkata), now.parse().expect(now))
    }

    #[test]
    fn links_have_the_filters_and_the_time_of_the_request() {
        let link = link("2026-02-01T00:00:00Z");
        let prefix = "/api/v1/transactions?source=vima&project=a%20b&project=c";
        let days = "from_date=2026-01-14&to_date=2026-01-15&timezone=Asia/Kolkata";
        let range = TimeRange {
            from: "2026-01-14T18:30:00Z".parse().expect("a time"),
            until: "2026-01-14T19:30:00Z".parse().expect("a time"),
        };
        for (found, expected) in [
            (link.to(3), format!("{prefix}&{days}")),
            (
                link.with("source", "payshack").to(1),
                format!("/api/v1/transactions?project=a%20b&project=c&source=payshack&{days}"),
            ),
            (link.with_member("project", "").to(1), format!("/api/v1/transactions?source=vima&without=project&{days}")),
            (
                link.with_member("project", "").with_member("country", "").to(1),
                format!("/api/v1/transactions?source=vima&without=project&without=country&{days}"),
            ),
            (link.with_member("country", "IN,NP").to(1), format!("{prefix}&country=IN%2CNP&country=&{days}")),
            (
                link.with_any("merchant_id", &["a".to_owned(), "b,c".to_owned()]).to(1),
                format!("{prefix}&merchant_id=a&merchant_id=b%2Cc&{days}"),
            ),
            (
                link.within(range).to(1),
                format!(
                    "{prefix}&created_from=2026-01-14T18:30:00Z&created_until=2026-01-14T19:30:00Z&timezone=Asia/Kolkata"
                ),
            ),
            (
                link.with_amounts(AmountBand::from_amount(700.into()).range()).to(1),
                format!("{prefix}&min_amount=500.00&amount_below=1000.00&{days}"),
            ),
        ] {
            assert_eq!(found, Some(expected));
        }
        assert_eq!(link.to(0), None);
    }

    #[test]
    fn links_of_running_periods_end_now() {
        let link = link("2026-01-15T10:00:00.25Z");
        let now = "&timezone=Asia/Kolkata&as_of=2026-01-15T10:00:01Z";
        for (link, time) in
            [(&link, "to_date=2026-01-15"), (&link.within(TimeRange::ALL), "created_from=1970-01-01T00:00:00Z")]
        {
            let url = link.to(1).expect("a link");
            assert!(url.ends_with(&format!("{time}{now}")), "{url}");
        }
    }
}
