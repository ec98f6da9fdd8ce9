//! The days that a request or a command wants to reconcile. They are validated before anything is enqueued.

use chrono::NaiveDate;
use serde::Deserialize;

use super::MAX_DAYS;
use crate::domain::day;
use crate::domain::sync::days;

/// `{"date": …}`, or `{"from_date": …, "to_date": …}` with both days inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestedDays {
    #[serde(deserialize_with = "day::deserialize_optional")]
    pub date: Option<NaiveDate>,
    #[serde(deserialize_with = "day::deserialize_optional")]
    pub from_date: Option<NaiveDate>,
    #[serde(deserialize_with = "day::deserialize_optional")]
    pub to_date: Option<NaiveDate>,
}

/// The message continues the name of [`Self::field`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DaysError {
    #[error("is required, or from_date and to_date instead")]
    None,
    #[error("cannot be combined with from_date and to_date: omit one or the other")]
    Both,
    #[error("is required if the other end is given")]
    OneEnd { field: &'static str },
    #[error("{from} is after to_date {to}: swap them")]
    Reversed { from: NaiveDate, to: NaiveDate },
    #[error("{from} to to_date {to} are more than {MAX_DAYS} days: request fewer days at once")]
    TooMany { from: NaiveDate, to: NaiveDate },
    #[error("{day} has not begun: the last day that can be reconciled is today, {today}")]
    NotBegun { field: &'static str, day: NaiveDate, today: NaiveDate },
}

impl DaysError {
    /// The invalid field.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::None | Self::Both => "date",
            Self::Reversed { .. } | Self::TooMany { .. } => "from_date",
            Self::OneEnd { field } | Self::NotBegun { field, .. } => field,
        }
    }
}

impl RequestedDays {
    /// The days, oldest first.
    pub fn days(self, today: NaiveDate) -> Result<Vec<NaiveDate>, DaysError> {
        let (from, (last, to)) = match (self.date, self.from_date, self.to_date) {
            (Some(day), None, None) => (day, ("date", day)),
            (None, Some(from), Some(to)) => (from, ("to_date", to)),
            (None, None, None) => return Err(DaysError::None),
            (Some(_), ..) => return Err(DaysError::Both),
            (None, None, Some(_)) => return Err(DaysError::OneEnd { field: "from_date" }),
            (None, Some(_), None) => return Err(DaysError::OneEnd { field: "to_date" }),
        };
        if from > to {
            return Err(DaysError::Reversed { from, to });
        }
        if to > today {
            return Err(DaysError::NotBegun { field: last, day: to, today });
        }
        if (to - from).num_days() >= MAX_DAYS {
            return Err(DaysError::TooMany { from, to });
        }
        Ok(days(from, to).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_days_are_rejected_with_their_field() {
        for (date, from, to, expected) in [
            ("2026-03-05", "", "", Ok(1)),
            ("", "2026-03-01", "2026-03-05", Ok(5)),
            ("", "2025-12-04", "2026-03-05", Ok(92)),
            ("", "", "", Err("date is required, or from_date")),
            ("2026-03-05", "2026-03-01", "2026-03-05", Err("date cannot be combined with")),
            ("2026-03-05", "", "2026-03-05", Err("date cannot be combined with")),
            ("", "2026-03-01", "", Err("to_date is required")),
            ("", "", "2026-03-01", Err("from_date is required")),
            ("", "2026-03-05", "2026-03-01", Err("from_date 2026-03-05 is after to_date 2026-03-01: swap them")),
            ("", "2025-12-03", "2026-03-05", Err("from_date 2025-12-03 to to_date 2026-03-05 are more than 92 days")),
            ("2026-03-06", "", "", Err("date 2026-03-06 has not begun")),
            ("", "2026-03-05", "2026-03-06", Err("to_date 2026-03-06 has not begun")),
        ] {
            let day = |text: &str| (!text.is_empty()).then(|| text.parse().expect(text));
            let requested = RequestedDays { date: day(date), from_date: day(from), to_date: day(to) };
            match (requested.days("2026-03-05".parse().expect("a day")), expected) {
                (Ok(days), Ok(count)) => assert_eq!(days.len(), count, "{requested:?}"),
                (Err(error), Err(expected)) => {
                    let error = format!("{} {error}", error.field());
                    assert!(error.starts_with(expected), "{error}");
                }
                (days, expected) => panic!("{requested:?}: {days:?}, expected {expected:?}"),
            }
        }
    }
}
