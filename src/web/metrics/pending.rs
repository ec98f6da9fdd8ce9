//! The age of pending transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::DataAsOf;
use super::currency_metrics::CurrencyMetrics;
use super::tally::{Tally, non_empty};
use crate::db::metrics::pending::{PendingPayments, list};
use crate::domain::metrics::pending_age::PendingAge;
use crate::domain::metrics::query::{Depth, MetricRow};
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time, Usd, named_enum};
use crate::web::state::State;

/// Pending transactions of an age.
#[derive(Debug, Clone, Object)]
struct AgedTransactions {
    /// How long ago they were created.
    age: PendingAge,
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in the `currency` of the group; null if its transactions have several.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Usd,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

/// The pending transactions of a group.
#[derive(Debug, Clone, Object)]
struct PendingGroup {
    /// Number of transactions.
    total_count: i64,
    /// The currency of the amounts; null if the transactions have several, or if there are none.
    currency: Option<String>,
    /// Sum of the amounts, in `currency`.
    total_amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    total_amount_usd: Usd,
    /// Number of transactions without an exchange rate.
    usd_missing_count: i64,
    /// When the oldest was created; null if there are none.
    oldest_at: Option<Time>,
    /// Every age, the youngest first.
    ages: Vec<AgedTransactions>,
    /// The sums by currency.
    by_currency: Vec<CurrencyMetrics>,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

impl PendingGroup {
    /// `link` leads to the payments of the group, whose ages were measured at `now`.
    fn new(payments: &[&PendingPayments], link: &RowsLink, now: DateTime<Utc>) -> Self {
        let whole = Tally::from_rows(payments.iter().map(|payments| &payments.row));
        let total = whole.total();
        let ages = PendingAge::ALL.into_iter().map(|age| {
            let of_age = payments.iter().filter(|payments| payments.age == age);
            let sums = Tally::from_rows(of_age.map(|payments| &payments.row)).total();
            AgedTransactions {
                age,
                count: sums.count,
                amount: whole.money(sums.amount),
                amount_usd: Usd(sums.amount_usd),
                rows_url: link.within(age.created(now)).to(sums.count),
            }
        });
        Self {
            total_count: total.count,
            currency: whole.currency(),
            total_amount: whole.money(total.amount),
            total_amount_usd: Usd(total.amount_usd),
            usd_missing_count: total.usd_missing,
            oldest_at: payments.iter().map(|payments| payments.oldest).min().map(Time),
            ages: ages.collect(),
            by_currency: CurrencyMetrics::list(&whole, Depth::Amounts),
            rows_url: link.to(total.count),
        }
    }
}

/// The pending transactions of a source.
#[derive(Debug, Clone, Object)]
struct PendingOfSource {
    /// The source.
    source: Source,
    #[oai(flatten)]
    group: PendingGroup,
}

/// The pending transactions of a project.
#[derive(Debug, Clone, Object)]
struct PendingOfProject {
    /// The project; null if the provider does not report it.
    project: Option<String>,
    #[oai(flatten)]
    group: PendingGroup,
}

/// The age of pending transactions.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsPendingAge {
    /// When the ages were measured.
    at: Time,
    /// All pending and processing transactions.
    total: PendingGroup,
    /// The sources that have some.
    sources: Vec<PendingOfSource>,
    /// The projects that have some, the one with the most first.
    projects: Vec<PendingOfProject>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl MetricsPendingAge {
    /// `link` leads to all of the payments.
    fn new(at: DateTime<Utc>, payments: &[PendingPayments], data_as_of: DataAsOf, link: &RowsLink) -> Self {
        let mut sources: BTreeMap<Source, Vec<&PendingPayments>> = BTreeMap::new();
        let mut projects: BTreeMap<&str, Vec<&PendingPayments>> = BTreeMap::new();
        for payments in payments {
            projects.entry(&payments.row.member).or_default().push(payments);
            if let Some(source) = payments.row.source {
                sources.entry(source).or_default().push(payments);
            }
        }
        let of_source = |(source, payments): (Source, Vec<&PendingPayments>)| PendingOfSource {
            source,
            group: PendingGroup::new(&payments, &link.with("source", source.as_str()), at),
        };
        let of_project = |(project, payments): (&str, Vec<&PendingPayments>)| PendingOfProject {
            project: non_empty(project),
            group: PendingGroup::new(&payments, &link.with_member("project", project), at),
        };
        let mut projects: Vec<PendingOfProject> = projects.into_iter().map(of_project).collect();
        projects.sort_by_key(|project| std::cmp::Reverse(project.group.total_count));
        Self {
            at: Time(at),
            total: PendingGroup::new(&payments.iter().collect::<Vec<_>>(), link, at),
            sources: sources.into_iter().map(of_source).collect(),
            projects,
            data_as_of,
        }
    }
}

pub(in crate::web) struct PendingApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl PendingApi {
    /// Get age of pending transactions
    ///
    /// All pending and processing transactions by how long ago they were created, in total, by source and by project. `from_date`,
    /// `to_date` and `timezone` are ignored.
    #[oai(path = "/metrics/pending-age", method = "get", operation_id = "getMetricsPendingAge")]
    async fn pending_age(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsPendingAge>, Fails> {
        let filter = query.0.filter(state.reconciled_projects(), &caller)?;
        let (metrics, filter) = (state.metrics.current().await?, &filter);
        // Links name the ages as times, for people too.
        let now = state.clock.now().trunc_subsecs(0);
        let payments = metrics.read_all(|pool| async move { list(&pool, filter, now).await }).await?;
        let pending = query.0.of_statuses(&[Status::Pending, Status::Processing]);
        let link = pending.rows_link(&state, CountedTime::Instants(TimeRange::ALL));
        Ok(Json(MetricsPendingAge::new(now, &payments, metrics.as_of().into(), &link)))
    }
}

fn example_payments(age: PendingAge, project: &str) -> PendingPayments {
    let row = MetricRow { status: Status::Pending, member: project.to_owned(), ..MetricRow::example() };
    PendingPayments { age, row, oldest: EXAMPLE_TIME }
}

fn example_link(now: DateTime<Utc>) -> RowsLink {
    let statuses = [Status::Pending, Status::Processing].map(|status| status.as_str().to_owned());
    let time = CountedTime::Instants(TimeRange::ALL);
    RowsLink::new([("status", statuses.to_vec())], (time, chrono_tz::Asia::Kolkata), now)
}

impl Example for MetricsPendingAge {
    fn example() -> Self {
        let payments = [example_payments(PendingAge::Under1Hour, "monetix")];
        let now = EXAMPLE_TIME + TimeDelta::minutes(40);
        Self::new(now, &payments, DataAsOf::example(), &example_link(now))
    }
}

named_enum!(PendingAge, "PendingAge", PendingAge::ALL, "How long ago a pending payment was created.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_added_up_by_age_source_and_project() {
        let mut other = example_payments(PendingAge::Older, "");
        other.row.source = Some(Source::Payshack);
        other.row.currency = "EUR".to_owned();
        other.oldest = EXAMPLE_TIME - TimeDelta::days(9);
        let payments = [example_payments(PendingAge::Under1Hour, "a"), example_payments(PendingAge::Older, "a"), other];
        let response =
            MetricsPendingAge::new(EXAMPLE_TIME, &payments, DataAsOf::example(), &example_link(EXAMPLE_TIME));
        let counts = |group: &PendingGroup| -> Vec<i64> { group.ages.iter().map(|age| age.count).collect() };
        assert_eq!((response.total.total_count, counts(&response.total)), (360, vec![0, 120, 0, 0, 0, 240]));
        assert_eq!((response.total.total_amount, response.total.currency.as_deref()), (None, None));
        assert_eq!(response.total.oldest_at, Some(Time(EXAMPLE_TIME - TimeDelta::days(9))));
        let [a, none] = &response.projects[..] else { panic!("{:?}", response.projects) };
        assert_eq!(
            (a.project.as_deref(), a.group.total_count, a.group.currency.as_deref()),
            (Some("a"), 240, Some("INR"))
        );
        assert_eq!((none.project.as_deref(), counts(&none.group)), (None, vec![0, 0, 0, 0, 0, 120]));
        assert_eq!(response.sources.len(), 2);
    }
}
