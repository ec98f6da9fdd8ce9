//! The heatmap: transactions by hour, weekday or merchant.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::heatmap_axes::{HeatmapDimension, HeatmapMetric, HeatmapRows, busiest_merchants};
use super::tally::Tally;
use super::{DataAsOf, Period};
use crate::db::metrics::data_version::DataVersion;
use crate::domain::day::DayRange;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::operations::metrics_cache::MetricsAnswer;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::Figure;
use crate::web::state::State;

request_fields! {
/// Which heatmap to return.
struct HeatmapQuery {
    /// The columns and rows of the heatmap: hours by weekday, hours by merchant, or weekdays by merchant. Default: `hour_day`.
    dimension: Option<HeatmapDimension>,
    /// The value of the cells; default `count`.
    metric: Option<HeatmapMetric>,
}
}

/// A cell of a heatmap.
#[derive(Debug, Clone, Object)]
struct HeatmapCell {
    /// The index of the column in `x_labels`, from 0.
    x: usize,
    /// The index of the row in `y_labels`, from 0.
    y: usize,
    /// The label of the column.
    x_label: String,
    /// The label of the row.
    y_label: String,
    /// An amount (decimal string), a count, or a conversion rate in percent; null for the conversion rate of no transactions.
    value: Option<Figure>,
    /// Number of transactions.
    count: i64,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

/// Transactions as a heatmap.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsHeatmap {
    /// The days covered.
    period: Period,
    /// The columns and rows.
    dimension: HeatmapDimension,
    /// The value of the cells.
    metric: HeatmapMetric,
    /// The currency of the amounts: that of all transactions, or USD if they have several. Null if the cells are not amounts,
    /// or if there are no transactions.
    currency: Option<String>,
    /// Whether the amounts are in US dollars because the transactions have several currencies.
    is_converted: bool,
    /// The labels of the columns.
    x_labels: Vec<String>,
    /// The labels of the rows.
    y_labels: Vec<String>,
    /// Every cell, row by row.
    cells: Vec<HeatmapCell>,
    /// The smallest value; null if no cell has a value.
    min_value: Option<Figure>,
    /// The largest value; null if no cell has a value.
    max_value: Option<Figure>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsHeatmap {
    fn new(
        period: Period,
        (dimension, metric): (HeatmapDimension, HeatmapMetric),
        rows: &HeatmapRows,
        answer: &MetricsAnswer,
        context: &AnswerContext,
    ) -> Self {
        let whole = Tally::from_rows(&*answer.rows);
        let tallies = Tally::by_key(&*answer.rows, |row| rows.cell_of(row));
        let (x_labels, y_labels) = (dimension.columns(), rows.labels());
        let links: Vec<RowsLink> = (0..y_labels.len()).map(|y| rows.link(&context.link, y)).collect();
        let (empty, mut values) = (Tally::default(), BTreeMap::new());
        let mut cells = vec![];
        for (y, x) in (0..y_labels.len()).flat_map(|y| (0..x_labels.len()).map(move |x| (y, x))) {
            let tally = tallies.get(&Some((y, x))).unwrap_or(&empty);
            let value = metric.value(tally, &whole);
            let count = tally.count();
            cells.push(HeatmapCell {
                x,
                y,
                x_label: x_labels[x].clone(),
                y_label: y_labels[y].clone(),
                value: value.map(|(_, value)| value),
                count,
                rows_url: links[y].with(dimension.column_parameter(), &x.to_string()).to(count),
            });
            values.extend(value);
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
            summary: context.summary_of(&whole),
        }
    }
}

/// For a heatmap by merchant: first finds the busiest merchants, then queries the cells of those alone.
async fn query_cells(
    state: &State,
    caller: &Caller,
    query: &MetricsQuery,
    days: DayRange,
    (dimension, metric): (HeatmapDimension, HeatmapMetric),
) -> Result<(HeatmapRows, MetricsAnswer, AnswerContext), Problem> {
    let time = CountedTime::Days(days);
    let cells = |filter| {
        let query = MetricQuery::new(filter, dimension.buckets(days));
        if metric == HeatmapMetric::Amount { query } else { query.counts() }
    };
    if dimension == HeatmapDimension::HourDay {
        let (answer, context) = answer(state, caller, query, time, cells).await?;
        return Ok((HeatmapRows::Weekdays, answer, context));
    }
    let merchants =
        |filter| MetricQuery::new(filter, TimeBuckets::one(days.time_range())).by(Dimension::Merchant).counts();
    let (all, context) = answer(state, caller, query, time, merchants).await?;
    let merchants = busiest_merchants(&all.rows);
    if merchants.is_empty() {
        // A filter without merchants would match all of them.
        return Ok((HeatmapRows::Merchants(merchants), MetricsAnswer { rows: [].into(), ..all }, context));
    }
    let of_merchants =
        |filter| cells(MetricFilter { merchant_ids: merchants.clone(), ..filter }).by(Dimension::Merchant);
    let (answer, mut context) = answer(state, caller, query, time, of_merchants).await?;
    context.link = context.link.with_any("merchant_id", &merchants);
    Ok((HeatmapRows::Merchants(merchants), answer, context))
}

pub(in crate::web) struct HeatmapApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl HeatmapApi {
    /// Get heatmap
    ///
    /// Transactions by hour and weekday, or by hour or weekday of the 20 merchants with the most transactions, in the time zone.
    /// Cells without transactions are included. Amounts of several currencies are converted to US dollars, and `is_converted`
    /// is then true.
    #[oai(path = "/metrics/heatmap", method = "get", operation_id = "getMetricsHeatmap")]
    async fn heatmap(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        heatmap: Query<HeatmapQuery>,
    ) -> Result<Json<MetricsHeatmap>, Fails> {
        let axes = (heatmap.0.dimension.unwrap_or_default(), heatmap.0.metric.unwrap_or_default());
        let days = query.0.days(&state)?;
        let (rows, answer, context) = query_cells(&state, &caller, &query.0, days, axes).await?;
        Ok(Json(MetricsHeatmap::new(days.into(), axes, &rows, &answer, &context)))
    }
}

fn example_answer(rows: &[MetricRow]) -> MetricsAnswer {
    MetricsAnswer { rows: rows.into(), data_version: DataVersion::default(), as_of: [Some(EXAMPLE_TIME); 2] }
}

impl Example for MetricsHeatmap {
    fn example() -> Self {
        let row = MetricRow { member: "merchant-7".to_owned(), bucket: 1, ..MetricRow::example() };
        let axes = (HeatmapDimension::MerchantDay, HeatmapMetric::Amount);
        let rows = HeatmapRows::Merchants(vec![row.member.clone()]);
        Self::new(Period::example(), axes, &rows, &example_answer(&[row]), &AnswerContext::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::Status;
    use crate::web::http::schema::{Money, Usd};

    fn row(bucket: i32, member: &str, status: Status, count: i64) -> MetricRow {
        let mut row = MetricRow { bucket, member: member.to_owned(), status, ..MetricRow::example() };
        (row.measures.count, row.measures.amount) = (count, (count * 10).into());
        row
    }

    fn heatmap(metric: HeatmapMetric, rows: &[MetricRow]) -> MetricsHeatmap {
        let axes = (HeatmapDimension::HourDay, metric);
        MetricsHeatmap::new(
            Period::example(),
            axes,
            &HeatmapRows::Weekdays,
            &example_answer(rows),
            &AnswerContext::example(),
        )
    }

    fn value(heatmap: &MetricsHeatmap, x: usize, y: usize) -> Option<Figure> {
        heatmap.cells.iter().find(|cell| (cell.x, cell.y) == (x, y)).expect("every cell").value
    }

    #[test]
    fn every_hour_of_the_week_has_a_cell() {
        // Tuesday, 3:00.
        let rows = [row(27, "", Status::Success, 3), row(27, "", Status::Failed, 1)];
        let counts = heatmap(HeatmapMetric::Count, &rows);
        assert_eq!(
            (counts.cells.len(), value(&counts, 3, 1), value(&counts, 4, 1)),
            (168, Some(Figure::Count(4)), Some(Figure::Count(0)))
        );
        assert_eq!((counts.min_value, counts.max_value), (Some(Figure::Count(0)), Some(Figure::Count(4))));
        assert_eq!((counts.currency.as_deref(), counts.is_converted), (None, false));
        let rates = heatmap(HeatmapMetric::Conversion, &rows);
        assert_eq!((value(&rates, 3, 1), value(&rates, 4, 1)), (Some(Figure::Rate(75.0)), None));
        assert_eq!((rates.min_value, rates.max_value), (Some(Figure::Rate(75.0)), Some(Figure::Rate(75.0))));
    }

    #[test]
    fn amounts_of_several_currencies_are_converted_to_dollars() {
        let mut rows = [row(0, "", Status::Success, 3), row(1, "", Status::Success, 1)];
        let amounts = heatmap(HeatmapMetric::Amount, &rows);
        assert_eq!(
            (value(&amounts, 0, 0), amounts.currency.as_deref()),
            (Some(Figure::Money(Money(30.into()))), Some("INR"))
        );
        rows[1].currency = "EUR".to_owned();
        rows[1].measures.amount_usd = 11.into();
        let amounts = heatmap(HeatmapMetric::Amount, &rows);
        assert_eq!(
            (value(&amounts, 1, 0), amounts.currency.as_deref()),
            (Some(Figure::Usd(Usd(11.into()))), Some("USD"))
        );
        assert!(amounts.is_converted);
    }

    #[test]
    fn busiest_merchants_have_rows() {
        let rows: Vec<MetricRow> = (1..=25).map(|id| row(0, &format!("m{id}"), Status::Failed, id)).collect();
        let mut rows = [rows, vec![row(0, "", Status::Success, 1_000)]].concat();
        let merchants = busiest_merchants(&rows);
        assert_eq!((merchants.len(), &*merchants[0], &*merchants[19]), (20, "m25", "m6"));
        rows.retain(|row| merchants.contains(&row.member));
        let axes = (HeatmapDimension::MerchantHour, HeatmapMetric::Count);
        let by_merchant = |merchants, rows: &[MetricRow]| {
            let (rows, answer) = (HeatmapRows::Merchants(merchants), example_answer(rows));
            MetricsHeatmap::new(Period::example(), axes, &rows, &answer, &AnswerContext::example())
        };
        let busiest = by_merchant(merchants, &rows);
        assert_eq!((busiest.cells.len(), value(&busiest, 0, 19)), (480, Some(Figure::Count(6))));
        let empty = by_merchant(vec![], &[]);
        assert_eq!((empty.cells.len(), empty.max_value), (0, None));
    }
}
