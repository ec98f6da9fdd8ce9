//! One merchant of a project: its metrics, trend, payment methods, last transaction and unresolved discrepancies.
//!
//! All figures are of cells but two: no facet has a merchant with a method, so those are counted from its transactions, which the
//! index of merchants finds; and cells know hours, not times, so the last transaction is read. This is why the period is bounded.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::answer::AnswerContext;
use super::by_dimension::PaymentMethodMetrics;
use super::group_metrics::GroupMetrics;
use super::merchant_comparison::MerchantComparison;
use super::tally::Tally;
use super::trends::{Bucket, BucketTimes, buckets};
use super::{DataAsOf, Period, check_length};
use crate::db::metrics::merchant::{
    LastPayment, MerchantKey, UnresolvedOfMerchant, count_unresolved, find_first_hour, find_last_payment,
};
use crate::domain::day::DayRange;
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::granularity::Granularity;
use crate::domain::metrics::own_weeks::OwnWeeks;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::filters::metrics::MerchantMetricsQuery;
use crate::web::filters::rows_link::CountedTime;
use crate::web::http::auth::Caller;
use crate::web::http::fails::{Fails, NotFound};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::path::Path;
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time, Usd};
use crate::web::state::State;

/// Methods are counted transaction by transaction.
const MAX_DAYS: i64 = 92;

/// The last transaction of a merchant.
#[derive(Debug, Clone, Object)]
struct LastTransaction {
    /// The transaction's id, see `GET /transactions/{id}`.
    id: Uuid,
    /// The provider that reports it.
    source: Source,
    /// Pay-in or pay-out.
    kind: Kind,
    /// The amount, in `currency`.
    amount: Money,
    /// The currency of the amount.
    currency: String,
    /// The status.
    status: Status,
    /// The status as the provider names it.
    original_status: Option<String>,
    /// The payment method, as the provider names it.
    payment_method: Option<String>,
    /// When the transaction was created at the provider.
    created_at: Time,
}

impl LastTransaction {
    fn new(payment: LastPayment, pii_access: PiiAccess) -> Self {
        Self {
            id: payment.id,
            source: payment.source,
            kind: payment.kind,
            amount: Money(payment.amount),
            currency: payment.currency,
            status: payment.status,
            original_status: payment.original_status.map(|name| pii_access.text(name)),
            payment_method: payment.payment_method,
            created_at: Time(payment.created_at),
        }
    }
}

/// Unresolved discrepancies of a merchant's transactions.
#[derive(Debug, Clone, Object)]
struct UnresolvedDiscrepancies {
    /// Number of open and acknowledged discrepancies, of all days.
    count: i64,
    /// The oldest of their days; null if there are none.
    oldest_date: Option<chrono::NaiveDate>,
}

impl From<UnresolvedOfMerchant> for UnresolvedDiscrepancies {
    fn from(unresolved: UnresolvedOfMerchant) -> Self {
        Self { count: unresolved.count, oldest_date: unresolved.oldest }
    }
}

/// A merchant of a project.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MerchantOfProject {
    /// The project.
    project: String,
    /// The merchant's account.
    merchant_id: String,
    /// The days covered.
    period: Period,
    #[oai(flatten)]
    metrics: GroupMetrics,
    /// Mean amount in US dollars, without transactions that have no exchange rate; null if there are none.
    avg_ticket_usd: Option<Usd>,
    /// The days of the period, the earliest first, days without transactions included.
    trend: Vec<Bucket>,
    /// The payment methods of the period, the largest amount first.
    payment_methods: Vec<PaymentMethodMetrics>,
    /// The last transaction of all, whatever the period and the filters.
    last_transaction: LastTransaction,
    /// The merchant's unresolved discrepancies, whatever the period and the filters.
    open_discrepancies: UnresolvedDiscrepancies,
    /// The period compared with the same days of the four periods before.
    comparison: MerchantComparison,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

pub(in crate::web) struct MerchantApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl MerchantApi {
    /// Get a merchant
    ///
    /// The metrics of a merchant of a project, by day and by payment method, its last transaction, its unresolved discrepancies,
    /// and a comparison with its own mean: that of the same days of the last four weeks, or of the four periods of whole weeks
    /// before a period of more than seven days. A period that has not ended is compared up to the end of the current quarter of
    /// an hour. At most 92 days.
    #[oai(path = "/merchants/:project/:merchant_id", method = "get", operation_id = "getMerchant")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The project; percent-encoded.
        project: Path<String>,
        /// The merchant's account; percent-encoded.
        merchant_id: Path<String>,
        query: Query<MerchantMetricsQuery>,
    ) -> Result<Json<MerchantOfProject>, Fails<NotFound>> {
        let query = query.0.of_project(&project.0);
        let days = query.days(&state)?;
        check_length(days, MAX_DAYS)?;
        let key = MerchantKey { project: &project.0, merchant_id: &merchant_id.0 };
        // PostgreSQL cannot store a NUL in a text, so no merchant has it.
        let may_exist =
            caller.0.scope.covers(Some(key.project)) && ![key.project, key.merchant_id].concat().contains('\0');
        if !may_exist {
            return Err(NotFound("merchant").into());
        }
        let last = find_last_payment(&state.pool, key).await?.ok_or(NotFound("merchant"))?;
        let first_hour = find_first_hour(&state.pool, key).await?;
        let unresolved = count_unresolved(&state.pool, key, &caller.0.scope).await?;
        let filter = query.filter(state.reconciled_projects(), &caller)?;
        let filter = MetricFilter { merchant_ids: vec![merchant_id.0.clone()], ..filter };
        let weeks = OwnWeeks::new(days, state.clock.now());
        let (trend, starts) = TimeBuckets::calendar(days, Granularity::Day)
            .map_err(|error| Problem::field("from_date", error.to_string()))?;
        let current = state.metrics.current().await?;
        let link = query.rows_link(&state, CountedTime::Days(days)).with("merchant_id", key.merchant_id);
        let times = BucketTimes::new(starts, &trend);
        let by_day = current.query(&MetricQuery::new(filter.clone(), trend)).await?;
        let own = current.query(&MetricQuery::new(filter.clone(), TimeBuckets::windows(&weeks.all()))).await?;
        let methods = MetricQuery::new(filter, TimeBuckets::one(days.time_range())).by(Dimension::PaymentMethod);
        let methods = current.query(&methods).await?;
        let rows: Vec<&MetricRow> = by_day.rows.iter().collect();
        let tally = Tally::from_rows(&*by_day.rows);
        let data_as_of = DataAsOf::from(current.as_of());
        Ok(Json(MerchantOfProject {
            project: project.0,
            merchant_id: merchant_id.0,
            period: days.into(),
            metrics: GroupMetrics::new(&tally, &link),
            avg_ticket_usd: tally.avg_ticket_usd(),
            trend: buckets(&times, &rows, &tally, &link),
            payment_methods: PaymentMethodMetrics::list(&methods.rows, &link),
            last_transaction: LastTransaction::new(last, caller.pii_access()),
            open_discrepancies: unresolved.into(),
            comparison: MerchantComparison::new(&weeks, first_hour, &own.rows, &link),
            data_as_of,
        }))
    }
}

impl Example for MerchantOfProject {
    fn example() -> Self {
        let rows = [MetricRow { member: "UPI".to_owned(), ..MetricRow::example() }];
        let tally = Tally::from_rows(&rows);
        let (link, day) = (AnswerContext::example().link, DayRange::single(EXAMPLE_DAY, chrono_tz::Tz::UTC));
        let times = BucketTimes::new(vec![EXAMPLE_TIME], &TimeBuckets::one(day.time_range()));
        Self {
            project: "monetix".to_owned(),
            merchant_id: "merchant-7".to_owned(),
            period: Period::example(),
            metrics: GroupMetrics::new(&tally, &link),
            avg_ticket_usd: tally.avg_ticket_usd(),
            trend: buckets(&times, &rows.iter().collect::<Vec<_>>(), &tally, &link),
            payment_methods: PaymentMethodMetrics::list(&rows, &link),
            last_transaction: LastTransaction {
                id: EXAMPLE_ID,
                source: Source::Vima,
                kind: Kind::Payin,
                amount: Money(1_542.into()),
                currency: "INR".to_owned(),
                status: Status::Success,
                original_status: Some("success".to_owned()),
                payment_method: Some("UPI".to_owned()),
                created_at: Time(EXAMPLE_TIME),
            },
            open_discrepancies: UnresolvedDiscrepancies { count: 2, oldest_date: Some(EXAMPLE_DAY) },
            comparison: MerchantComparison::example(),
            data_as_of: DataAsOf::example(),
        }
    }
}
