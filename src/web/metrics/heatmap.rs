//! Payments on a map of two dimensions, one of them of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::WEEKDAYS;
use super::tally::Tally;
use crate::db::metrics::data_version::DataVersion;
use crate::domain::day::DayRange;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::{HOURS, TimeBuckets};
use crate::domain::string_enum::string_enum;
use crate::operations::metrics_cache::MetricsAnswer;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::{Figure, Money, named_enum};
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// How many merchants a map shows.
const MOST_MERCHANTS: usize = 20;

string_enum! {
    /// What the sides of a heatmap are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(in crate::web) enum HeatmapDimension {
        /// Hours across, weekdays down.
        #[default]
        HourDay = "hour_day",
        /// Hours across, merchants down.
        MerchantHour = "merchant_hour",
        /// Weekdays across, merchants down.
        MerchantDay = "merchant_day",
    }
}

impl HeatmapDimension {
    /// The time of days, divided; of the map of hours and weekdays into its cells, else into columns.
    fn slots(self, days: DayRange) -> TimeBuckets {
        match self {
            Self::HourDay => TimeBuckets::hours(days, |weekday, hour| weekday * HOURS + hour),
            Self::MerchantHour => TimeBuckets::hours(days, |_, hour| hour),
            Self::MerchantDay => TimeBuckets::weekdays(days),
        }
    }

    fn columns(self) -> Vec<String> {
        match self {
            Self::HourDay | Self::MerchantHour => (0..HOURS).map(|hour| hour.to_string()).collect(),
            Self::MerchantDay => WEEKDAYS.map(str::to_owned).to_vec(),
        }
    }
}

string_enum! {
    /// What is shown in the cells of a heatmap.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(in crate::web) enum HeatmapMetric {
        /// The sum of amounts.
        Amount = "amount",
        /// How many payments.
        #[default]
        Count = "count",
        /// Successful payments of all, in percent.
        Conversion = "conversion",
    }
}

impl HeatmapMetric {
    /// What a cell shows, and by what it is larger or smaller than others; a rate of nothing is none.
    fn of(self, tally: &Tally, whole: &Tally) -> Option<(Decimal, Figure)> {
        match self {
            Self::Amount => {
                let amount = tally.comparable_amount(whole);
                Some((amount, Figure::Money(Money(amount))))
            }
            Self::Count => Some((tally.count().into(), Figure::Count(tally.count()))),
            Self::Conversion => {
                let rate = tally.conversion_rate()?;
                Some((Decimal::try_from(rate).ok()?, Figure::Rate(rate)))
            }
        }
    }
}

request_fields! {
    /// Which map is drawn.
    struct HeatmapQuery {
        /// What its sides are; `hour_day` where nothing is said.
        dimension: Option<HeatmapDimension>,
        /// What its cells show; `count` where nothing is said.
        metric: Option<HeatmapMetric>,
    }
}

/// A cell.
#[derive(Debug, Clone, Object)]
struct HeatmapCell {
    /// Its place among `x_labels`, from 0.
    x: usize,
    /// Its place among `y_labels`, from 0.
    y: usize,
    /// An amount as text, else a number; null where it is a conversion and there are no payments.
    value: Option<Figure>,
    /// How many payments.
    count: i64,
}

/// Payments on a map.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsHeatmap", example)]
struct Heatmap {
    /// The days it is about.
    period: Period,
    /// What its sides are.
    dimension: HeatmapDimension,
    /// What its cells show.
    metric: HeatmapMetric,
    /// The currency of amounts: that of all payments, or US dollars where they have several; null where no amounts are shown,
    /// or there are no payments.
    currency: Option<String>,
    /// Whether the amounts are in US dollars because payments have several currencies.
    is_converted: bool,
    /// What the columns are.
    x_labels: Vec<String>,
    /// What the rows are.
    y_labels: Vec<String>,
    /// Every cell, row by row.
    cells: Vec<HeatmapCell>,
    /// The smallest value; null where there is none.
    min_value: Option<Figure>,
    /// The largest value; null where there is none.
    max_value: Option<Figure>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

/// The rows of a map.
enum Rows {
    /// The weekdays, each a day's hours of keys.
    Weekdays,
    /// These merchants.
    Merchants(Vec<String>),
}

impl Rows {
    fn labels(&self) -> Vec<String> {
        match self {
            Self::Weekdays => WEEKDAYS.map(str::to_owned).to_vec(),
            Self::Merchants(merchants) => merchants.clone(),
        }
    }

    /// The row and the column of a sum.
    fn place(&self, sum: &MetricRow) -> Option<(usize, usize)> {
        let slot = usize::try_from(sum.bucket).ok()?;
        match self {
            Self::Weekdays => {
                let hours = usize::try_from(HOURS).ok()?;
                Some((slot / hours, slot % hours))
            }
            Self::Merchants(merchants) => Some((merchants.iter().position(|id| *id == sum.member)?, slot)),
        }
    }
}

impl Heatmap {
    fn of(
        period: Period,
        (dimension, metric): (HeatmapDimension, HeatmapMetric),
        rows: &Rows,
        answer: &MetricsAnswer,
    ) -> Self {
        let whole = Tally::of(&*answer.rows);
        let tallies = Tally::by(&*answer.rows, |sum| rows.place(sum));
        let (x_labels, y_labels) = (dimension.columns(), rows.labels());
        let (empty, mut values) = (Tally::default(), BTreeMap::new());
        let mut cells = vec![];
        for (y, x) in (0..y_labels.len()).flat_map(|y| (0..x_labels.len()).map(move |x| (y, x))) {
            let tally = tallies.get(&Some((y, x))).unwrap_or(&empty);
            let shown = metric.of(tally, &whole);
            cells.push(HeatmapCell { x, y, value: shown.map(|(_, value)| value), count: tally.count() });
            values.extend(shown);
        }
        let is_converted = metric == HeatmapMetric::Amount && !whole.is_in_one_currency();
        let currency = if is_converted { Some("USD".to_owned()) } else { whole.currency() };
        Self {
            period,
            dimension,
            metric,
            currency: currency.filter(|_| metric == HeatmapMetric::Amount),
            is_converted,
            x_labels,
            y_labels,
            cells,
            min_value: values.first_key_value().map(|(_, value)| *value),
            max_value: values.last_key_value().map(|(_, value)| *value),
            data_as_of: answer.as_of.into(),
        }
    }
}

/// The merchants with the most payments, the most first.
fn busiest(sums: &[MetricRow]) -> Vec<String> {
    let named = sums.iter().filter(|sum| !sum.member.is_empty());
    let mut merchants: Vec<(&str, Tally)> = Tally::by(named, |sum| sum.member.as_str()).into_iter().collect();
    merchants.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.count()));
    merchants.into_iter().take(MOST_MERCHANTS).map(|(id, _)| id.to_owned()).collect()
}

/// Asks for the sums of a map: of merchants first which ones, then for those alone.
async fn ask(
    state: &State,
    filter: MetricFilter,
    days: DayRange,
    (dimension, metric): (HeatmapDimension, HeatmapMetric),
) -> Result<(Rows, MetricsAnswer), Problem> {
    let question = |filter, slots| {
        let question = MetricQuery::new(filter, slots);
        if metric == HeatmapMetric::Amount { question } else { question.counts() }
    };
    let slots = dimension.slots(days);
    if dimension == HeatmapDimension::HourDay {
        return Ok((Rows::Weekdays, state.metrics.query(&question(filter, slots)).await?));
    }
    let whole = MetricQuery::new(filter.clone(), TimeBuckets::one(days.time_range())).by(Dimension::Merchant).counts();
    let answer = state.metrics.query(&whole).await?;
    let merchants = busiest(&answer.rows);
    if merchants.is_empty() {
        // To ask for no merchant would be to ask for all of them.
        return Ok((Rows::Merchants(merchants), MetricsAnswer { rows: [].into(), ..answer }));
    }
    let filter = MetricFilter { merchant_ids: merchants.clone(), ..filter };
    let answer = state.metrics.query(&question(filter, slots).by(Dimension::Merchant)).await?;
    Ok((Rows::Merchants(merchants), answer))
}

/// The endpoint.
pub(in crate::web) struct HeatmapApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl HeatmapApi {
    /// Draw a heatmap
    ///
    /// Of hours and weekdays, or of the 20 merchants with the most payments by hour or by weekday, by the clocks and the calendar
    /// of the zone. Every cell is there, with zeros where there is nothing. Amounts of several currencies are shown in US
    /// dollars, and `is_converted` says so.
    #[oai(path = "/metrics/heatmap", method = "get", operation_id = "getMetricsHeatmap")]
    async fn heatmap(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
        heatmap: Query<HeatmapQuery>,
    ) -> Result<Json<Heatmap>, Fails> {
        let (dimension, metric) = (heatmap.0.dimension.unwrap_or_default(), heatmap.0.metric.unwrap_or_default());
        let days = query.0.days(&state)?;
        let (rows, answer) = ask(&state, query.0.filter(), days, (dimension, metric)).await?;
        Ok(Json(Heatmap::of(days.into(), (dimension, metric), &rows, &answer)))
    }
}

fn example_answer(sums: &[MetricRow]) -> MetricsAnswer {
    MetricsAnswer { rows: sums.into(), data_version: DataVersion::default(), as_of: [Some(EXAMPLE_TIME); 2] }
}

impl Example for Heatmap {
    fn example() -> Self {
        let sum = MetricRow { member: "merchant-7".to_owned(), bucket: 1, ..MetricRow::example() };
        let asked = (HeatmapDimension::MerchantDay, HeatmapMetric::Amount);
        let rows = Rows::Merchants(vec![sum.member.clone()]);
        Self::of(Period::example(), asked, &rows, &example_answer(&[sum]))
    }
}

named_enum!(HeatmapDimension, "HeatmapDimension", HeatmapDimension::ALL, "The axes of a heatmap.");
named_enum!(HeatmapMetric, "HeatmapMetric", HeatmapMetric::ALL, "The values of a heatmap.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::Status;

    fn sum(slot: i32, member: &str, status: Status, count: i64) -> MetricRow {
        let mut sum = MetricRow { bucket: slot, member: member.to_owned(), status, ..MetricRow::example() };
        (sum.measures.count, sum.measures.amount) = (count, (count * 10).into());
        sum
    }

    fn map(metric: HeatmapMetric, sums: &[MetricRow]) -> Heatmap {
        let asked = (HeatmapDimension::HourDay, metric);
        Heatmap::of(Period::example(), asked, &Rows::Weekdays, &example_answer(sums))
    }

    fn value(map: &Heatmap, x: usize, y: usize) -> Option<Figure> {
        map.cells.iter().find(|cell| (cell.x, cell.y) == (x, y)).expect("every cell").value
    }

    #[test]
    fn every_hour_of_the_week_has_a_cell() {
        // Tuesday at three.
        let sums = [sum(27, "", Status::Success, 3), sum(27, "", Status::Failed, 1)];
        let counts = map(HeatmapMetric::Count, &sums);
        assert_eq!(
            (counts.cells.len(), value(&counts, 3, 1), value(&counts, 4, 1)),
            (168, Some(Figure::Count(4)), Some(Figure::Count(0)))
        );
        assert_eq!((counts.min_value, counts.max_value), (Some(Figure::Count(0)), Some(Figure::Count(4))));
        assert_eq!((counts.currency.as_deref(), counts.is_converted), (None, false));
        let rates = map(HeatmapMetric::Conversion, &sums);
        assert_eq!((value(&rates, 3, 1), value(&rates, 4, 1)), (Some(Figure::Rate(75.0)), None));
        assert_eq!((rates.min_value, rates.max_value), (Some(Figure::Rate(75.0)), Some(Figure::Rate(75.0))));
    }

    #[test]
    fn amounts_of_several_currencies_are_dollars_and_said_to_be() {
        let mut sums = [sum(0, "", Status::Success, 3), sum(1, "", Status::Success, 1)];
        let amounts = map(HeatmapMetric::Amount, &sums);
        assert_eq!(
            (value(&amounts, 0, 0), amounts.currency.as_deref()),
            (Some(Figure::Money(Money(30.into()))), Some("INR"))
        );
        sums[1].currency = "EUR".to_owned();
        sums[1].measures.amount_usd = 11.into();
        let amounts = map(HeatmapMetric::Amount, &sums);
        assert_eq!(
            (value(&amounts, 1, 0), amounts.currency.as_deref()),
            (Some(Figure::Money(Money(11.into()))), Some("USD"))
        );
        assert!(amounts.is_converted);
    }

    #[test]
    fn the_busiest_merchants_have_rows() {
        let sums: Vec<MetricRow> = (1..=25).map(|id| sum(0, &format!("m{id}"), Status::Failed, id)).collect();
        let mut sums = [sums, vec![sum(0, "", Status::Success, 1_000)]].concat();
        let merchants = busiest(&sums);
        assert_eq!((merchants.len(), &*merchants[0], &*merchants[19]), (20, "m25", "m6"));
        sums.retain(|sum| merchants.contains(&sum.member));
        let asked = (HeatmapDimension::MerchantHour, HeatmapMetric::Count);
        let map = Heatmap::of(Period::example(), asked, &Rows::Merchants(merchants), &example_answer(&sums));
        assert_eq!((map.cells.len(), value(&map, 0, 19)), (480, Some(Figure::Count(6))));
        let nobody = Heatmap::of(Period::example(), asked, &Rows::Merchants(vec![]), &example_answer(&[]));
        assert_eq!((nobody.cells.len(), nobody.max_value), (0, None));
    }
}
