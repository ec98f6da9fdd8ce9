//! What each project brought in, and which of them convert best and worst.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::query::MetricsQuery;
use super::tally::Tally;
use super::{DataAsOf, Period};
use crate::domain::metrics::question::{Dimension, Question, Sum};
use crate::domain::metrics::slots::Slots;
use crate::domain::status::Status;
use crate::web::app::State;
use crate::web::auth::Viewer;
use crate::web::document::{EXAMPLE_DAY, EXAMPLE_TIME, Tag};
use crate::web::error::Problem;
use crate::web::query::Query;
use crate::web::schema::{Money, Time};

/// What a project brought in.
#[derive(Debug, Clone, Object)]
struct ProjectMetrics {
    /// The project; null where payments do not say theirs.
    project: Option<String>,
    /// The currency of its payments; null where they have several, and amounts are null with it.
    currency: Option<String>,
    /// How many payments.
    total_count: i64,
    /// The sum of their amounts.
    total_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    total_amount_usd: Money,
    /// How many succeeded.
    success_count: i64,
    /// The sum of their amounts.
    success_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    success_amount_usd: Money,
    /// How many failed.
    failed_count: i64,
    /// The sum of their amounts.
    failed_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    failed_amount_usd: Money,
    /// How many wait: pending and processing together.
    pending_count: i64,
    /// How many have no rate, and so are not in the sums in US dollars.
    usd_missing_count: i64,
    /// Successful payments of all, in percent.
    conversion_rate: Option<f64>,
    /// The mean amount.
    avg_ticket: Option<Money>,
}

impl ProjectMetrics {
    fn of(project: &str, tally: &Tally) -> Self {
        let (all, success, failed) = (tally.all(), tally.in_state(Status::Success), tally.in_state(Status::Failed));
        Self {
            project: (!project.is_empty()).then(|| project.to_owned()),
            currency: tally.currency(),
            total_count: all.count,
            total_amount: tally.money(all.amount),
            total_amount_usd: Money(all.amount_usd),
            success_count: success.count,
            success_amount: tally.money(success.amount),
            success_amount_usd: Money(success.amount_usd),
            failed_count: failed.count,
            failed_amount: tally.money(failed.amount),
            failed_amount_usd: Money(failed.amount_usd),
            pending_count: tally.pending_count(),
            usd_missing_count: all.usd_missing,
            conversion_rate: tally.conversion_rate(),
            avg_ticket: tally.avg_ticket(),
        }
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
    fn of(period: Period, sums: &[Sum], data_as_of: DataAsOf) -> Self {
        let comparable = Tally::of(sums).is_in_one_currency();
        let size = |tally: &Tally| -> Decimal {
            let all = tally.all();
            if comparable { all.amount } else { all.amount_usd }
        };
        let mut projects: Vec<(&str, Tally)> = Tally::by(sums, |sum| sum.member.as_str()).into_iter().collect();
        projects.sort_by_key(|(_, tally)| std::cmp::Reverse(size(tally)));
        let projects = projects.iter().map(|(project, tally)| ProjectMetrics::of(project, tally)).collect();
        Self { period, projects, data_as_of }
    }
}

/// The endpoints.
pub(super) struct ProjectsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl ProjectsApi {
    /// Sum up a period by project
    ///
    /// The largest amount first. A project whose payments have several currencies has no amount, only one in US dollars.
    #[oai(path = "/metrics/by-project", method = "get", operation_id = "getMetricsByProject")]
    async fn by_project(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<ByProject>, Problem> {
        let days = query.0.days(&state)?;
        let question = Question::new(query.0.filter(), Slots::one(days.stretch())).by(Dimension::Project);
        let answer = state.sums.ask(&question).await?;
        Ok(Json(ByProject::of(days.into(), &answer.sums, answer.as_of.into())))
    }
}

impl Example for ByProject {
    fn example() -> Self {
        let period = Period { from: EXAMPLE_DAY, to: EXAMPLE_DAY, timezone: "Asia/Kolkata".to_owned() };
        let as_of = Some(Time(EXAMPLE_TIME));
        Self::of(period, &[Sum::example()], DataAsOf { vima: as_of, payshack: as_of })
    }
}
