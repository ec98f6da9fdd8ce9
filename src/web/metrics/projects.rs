//! Metrics by project, and the projects ranked by conversion rate.

use std::cmp::Reverse;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::answer::{AnswerContext, AnswerSummary};
use super::group_metrics::GroupMetrics;
use super::tally::{Tally, largest_first, non_empty};
use super::{DataAsOf, Period, query_period};
use crate::domain::metrics::query::{Dimension, MetricRow};
use crate::domain::status::Status;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::state::State;

/// Projects with fewer transactions are not ranked: their conversion rate means little.
const MIN_TRANSACTIONS: i64 = 10;
/// The length of `top_5` and `bottom_5`.
const RANKED: usize = 5;

/// The metrics of a project.
#[derive(Debug, Clone, Object)]
struct ProjectMetrics {
    /// The project; null if the provider does not report it.
    project: Option<String>,
    #[oai(flatten)]
    metrics: GroupMetrics,
}

impl ProjectMetrics {
    fn new((project, tally): &(&str, Tally), context: &AnswerContext) -> Self {
        let link = context.link.with_member("project", project);
        Self { project: non_empty(project), metrics: GroupMetrics::new(tally, &link) }
    }
}

/// Metrics by project.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsByProject {
    /// The days covered.
    period: Period,
    /// The projects, the largest amount first; by amount in US dollars if the transactions have several currencies.
    projects: Vec<ProjectMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsByProject {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let projects = largest_first(rows, |row| row.member.as_str());
        let projects = projects.iter().map(|project| ProjectMetrics::new(project, context)).collect();
        Self { period, projects, data_as_of, summary: context.summary(rows) }
    }
}

/// Projects by conversion rate.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsConversionByProject {
    /// The days covered.
    period: Period,
    /// The projects with at least 10 transactions, the highest conversion rate first.
    projects: Vec<ProjectMetrics>,
    /// The five projects with the highest conversion rate, the highest first.
    top_5: Vec<ProjectMetrics>,
    /// The five projects with the lowest conversion rate, the lowest first.
    bottom_5: Vec<ProjectMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsConversionByProject {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let mut ranked: Vec<(&str, Tally)> = Tally::by_key(rows, |row| row.member.as_str()).into_iter().collect();
        ranked.retain(|(_, tally)| tally.count() >= MIN_TRANSACTIONS);
        // By the exact rate, not the rounded one. Of equal rates, that of more transactions is the more reliable.
        ranked.sort_by_key(|(_, tally)| Reverse((conversion(tally), tally.count())));
        let projects: Vec<ProjectMetrics> =
            ranked.iter().map(|project| ProjectMetrics::new(project, context)).collect();
        let top_5 = projects.iter().take(RANKED).cloned().collect();
        let bottom_5 = projects.iter().rev().take(RANKED).cloned().collect();
        Self { period, projects, top_5, bottom_5, data_as_of, summary: context.summary(rows) }
    }
}

fn conversion(tally: &Tally) -> Option<Decimal> {
    Decimal::from(tally.measures(Status::Success).count).checked_div(tally.count().into())
}

pub(in crate::web) struct ProjectsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl ProjectsApi {
    /// Get metrics by project
    ///
    /// Counts and amounts by project, the largest amount first. A project whose transactions have several currencies has
    /// amounts in US dollars only.
    #[oai(path = "/metrics/by-project", method = "get", operation_id = "getMetricsByProject")]
    async fn by_project(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsByProject>, Fails> {
        let (period, answer, context) = query_period(&state, &caller, &query.0, Some(Dimension::Project)).await?;
        Ok(Json(MetricsByProject::new(period, &answer.rows, answer.as_of.into(), &context)))
    }

    /// Get projects by conversion rate
    ///
    /// The projects with at least 10 transactions in the period, the highest conversion rate first; of projects with the same
    /// rate, the one with more transactions first.
    #[oai(path = "/metrics/conversion-by-project", method = "get", operation_id = "getMetricsConversionByProject")]
    async fn conversion_by_project(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsConversionByProject>, Fails> {
        let (period, answer, context) = query_period(&state, &caller, &query.0, Some(Dimension::Project)).await?;
        Ok(Json(MetricsConversionByProject::new(period, &answer.rows, answer.as_of.into(), &context)))
    }
}

impl Example for MetricsByProject {
    fn example() -> Self {
        Self::new(Period::example(), &[MetricRow::example()], DataAsOf::example(), &AnswerContext::example())
    }
}

impl Example for MetricsConversionByProject {
    fn example() -> Self {
        Self::new(Period::example(), &[MetricRow::example()], DataAsOf::example(), &AnswerContext::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(project: &str, success: i64, failed: i64) -> Vec<MetricRow> {
        let row = |status, count| {
            let mut row = MetricRow { member: project.to_owned(), status, ..MetricRow::example() };
            row.measures.count = count;
            row
        };
        vec![row(Status::Success, success), row(Status::Failed, failed)]
    }

    #[test]
    fn projects_with_enough_transactions_are_ranked() {
        let rows: Vec<MetricRow> = [
            ("few", 9, 0),
            ("half", 5, 5),
            ("more of half", 50, 50),
            // The same rate to two decimals as the next, but slightly higher.
            ("best", 99_999, 1),
            ("second", 99_998, 2),
            ("worst", 0, 10),
            ("", 3, 9),
        ]
        .into_iter()
        .flat_map(|(project, success, failed)| rows(project, success, failed))
        .collect();
        let response =
            MetricsConversionByProject::new(Period::example(), &rows, DataAsOf::example(), &AnswerContext::example());
        let names = |projects: &[ProjectMetrics]| -> Vec<String> {
            projects.iter().map(|item| item.project.clone().unwrap_or_else(|| "none".to_owned())).collect()
        };
        assert_eq!(names(&response.projects), ["best", "second", "more of half", "half", "none", "worst"]);
        assert_eq!(names(&response.top_5), ["best", "second", "more of half", "half", "none"]);
        assert_eq!(names(&response.bottom_5), ["worst", "none", "half", "more of half", "second"]);
    }
}
