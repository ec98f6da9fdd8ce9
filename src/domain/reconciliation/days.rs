//! Which days somebody wants reconciled: a day, or all days from one to another. What cannot be meant is refused with the
//! field that is at fault, before anything is enqueued; requests and commands say it alike.

use chrono::NaiveDate;
use serde::Deserialize;

use super::MOST_DAYS;
use crate::domain::sync::days;

/// Nobody whom we follow paid anything before.
const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2000, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

/// What is asked for, as it is written: `{"date": …}`, or `{"from_date": …, "to_date": …}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaysAsked {
    /// This day.
    pub date: Option<NaiveDate>,
    /// This day and all after it,
    pub from_date: Option<NaiveDate>,
    /// until this day, included.
    pub to_date: Option<NaiveDate>,
}

/// Days that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DaysError {
    /// None is said.
    #[error("is required, or from_date and to_date in its place")]
    None,
    /// A day, and a range.
    #[error("says which day: leave from_date and to_date out, or date")]
    Both,
    /// A range with one end.
    #[error("is required where the other end is given")]
    OneEnd {
        /// The end that is missing.
        field: &'static str,
    },
    /// The first day is after the last.
    #[error("{from} is after to_date {to}: swap them")]
    Reversed {
        /// The first day.
        from: NaiveDate,
        /// The last day.
        to: NaiveDate,
    },
    /// More days than one request may ask for.
    #[error("{from} to to_date {to} are more than {MOST_DAYS} days: ask for less at once")]
    TooMany {
        /// The first day.
        from: NaiveDate,
        /// The last day.
        to: NaiveDate,
    },
    /// A day that has not begun.
    #[error("{day} has not begun: the last day that can be reconciled is today, {today}")]
    NotBegun {
        /// Where it is said.
        field: &'static str,
        /// The day.
        day: NaiveDate,
        /// The day it is.
        today: NaiveDate,
    },
    /// A day before any payment.
    #[error("{day} is too long ago: the first day that can be reconciled is {FIRST_DAY}")]
    TooOld {
        /// Where it is said.
        field: &'static str,
        /// The day.
        day: NaiveDate,
    },
}

impl DaysError {
    /// The field that is at fault.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::None | Self::Both => "date",
            Self::Reversed { .. } | Self::TooMany { .. } => "from_date",
            Self::OneEnd { field } | Self::NotBegun { field, .. } | Self::TooOld { field, .. } => field,
        }
    }
}

impl DaysAsked {
    /// The days, the first one first, where it is `today`.
    ///
    /// # Errors
    /// [`DaysError`] where they cannot be meant.
    pub fn days(self, today: NaiveDate) -> Result<Vec<NaiveDate>, DaysError> {
        let ((first, from), (last, to)) = match (self.date, self.from_date, self.to_date) {
            (Some(day), None, None) => (("date", day), ("date", day)),
            (None, Some(from), Some(to)) => (("from_date", from), ("to_date", to)),
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
        if from < FIRST_DAY {
            return Err(DaysError::TooOld { field: first, day: from });
        }
        if (to - from).num_days() >= MOST_DAYS {
            return Err(DaysError::TooMany { from, to });
        }
        Ok(days(from, to).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_understood_or_refused_by_their_field() {
        for (date, from, to, expected) in [
            ("2026-03-05", "", "", Ok(1)),
            ("", "2026-03-01", "2026-03-05", Ok(5)),
            ("", "2025-12-04", "2026-03-05", Ok(92)),
            ("", "", "", Err("date is required, or from_date")),
            ("2026-03-05", "2026-03-01", "2026-03-05", Err("date says which day")),
            ("2026-03-05", "", "2026-03-05", Err("date says which day")),
            ("", "2026-03-01", "", Err("to_date is required")),
            ("", "", "2026-03-01", Err("from_date is required")),
            ("", "2026-03-05", "2026-03-01", Err("from_date 2026-03-05 is after to_date 2026-03-01: swap them")),
            ("", "2025-12-03", "2026-03-05", Err("from_date 2025-12-03 to to_date 2026-03-05 are more than 92 days")),
            ("2026-03-06", "", "", Err("date 2026-03-06 has not begun")),
            ("", "2026-03-05", "2026-03-06", Err("to_date 2026-03-06 has not begun")),
            ("1999-12-31", "", "", Err("date 1999-12-31 is too long ago")),
        ] {
            let day = |text: &str| (!text.is_empty()).then(|| text.parse().expect(text));
            let asked = DaysAsked { date: day(date), from_date: day(from), to_date: day(to) };
            match (asked.days("2026-03-05".parse().expect("a day")), expected) {
                (Ok(days), Ok(count)) => assert_eq!(days.len(), count, "{asked:?}"),
                (Err(error), Err(told)) => {
                    let error = format!("{} {error}", error.field());
                    assert!(error.starts_with(told), "{error}");
                }
                (days, expected) => panic!("{asked:?}: {days:?}, expected {expected:?}"),
            }
        }
    }
}
