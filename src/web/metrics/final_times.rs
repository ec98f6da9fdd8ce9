//! How long transactions take until their final status.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary, context};
use super::{DataAsOf, Period, check_length};
use crate::db::metrics::final_times::{FinalTimeGroup, FinalTimes, list};
use crate::domain::metrics::query::{Depth, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::Tag;
use crate::web::http::problem::Problem;
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

    /// The part of `link` that a group stands for.
    fn link(self, link: &RowsLink, group: Option<&str>) -> RowsLink {
        link.with_member(self.as_str(), group.unwrap_or_default())
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
    /// The path and query of the list of these transactions, also of those whose time is not known; null if there are none.
    rows_url: Option<String>,
}

impl FinalTime {
    /// `link` leads to the transactions of the group.
    fn new(times: FinalTimes, link: &RowsLink) -> Self {
        let FinalTimes { group_name, count, unknown_count, p50, p95, .. } = times;
        let rows_url = link.to(count + unknown_count);
        Self { group: group_name, count, unknown_count, p50_seconds: p50, p95_seconds: p95, rows_url }
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
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsTimeToFinal {
    /// `rows` are the sums of the transactions, also of those that are not final.
    fn new(
        (period, by): (Period, FinalTimeDimension),
        (times, rows): (Vec<FinalTimes>, &[MetricRow]),
        data_as_of: DataAsOf,
        context: &AnswerContext,
    ) -> Self {
        let (total, groups): (Vec<_>, Vec<_>) = times.into_iter().partition(|times| times.is_total);
        let none =
            FinalTime { group: None, count: 0, unknown_count: 0, p50_seconds: None, p95_seconds: None, rows_url: None };
        let group = |times: FinalTimes| {
            let link = by.link(&context.link, times.group_name.as_deref());
            FinalTime::new(times, &link)
        };
        let mut groups: Vec<FinalTime> = groups.into_iter().map(group).collect();
        groups.sort_by_key(|times| std::cmp::Reverse(times.count));
        Self {
            period,
            by,
            total: total.into_iter().next().map_or(none, |times| FinalTime::new(times, &context.link)),
            groups,
            data_as_of,
            summary: context.summary(rows.iter().filter(|row| row.status.is_final())),
        }
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
        let sums = MetricQuery::new(filter.clone(), TimeBuckets::one(range));
        let of_final = query.0.of_statuses(&Status::FINAL);
        let context = context(&state, &caller, (&metrics, &of_final), CountedTime::Days(days), Depth::Amounts).await?;
        let version = CacheVersion::of_period(metrics.data_version(&sums), metrics.as_of(), days, range.until)
            .with(context.version());
        // On the heap, because the future of every request would otherwise contain it.
        let response = Box::pin(async {
            let filter = &filter;
            let list_times = |pool| async move { list(&pool, filter, range, by.group()).await };
            let times = async { Ok::<_, Problem>(metrics.read(&sums, list_times).await?) };
            let sums = async { Ok::<_, Problem>(metrics.query(&sums).await?) };
            let (times, sums) = tokio::try_join!(times, sums)?;
            Ok(MetricsTimeToFinal::new((days.into(), by), (times, &sums.rows), metrics.as_of().into(), &context))
        });
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
        let example = (Period::example(), FinalTimeDimension::Source);
        let rows = [MetricRow::example()];
        Self::new(example, (times, &rows), DataAsOf::example(), &AnswerContext::example())
    }
}

named_enum!(FinalTimeDimension, "FinalTimeDimension", FinalTimeDimension::ALL, "What times are grouped by.");
