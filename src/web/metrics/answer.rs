//! What all answers of the metrics have in common, whatever they are grouped by: how payments were counted, which of them Vima
//! does not have, the sums by currency, and the link to the counted rows.

use poem_openapi::Object;
use poem_openapi::types::{Example, ToJSON};

use super::currency_metrics::CurrencyMetrics;
use super::tally::Tally;
use crate::domain::day::DayRange;
use crate::domain::metrics::counting::Counting;
use crate::domain::metrics::query::{Depth, MetricFilter, MetricQuery, MetricRow};
use crate::operations::metrics_cache::{CurrentMetrics, MetricsAnswer};
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_TIME};
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Money, Usd};
use crate::web::state::State;

/// PayShack's pay-ins of reconciled projects that Vima does not have, according to the last completed reconciliation of their
/// day. They are not counted.
#[derive(Debug, Clone, Object)]
struct NotInVima {
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in `currency`; null if they have several currencies.
    amount: Option<Money>,
    /// The currency of the transactions; null if they have several, or if there are none.
    currency: Option<String>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Usd,
}

impl NotInVima {
    fn new(rows: &[MetricRow]) -> Self {
        let tally = Tally::from_rows(rows);
        let total = tally.total();
        Self {
            count: total.count,
            amount: tally.money(total.amount),
            currency: tally.currency(),
            amount_usd: Usd(total.amount_usd),
        }
    }
}

/// How the transactions of an answer were counted, for answers that already have the sums of all of them.
#[derive(Debug, Clone, Object)]
pub(super) struct CountedAs {
    /// What was counted: stored records, or payments.
    counted: Counting,
    /// PayShack's pay-ins that Vima does not have, which are not counted; null if records were counted.
    not_in_vima: Option<NotInVima>,
}

/// What an answer says about all of its transactions.
#[derive(Debug, Clone, Object)]
pub(super) struct AnswerSummary {
    /// What was counted: stored records, or payments.
    counted: Counting,
    /// PayShack's pay-ins that Vima does not have, which are not counted; null if records were counted.
    not_in_vima: Option<NotInVima>,
    /// The sums by currency.
    by_currency: Vec<CurrencyMetrics>,
    /// The path and query of the list of the counted transactions; null if there are none.
    rows_url: Option<String>,
}

/// What is known of an answer besides its rows.
#[derive(Debug, Clone)]
pub(super) struct AnswerContext {
    counted: Counting,
    not_in_vima: Option<NotInVima>,
    depth: Depth,
    /// To all transactions of the answer.
    pub(super) link: RowsLink,
}

impl AnswerContext {
    /// The summary of `rows`, which are all rows of the answer.
    pub(super) fn summary<'rows>(&self, rows: impl IntoIterator<Item = &'rows MetricRow>) -> AnswerSummary {
        self.summary_of(&Tally::from_rows(rows))
    }

    /// The same for rows that have been added up.
    pub(super) fn summary_of(&self, tally: &Tally) -> AnswerSummary {
        AnswerSummary {
            counted: self.counted,
            not_in_vima: self.not_in_vima.clone(),
            by_currency: CurrencyMetrics::list(tally, self.depth),
            rows_url: self.link.to(tally.count()),
        }
    }

    pub(super) fn counted_as(&self) -> CountedAs {
        CountedAs { counted: self.counted, not_in_vima: self.not_in_vima.clone() }
    }

    /// What the answer contains that changes although no transaction of it does.
    pub(super) fn version(&self) -> Option<String> {
        self.not_in_vima.as_ref().map(ToJSON::to_json_string)
    }
}

impl Example for AnswerContext {
    fn example() -> Self {
        let zone = chrono_tz::Asia::Kolkata;
        let time = CountedTime::Days(DayRange::single(EXAMPLE_DAY, zone));
        let link = RowsLink::new([("count", vec!["payments".to_owned()])], (time, zone), EXAMPLE_TIME);
        let missing = NotInVima {
            count: 3,
            amount: Some(Money(2_400.into())),
            currency: Some("INR".to_owned()),
            amount_usd: Usd(rust_decimal::Decimal::new(2_880, 2)),
        };
        Self { counted: Counting::Payments, not_in_vima: Some(missing), depth: Depth::Amounts, link }
    }
}

/// Answers the query that `metric_query` makes of the filter of a request. `time` is that of the rows that the summary adds up.
pub(super) async fn answer(
    state: &State,
    caller: &Caller,
    query: &MetricsQuery,
    time: CountedTime,
    metric_query: impl FnOnce(MetricFilter) -> MetricQuery,
) -> Result<(MetricsAnswer, AnswerContext), Problem> {
    let metric_query = metric_query(query.filter(state.reconciled_projects(), caller)?);
    let metrics = state.metrics.current().await?;
    let rows = async { Ok::<_, Problem>(metrics.query(&metric_query).await?) };
    tokio::try_join!(rows, context(state, caller, (&metrics, query), time, metric_query.depth))
}

/// What is known of an answer besides its rows, for those that come from elsewhere. `depth` is that of their sums.
pub(super) async fn context(
    state: &State,
    caller: &Caller,
    (metrics, query): (&CurrentMetrics<'_>, &MetricsQuery),
    time: CountedTime,
    depth: Depth,
) -> Result<AnswerContext, Problem> {
    let counted = query.counting();
    let payins = match counted {
        Counting::Records => None,
        Counting::Payments => Some(query.records(caller)?.payshack_payins(state.reconciled_projects())),
    };
    let not_in_vima = match payins {
        None => None,
        Some(None) => Some(NotInVima::new(&[])),
        Some(Some(payins)) => Some(NotInVima::new(&metrics.not_in_vima(payins, time.time_range()).await?)),
    };
    Ok(AnswerContext { counted, not_in_vima, depth, link: query.rows_link(state, time) })
}
