//! Failures by the provider's status and by project, payment method, range of amounts or hour, compared with the days before and
//! with what is usual.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;

use super::answer::context;
use super::check_length;
use super::failure_report::{FailureDimension, FailureReport, MetricsFailures};
use crate::db::metrics::original_statuses::list_failures;
use crate::domain::metrics::failure_periods::FailurePeriods;
use crate::domain::metrics::query::{Depth, MetricQuery};
use crate::domain::status::Status;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::CountedTime;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::response_cache::{CacheVersion, CachedJson};
use crate::web::state::State;

/// The provider's status is counted payment by payment, if from an index alone.
pub(super) const MAX_DAYS: i64 = 31;

request_fields! {
    /// How failures are grouped.
    struct FailuresQuery {
        /// What failures are counted by, besides the provider's status; default `project`.
        by: Option<FailureDimension>,
    }
}

pub(in crate::web) struct FailuresApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl FailuresApi {
    /// Get failures
    ///
    /// Failed transactions by the provider's status and by project, payment method, range of amounts or hour of the day: with their
    /// share, the change against as many days right before, and against what is usual: the mean of the same hours of the same
    /// weekdays of the four weeks before. A period that has not ended is compared up to the end of the current quarter of an
    /// hour. At most 31 days. The parameter `status` is ignored.
    #[oai(path = "/metrics/failures", method = "get", operation_id = "getMetricsFailures")]
    async fn failures(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        failures: Query<FailuresQuery>,
    ) -> Result<CachedJson<MetricsFailures>, Fails> {
        let days = query.0.days(&state)?;
        check_length(days, MAX_DAYS)?;
        let (filter, by) = (query.0.filter(state.reconciled_projects(), &caller)?, failures.0.by.unwrap_or_default());
        let periods = FailurePeriods::new(days, state.clock.now(), by == FailureDimension::Hour);
        let metrics = state.metrics.current().await?;
        let payments = MetricQuery::new(filter.clone(), periods.buckets.clone());
        let data_version = metrics.data_version(&payments);
        let current = periods.compared.current;
        let time = if current == days.time_range() { CountedTime::Days(days) } else { CountedTime::Instants(current) };
        let failed = query.0.of_status(Status::Failed);
        let context = context(&state, &caller, (&metrics, &failed), time, Depth::Amounts).await?;
        let version =
            CacheVersion::of_period(data_version, metrics.as_of(), days, current.until).with(context.version());
        // On the heap, because the future of every request would otherwise contain it.
        let response = Box::pin(async {
            let (filter, compared) = (&filter, &periods);
            let list = |pool| async move { list_failures(&pool, filter, (compared, by.group())).await };
            let (rows, all) = metrics.read(&payments, list).await?;
            let report = FailureReport { by, periods: &periods, pii_access: caller.pii_access(), context: &context };
            Ok(report.response(days.into(), (&rows, &all), metrics.as_of().into()))
        });
        state.responses.get_or_insert((request.uri(), &caller.0), version, response).await
    }
}
