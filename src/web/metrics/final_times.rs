//! How long transactions take until their final status.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::{DataAsOf, Period, check_length};
use crate::db::metrics::final_times::{FinalTimeGroup, FinalTimes, list};
use crate::domain::metrics::query::MetricQuery;
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::string_enum::string_enum;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::response_cache::{CacheVersion, CachedJson};
use crate::web::http::schema::named_enum;
use crate::web::state::State;

/// The transactions themselves are read, and sorted.
const MAX_DAYS: i64 = 7;

string_enum! {
    /// What the times are grouped by.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    enum FinalTimeDimension {
        #[default]
        Source = "source",
        Project = "project",
        PaymentMethod = "payment_method",
    }
}

impl FinalTimeDimension {
    fn group(self) -> FinalTimeGroup {
        match self {
            Self::Source => FinalTimeGroup::Source,
            Self::Project => FinalTimeGroup::Project,
            Self::PaymentMethod => FinalTimeGroup::PaymentMethod,
        }
    }
}

request_fields! {
    /// How the times are grouped.
    struct FinalTimesQuery {
        /// What the times are grouped by; default `source`.
        by: Option<FinalTimeDimension>,
    }
}

/// The time from the creation of transactions to their final status.
#[derive(Debug, Clone, Object)]
struct FinalTime {
    /// The source, the project or the payment method; null if the provider does not report it, and for the total.
    group: Option<String>,
    /// Number of final transactions whose time is known.
    count: i64,
    /// Number of final transactions whose time is not known: they were final when they were first read, and the provider does not
    /// report when they became so.
    unknown_count: i64,
    /// The time within which half of the transactions were final, in seconds; null without transactions.
    p50_seconds: Option<f64>,
    /// The time within which 95 percent of the transactions were final, in seconds; null without transactions.
    p95_seconds: Option<f64>,
}

impl From<FinalTimes> for FinalTime {
    fn from(times: FinalTimes) -> Self {
        let FinalTimes { group_name, count, unknown_count, p50, p95, .. } = times;
        Self { group: group_name, count, unknown_count, p50_seconds: p50, p95_seconds: p95 }
    }
}

/// How long transactions take until their final status.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsTimeToFinal {
    /// The days covered.
    period: Period,
    /// What the times are grouped by.
    by: FinalTimeDimension,
    /// All final transactions.
    total: FinalTime,
    /// The groups, the one with the most transactions first.
    groups: Vec<FinalTime>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl MetricsTimeToFinal {
    fn new((period, by): (Period, FinalTimeDimension), times: Vec<FinalTimes>, data_as_of: DataAsOf) -> Self {
        let (total, groups): (Vec<_>, Vec<_>) = times.into_iter().partition(|times| times.is_total);
        let none = FinalTime { group: None, count: 0, unknown_count: 0, p50_seconds: None, p95_seconds: None };
        let mut groups: Vec<FinalTime> = groups.into_iter().map(FinalTime::from).collect();
        groups.sort_by_key(|times| std::cmp::Reverse(times.count));
        Self { period, by, total: total.into_iter().next().map_or(none, FinalTime::from), groups, data_as_of }
    }
}

pub(in crate::web) struct FinalTimesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl FinalTimesApi {
    /// Get time to final status
    ///
    /// The time from the creation of transactions to their final status (success, failed, refunded), by source, project or payment
    /// method: the time when the provider completed it, or else of the first change to a final status. At most 7 days of
    /// creation.
    #[oai(path = "/metrics/time-to-final", method = "get", operation_id = "getMetricsTimeToFinal")]
    async fn time_to_final(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        times: Query<FinalTimesQuery>,
    ) -> Result<CachedJson<MetricsTimeToFinal>, Fails> {
        let days = query.0.days(&state)?;
        check_length(days, MAX_DAYS)?;
        let (filter, by) = (query.0.filter(state.reconciled_projects(), &caller)?, times.0.by.unwrap_or_default());
        let metrics = state.metrics.current().await?;
        let range = days.time_range();
        let data_version = metrics.data_version(&MetricQuery::new(filter.clone(), TimeBuckets::one(range)));
        let version = CacheVersion::of_period(data_version, metrics.as_of(), days, range.until);
        let response = async {
            let times = list(&state.pool, &filter, range, by.group()).await?;
            Ok(MetricsTimeToFinal::new((days.into(), by), times, metrics.as_of().into()))
        };
        state.responses.get_or_insert((request.uri(), &caller.0), version, response).await
    }
}

impl Example for MetricsTimeToFinal {
    fn example() -> Self {
        let times = |is_total, group: Option<&str>| FinalTimes {
            is_total,
            group_name: group.map(str::to_owned),
            count: 118,
            unknown_count: 2,
            p50: Some(42.5),
            p95: Some(613.25),
        };
        let times = vec![times(true, None), times(false, Some("vima"))];
        Self::new((Period::example(), FinalTimeDimension::Source), times, DataAsOf::example())
    }
}

named_enum!(FinalTimeDimension, "FinalTimeDimension", FinalTimeDimension::ALL, "What times are grouped by.");
