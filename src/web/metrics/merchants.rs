//! Metrics by merchant, in pages.

use std::collections::HashMap;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::group_metrics::GroupMetrics;
use super::merchant_list::{Merchant, MerchantsQuery, Position};
use super::tally::{Tally, non_empty};
use super::{DataAsOf, Period};
use crate::db::count::Count;
use crate::db::metrics::merchants::{MerchantTimes, list_times};
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::CountedTime;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::state::State;

/// The metrics of a merchant.
#[derive(Debug, Clone, Object)]
struct MerchantMetrics {
    /// The merchant's account; null if the provider does not report it.
    merchant_id: Option<String>,
    /// The project of the merchant's last transaction of the period; null if the provider does not report it.
    project: Option<String>,
    #[oai(flatten)]
    metrics: GroupMetrics,
    /// When the merchant's first transaction of the period was created.
    first_txn_at: Option<Time>,
    /// When the merchant's last transaction of the period was created.
    last_txn_at: Option<Time>,
}

impl MerchantMetrics {
    fn new(id: &str, tally: &Tally, times: Option<&MerchantTimes>, context: &AnswerContext) -> Self {
        Self {
            merchant_id: non_empty(id),
            project: times.and_then(|times| times.last_project.clone()),
            metrics: GroupMetrics::new(tally, &context.link.with_member("merchant_id", id)),
            first_txn_at: times.map(|times| Time(times.first_at)),
            last_txn_at: times.map(|times| Time(times.last_at)),
        }
    }
}

/// A page of merchants.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsByMerchant {
    /// The days covered.
    period: Period,
    #[oai(flatten)]
    page: Page<MerchantMetrics>,
    /// The same as `items`.
    merchants: Vec<MerchantMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

pub(in crate::web) struct MerchantsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl MerchantsApi {
    /// Get metrics by merchant
    ///
    /// Counts and amounts by merchant, in pages; by default the largest amount first, by amount in US dollars if the
    /// transactions of all merchants together have several currencies. The list cannot be sorted by the times of the first and
    /// the last transaction.
    #[oai(path = "/metrics/by-merchant", method = "get", operation_id = "getMetricsByMerchant")]
    async fn by_merchant(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        merchants: Query<MerchantsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<MetricsByMerchant>, Fails> {
        let (sort_by, order) = (merchants.0.sort_by.unwrap_or_default(), merchants.0.order.unwrap_or_default());
        let listing = caller.listing(&format!("merchants {} {}", sort_by.as_str(), order.as_str()));
        let window: Window<Position> = state.cursors.window(&listing, &page.0)?;
        let (days, filter) = (query.0.days(&state)?, query.0.filter(state.reconciled_projects(), &caller)?);
        let by_merchant =
            |filter| MetricQuery::new(filter, TimeBuckets::one(days.time_range())).by(Dimension::Merchant);
        let (answer, context) = answer(&state, &caller, &query.0, CountedTime::Days(days), by_merchant).await?;
        let found = merchants.0.list(&answer.rows);
        let count = Count { total: found.len() as u64, exact: true };
        let summary = context.summary(&*answer.rows);
        let shown = merchants.0.page(found, &window);
        let ids: Vec<String> =
            shown.iter().take(window.limit as usize).map(|merchant| merchant.position.1.clone()).collect();
        let times = list_times(&state.pool, &ids, &filter, days.time_range()).await?;
        let times: HashMap<&str, &MerchantTimes> = times.iter().map(|times| (&*times.merchant_id, times)).collect();
        let page = state.cursors.page(&listing, &window, count, shown, |merchant| merchant.position.clone());
        let page = page.map(|Merchant { position: (_, id), tally }| {
            MerchantMetrics::new(&id, &tally, times.get(id.as_str()).copied(), &context)
        });
        let (merchants, data_as_of) = (page.items.clone(), answer.as_of.into());
        Ok(Json(MetricsByMerchant { period: days.into(), page, merchants, data_as_of, summary }))
    }
}

impl Example for MerchantMetrics {
    fn example() -> Self {
        let times = MerchantTimes {
            merchant_id: String::new(),
            first_at: EXAMPLE_TIME,
            last_at: EXAMPLE_TIME,
            last_project: Some("monetix".to_owned()),
        };
        Self::new("merchant-7", &Tally::from_rows(&[MetricRow::example()]), Some(&times), &AnswerContext::example())
    }
}

impl Example for MetricsByMerchant {
    fn example() -> Self {
        let page = Page::<MerchantMetrics>::example();
        Self {
            period: Period::example(),
            merchants: page.items.clone(),
            page,
            data_as_of: DataAsOf::example(),
            summary: AnswerContext::example().summary(&[MetricRow::example()]),
        }
    }
}
