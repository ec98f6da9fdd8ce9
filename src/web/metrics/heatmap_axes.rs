//! The rows, columns and values of a heatmap.

use std::cmp::Reverse;

use rust_decimal::Decimal;

use super::tally::Tally;
use super::{WEEKDAYS, hour_of_week};
use crate::domain::day::DayRange;
use crate::domain::metrics::query::MetricRow;
use crate::domain::metrics::time_buckets::{HOURS, TimeBuckets};
use crate::domain::string_enum::string_enum;
use crate::web::filters::rows_link::RowsLink;
use crate::web::http::schema::{Figure, Money, Usd, named_enum};

const MAX_MERCHANTS: usize = 20;

string_enum! {
    /// The columns and rows of a heatmap.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) enum HeatmapDimension {
        /// Hours by weekday.
        #[default]
        HourDay = "hour_day",
        /// Hours by merchant.
        MerchantHour = "merchant_hour",
        /// Weekdays by merchant.
        MerchantDay = "merchant_day",
    }
}

impl HeatmapDimension {
    /// The time buckets: a key per cell for hours by weekday, else a key per column.
    pub(super) fn buckets(self, days: DayRange) -> TimeBuckets {
        match self {
            Self::HourDay => TimeBuckets::hours(days, hour_of_week),
            Self::MerchantHour => TimeBuckets::hours(days, |_, hour| hour),
            Self::MerchantDay => TimeBuckets::weekdays(days),
        }
    }

    /// The filter of transactions that a column stands for; its value is the index of the column.
    pub(super) fn column_parameter(self) -> &'static str {
        match self {
            Self::HourDay | Self::MerchantHour => "hour",
            Self::MerchantDay => "weekday",
        }
    }

    pub(super) fn columns(self) -> Vec<String> {
        match self {
            Self::HourDay | Self::MerchantHour => (0..HOURS).map(|hour| hour.to_string()).collect(),
            Self::MerchantDay => WEEKDAYS.map(str::to_owned).to_vec(),
        }
    }
}

string_enum! {
    /// The value of a heatmap's cells.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) enum HeatmapMetric {
        Amount = "amount",
        #[default]
        Count = "count",
        /// The conversion rate, in percent.
        Conversion = "conversion",
    }
}

impl HeatmapMetric {
    /// The value of a cell, and the number to compare it by. `None` for the conversion rate of no transactions.
    pub(super) fn value(self, tally: &Tally, whole: &Tally) -> Option<(Decimal, Figure)> {
        match self {
            Self::Amount => {
                let amount = tally.comparable_amount(whole);
                let is_converted = !whole.is_in_one_currency();
                Some((amount, if is_converted { Figure::Usd(Usd(amount)) } else { Figure::Money(Money(amount)) }))
            }
            Self::Count => Some((tally.count().into(), Figure::Count(tally.count()))),
            Self::Conversion => {
                let rate = tally.conversion_rate()?;
                Some((Decimal::try_from(rate).ok()?, Figure::Rate(rate)))
            }
        }
    }
}

/// The rows of a heatmap.
pub(super) enum HeatmapRows {
    Weekdays,
    Merchants(Vec<String>),
}

impl HeatmapRows {
    pub(super) fn labels(&self) -> Vec<String> {
        match self {
            Self::Weekdays => WEEKDAYS.map(str::to_owned).to_vec(),
            Self::Merchants(merchants) => merchants.clone(),
        }
    }

    /// The part of `link` that a row stands for.
    pub(super) fn link(&self, link: &RowsLink, row: usize) -> RowsLink {
        match self {
            Self::Weekdays => link.with("weekday", &row.to_string()),
            Self::Merchants(merchants) => {
                merchants.get(row).map_or_else(|| link.clone(), |merchant| link.with("merchant_id", merchant))
            }
        }
    }

    /// The indexes of the row and the column of `row`; `None` if it belongs to another merchant.
    pub(super) fn cell_of(&self, row: &MetricRow) -> Option<(usize, usize)> {
        let bucket = usize::try_from(row.bucket).ok()?;
        match self {
            Self::Weekdays => {
                let hours = usize::try_from(HOURS).ok()?;
                Some((bucket / hours, bucket % hours))
            }
            Self::Merchants(merchants) => Some((merchants.iter().position(|id| *id == row.member)?, bucket)),
        }
    }
}

/// The merchants with the most transactions, at most [`MAX_MERCHANTS`], the busiest first.
pub(super) fn busiest_merchants(rows: &[MetricRow]) -> Vec<String> {
    let known = rows.iter().filter(|row| !row.member.is_empty());
    let mut merchants: Vec<(&str, Tally)> = Tally::by_key(known, |row| row.member.as_str()).into_iter().collect();
    merchants.sort_by_key(|(_, tally)| Reverse(tally.count()));
    merchants.into_iter().take(MAX_MERCHANTS).map(|(id, _)| id.to_owned()).collect()
}

named_enum!(HeatmapDimension, "HeatmapDimension", HeatmapDimension::ALL, "The columns and rows of a heatmap.");
named_enum!(HeatmapMetric, "HeatmapMetric", HeatmapMetric::ALL, "The value of a heatmap's cells.");
