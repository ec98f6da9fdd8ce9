//! What each project brought in, and which of them convert best and worst.

use std::cmp::Reverse;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::measures::PaymentMeasures;
use super::tally::{Tally, largest_first, told};
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::operations::metrics_cache::MetricsAnswer;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// With fewer payments, a rate says little of a project.
const FEWEST_PAYMENTS: i64 = 10;
/// How many are best and worst.
const BEST: usize = 5;

/// What a project brought in.
#[derive(Debug, Clone, Object)]
struct ProjectMetrics {
    /// The project; null where payments do not say theirs.
    project: Option<String>,
    #[oai(flatten)]
    measures: PaymentMeasures,
}

impl ProjectMetrics {
    fn of((project, tally): &(&str, Tally)) -> Self {
        Self { project: told(project), measures: tally.into() }
    }
}

/// What each project brought in.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsByProject", example)]
struct ByProject {
    /// The days it is about.
    period: Period,
    /// The projects, the largest amount first: in the currency of all payments, or in US dollars where there are several.
    projects: Vec<ProjectMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl ByProject {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let projects = largest_first(sums, |sum| sum.member.as_str());
        Self { period, projects: projects.iter().map(ProjectMetrics::of).collect(), data_as_of }
    }
}

/// How well projects convert.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsConversionByProject", example)]
struct ConversionByProject {
    /// The days it is about.
    period: Period,
    /// The projects that have at least 10 payments, the best first.
    projects: Vec<ProjectMetrics>,
    /// The best five of them, the best first.
    top_5: Vec<ProjectMetrics>,
    /// The worst five of them, the worst first.
    bottom_5: Vec<ProjectMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl ConversionByProject {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let mut ranked: Vec<(&str, Tally)> = Tally::by(sums, |sum| sum.member.as_str()).into_iter().collect();
        ranked.retain(|(_, tally)| tally.count() >= FEWEST_PAYMENTS);
        // Of those that convert alike, more payments say more. The rate is not the rounded one.
        ranked.sort_by_key(|(_, tally)| Reverse((conversion(tally), tally.count())));
        let projects: Vec<ProjectMetrics> = ranked.iter().map(ProjectMetrics::of).collect();
        let top_5 = projects.iter().take(BEST).cloned().collect();
        let bottom_5 = projects.iter().rev().take(BEST).cloned().collect();
        Self { period, projects, top_5, bottom_5, data_as_of }
    }
}

fn conversion(tally: &Tally) -> Option<Decimal> {
    Decimal::from(tally.in_state(Status::Success).count).checked_div(tally.count().into())
}

async fn ask(state: &State, query: &MetricsQuery) -> Result<(Period, MetricsAnswer), Problem> {
    let days = query.days(state)?;
    let question = MetricQuery::new(query.filter(), TimeBuckets::one(days.time_range())).by(Dimension::Project);
    Ok((days.into(), state.metrics.query(&question).await?))
}

/// The endpoints.
pub(in crate::web) struct ProjectsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl ProjectsApi {
    /// MetricRow up a period by project
    ///
    /// The largest amount first. A project whose payments have several currencies has no amount, only one in US dollars.
    #[oai(path = "/metrics/by-project", method = "get", operation_id = "getMetricsByProject")]
    async fn by_project(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<ByProject>, Fails> {
        let (period, answer) = ask(&state, &query.0).await?;
        Ok(Json(ByProject::of(period, &answer.rows, answer.as_of.into())))
    }

    /// Rank projects by conversion
    ///
    /// Those with at least 10 payments in the period, the best first; of two that convert alike, the one with more payments.
    #[oai(path = "/metrics/conversion-by-project", method = "get", operation_id = "getMetricsConversionByProject")]
    async fn conversion_by_project(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<ConversionByProject>, Fails> {
        let (period, answer) = ask(&state, &query.0).await?;
        Ok(Json(ConversionByProject::of(period, &answer.rows, answer.as_of.into())))
    }
}

impl Example for ByProject {
    fn example() -> Self {
        Self::of(Period::example(), &[MetricRow::example()], DataAsOf::example())
    }
}

impl Example for ConversionByProject {
    fn example() -> Self {
        Self::of(Period::example(), &[MetricRow::example()], DataAsOf::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(project: &str, success: i64, failed: i64) -> Vec<MetricRow> {
        let sum = |status, count| {
            let mut sum = MetricRow { member: project.to_owned(), status, ..MetricRow::example() };
            sum.measures.count = count;
            sum
        };
        vec![sum(Status::Success, success), sum(Status::Failed, failed)]
    }

    #[test]
    fn projects_with_enough_payments_are_ranked() {
        let sums: Vec<MetricRow> = [
            ("few", 9, 0),
            ("half", 5, 5),
            ("more of half", 50, 50),
            // The same rate to two decimals, and still a little better.
            ("best", 99_999, 1),
            ("second", 99_998, 2),
            ("worst", 0, 10),
            ("", 3, 9),
        ]
        .into_iter()
        .flat_map(|(project, success, failed)| sums(project, success, failed))
        .collect();
        let answer = ConversionByProject::of(Period::example(), &sums, DataAsOf::example());
        let names = |rows: &[ProjectMetrics]| -> Vec<String> {
            rows.iter().map(|row| row.project.clone().unwrap_or_else(|| "none".to_owned())).collect()
        };
        assert_eq!(names(&answer.projects), ["best", "second", "more of half", "half", "none", "worst"]);
        assert_eq!(names(&answer.top_5), ["best", "second", "more of half", "half", "none"]);
        assert_eq!(names(&answer.bottom_5), ["worst", "none", "half", "more of half", "second"]);
    }
}
