//! Metrics by what the providers call the statuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary, context};
use super::currency_metrics::CurrencyMetrics;
use super::failures::MAX_DAYS;
use super::shown_status::ShownStatus;
use super::tally::Tally;
use super::{DataAsOf, Period, check_length};
use crate::db::metrics::original_statuses::{OriginalStatusRow, list};
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::query::{Depth, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::percent;
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::CountedTime;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::response_cache::{CacheVersion, CachedJson};
use crate::web::http::schema::{Money, Usd};
use crate::web::state::State;

/// The transactions of a source with the same status of the provider.
#[derive(Debug, Clone, Object)]
struct OriginalStatusMetrics {
    /// The provider.
    source: Source,
    /// The status as the provider names it; null if it does not report one.
    original_status: Option<String>,
    /// The status that it means here.
    status: Status,
    /// Number of transactions.
    count: i64,
    /// These transactions in percent of all.
    percentage_of_total: Option<f64>,
    /// These transactions in percent of those with the same `status`.
    percentage_of_status: Option<f64>,
    /// The currency of `amount`; null if the transactions have several.
    currency: Option<String>,
    /// Sum of the amounts, in `currency`.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Usd,
    /// Number of transactions without an exchange rate.
    usd_missing_count: i64,
    /// The sums by currency.
    by_currency: Vec<CurrencyMetrics>,
    /// The path and query of the list of these transactions; null for a viewer if personal data is masked in the name.
    rows_url: Option<String>,
}

/// The rows of one item of the response, which differ in their currency, or in what is masked.
#[derive(Default)]
struct Sums {
    tally: Tally,
    has_masked_name: bool,
}

/// Metrics by the providers' statuses.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsByOriginalStatus {
    /// The days covered.
    period: Period,
    /// Number of transactions.
    total_count: i64,
    /// The statuses of the providers, the most frequent first.
    statuses: Vec<OriginalStatusMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsByOriginalStatus {
    fn new(
        period: Period,
        (rows, pii_access): (&[OriginalStatusRow], PiiAccess),
        data_as_of: DataAsOf,
        context: &AnswerContext,
    ) -> Self {
        let mut items: BTreeMap<(Source, Option<String>, Status), Sums> = BTreeMap::new();
        let mut of_status: BTreeMap<Status, i64> = BTreeMap::new();
        let mut whole = Tally::default();
        for row in rows {
            let metric_row = MetricRow {
                bucket: 0,
                source: Some(row.source),
                member: String::new(),
                status: row.status,
                currency: row.currency.clone(),
                measures: row.measures,
            };
            let tally = Tally::from_rows([&metric_row]);
            whole.merge(&tally);
            let ShownStatus { name, is_masked } = ShownStatus::new(row.original_status.as_deref(), pii_access);
            let sums = items.entry((row.source, name, row.status)).or_default();
            sums.tally.merge(&tally);
            sums.has_masked_name |= is_masked;
            *of_status.entry(row.status).or_default() += row.measures.count;
        }
        let total_count: i64 = of_status.values().sum();
        let mut statuses: Vec<OriginalStatusMetrics> = items
            .into_iter()
            .map(|((source, original_status, status), Sums { tally, has_masked_name })| {
                let total = tally.total();
                let same_status = of_status.get(&status).copied().unwrap_or_default();
                let link = context.link.with("source", source.as_str()).with("status", status.as_str());
                let link = link.with_member("original_status", original_status.as_deref().unwrap_or_default());
                OriginalStatusMetrics {
                    source,
                    original_status,
                    status,
                    count: total.count,
                    percentage_of_total: percent(total.count.into(), total_count.into()),
                    percentage_of_status: percent(total.count.into(), same_status.into()),
                    currency: tally.currency(),
                    amount: tally.money(total.amount),
                    amount_usd: Usd(total.amount_usd),
                    usd_missing_count: total.usd_missing,
                    by_currency: CurrencyMetrics::list(&tally, Depth::Amounts),
                    rows_url: link.to(total.count).filter(|_| !has_masked_name),
                }
            })
            .collect();
        statuses.sort_by_key(|item| std::cmp::Reverse(item.count));
        Self { period, total_count, statuses, data_as_of, summary: context.summary_of(&whole) }
    }
}

pub(in crate::web) struct OriginalStatusesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl OriginalStatusesApi {
    /// Get metrics by original status
    ///
    /// Counts and amounts by what the providers call the statuses, with the status that each means here, the most frequent first.
    /// At most 31 days.
    #[oai(path = "/metrics/by-original-status", method = "get", operation_id = "getMetricsByOriginalStatus")]
    async fn by_original_status(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<CachedJson<MetricsByOriginalStatus>, Fails> {
        let days = query.0.days(&state)?;
        check_length(days, MAX_DAYS)?;
        let filter = query.0.filter(state.reconciled_projects(), &caller)?;
        let metrics = state.metrics.current().await?;
        let range = days.time_range();
        let payments = MetricQuery::new(filter.clone(), TimeBuckets::one(range));
        let data_version = metrics.data_version(&payments);
        let context = context(&state, &caller, (&metrics, &query.0), CountedTime::Days(days), Depth::Amounts).await?;
        let version = CacheVersion::of_period(data_version, metrics.as_of(), days, range.until).with(context.version());
        // On the heap, because the future of every request would otherwise contain it.
        let response = Box::pin(async {
            let filter = &filter;
            let rows = metrics.read(&payments, |pool| async move { list(&pool, filter, range).await }).await?;
            let shown = (&rows[..], caller.pii_access());
            Ok(MetricsByOriginalStatus::new(days.into(), shown, metrics.as_of().into(), &context))
        });
        state.responses.get_or_insert((request.uri(), &caller.0), version, response).await
    }
}

impl Example for MetricsByOriginalStatus {
    fn example() -> Self {
        let row = |original_status: &str, status| OriginalStatusRow {
            source: Source::Vima,
            original_status: Some(original_status.to_owned()),
            status,
            currency: "INR".to_owned(),
            measures: MetricRow::example().measures,
        };
        let rows = [row("success", Status::Success), row("user_input_required", Status::Pending)];
        Self::new(Period::example(), (&rows, PiiAccess::Full), DataAsOf::example(), &AnswerContext::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metrics::cell::Measures;

    fn row(source: Source, original: Option<&str>, status: Status, currency: &str, count: i64) -> OriginalStatusRow {
        OriginalStatusRow {
            source,
            original_status: original.map(str::to_owned),
            status,
            currency: currency.to_owned(),
            measures: Measures { count, amount: (count * 10).into(), ..Measures::default() },
        }
    }

    fn response(rows: &[OriginalStatusRow], pii_access: PiiAccess) -> MetricsByOriginalStatus {
        let context = AnswerContext::example();
        MetricsByOriginalStatus::new(Period::example(), (rows, pii_access), DataAsOf::example(), &context)
    }

    #[test]
    fn statuses_have_their_share_and_no_sum_of_several_currencies() {
        let rows = [
            row(Source::Vima, Some("fail"), Status::Failed, "INR", 1),
            row(Source::Vima, Some("fail"), Status::Failed, "EUR", 2),
            row(Source::Payshack, Some("Tampered"), Status::Failed, "INR", 1),
            row(Source::Vima, None, Status::Unknown, "INR", 4),
        ];
        let response = response(&rows, PiiAccess::Full);
        let shown: Vec<_> = response
            .statuses
            .iter()
            .map(|item| {
                (item.original_status.as_deref(), item.count, item.percentage_of_total, item.percentage_of_status)
            })
            .collect();
        assert_eq!(
            shown,
            [
                (None, 4, Some(50.0), Some(100.0)),
                (Some("fail"), 3, Some(37.5), Some(75.0)),
                (Some("Tampered"), 1, Some(12.5), Some(25.0))
            ]
        );
        assert_eq!((response.statuses[1].amount, response.statuses[1].currency.as_deref()), (None, None));
        assert_eq!(response.statuses[2].amount, Some(Money(10.into())));
    }

    #[test]
    fn masked_statuses_have_no_link_and_are_added_up() {
        let rows = ["blocked 9198765432", "blocked 9198765433", "fail"]
            .map(|name| row(Source::Vima, Some(name), Status::Failed, "INR", 1));
        let shown = |pii_access| -> Vec<(Option<String>, i64, bool)> {
            let statuses = response(&rows, pii_access).statuses.into_iter();
            statuses.map(|item| (item.original_status, item.count, item.rows_url.is_some())).collect()
        };
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(
            shown(PiiAccess::Full),
            [(name("blocked 9198765432"), 1, true), (name("blocked 9198765433"), 1, true), (name("fail"), 1, true)]
        );
        assert_eq!(shown(PiiAccess::Masked), [(name("blocked ***"), 2, false), (name("fail"), 1, true)]);
    }
}
