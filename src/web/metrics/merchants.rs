//! What each merchant brought in, a page at a time.
//!
//! The question is asked once for all merchants, and kept; what is searched, how it is sorted and which page is shown is done
//! here, so that a dashboard may turn pages for nothing.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::measures::PaymentMeasures;
use super::tally::{Tally, told};
use crate::db::count::Count;
use crate::db::metrics::merchants::{MerchantTimes, list_times};
use crate::db::transactions::search::SortOrder;
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::{Time, named_enum};
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

string_enum! {
    /// What a listing of merchants is sorted by.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(in crate::web) enum MerchantSort {
        /// The sum of amounts; in US dollars where there are several currencies.
        #[default]
        TotalAmount = "total_amount",
        /// How many payments.
        TotalCount = "total_count",
        /// How many succeeded.
        SuccessCount = "success_count",
        /// How many wait.
        PendingCount = "pending_count",
        /// Successful payments of all.
        ConversionRate = "conversion_rate",
        /// The merchant.
        MerchantId = "merchant_id",
    }
}

impl MerchantSort {
    /// What it sorts by; of merchants that share it, their ids tell.
    fn key(self, tally: &Tally, whole: &Tally) -> Decimal {
        match self {
            Self::TotalAmount => tally.comparable_amount(whole),
            Self::TotalCount => tally.count().into(),
            Self::SuccessCount => tally.in_state(Status::Success).count.into(),
            Self::PendingCount => tally.pending_count().into(),
            Self::ConversionRate => {
                let success = Decimal::from(tally.in_state(Status::Success).count);
                success.checked_div(tally.count().into()).unwrap_or_default()
            }
            Self::MerchantId => Decimal::ZERO,
        }
    }
}

request_fields! {
    /// Which merchants are listed, and in which order.
    struct MerchantsQuery {
        /// Part of the merchant's id, in whichever case.
        search: Option<String>,
        /// What the list is sorted by; `total_amount` where nothing is said.
        sort_by: Option<MerchantSort>,
        /// Which end comes first; `desc` where nothing is said.
        order: Option<SortOrder>,
    }
}

/// A merchant's place in the sorted list.
type Place = (Decimal, String);

/// A merchant before it is shown.
struct Merchant {
    place: Place,
    tally: Tally,
}

impl MerchantsQuery {
    /// The merchants that are searched for, sorted.
    fn list(&self, sums: &[MetricRow]) -> Vec<Merchant> {
        let sort_by = self.sort_by.unwrap_or_default();
        let whole = Tally::of(sums);
        let searched = self.search.as_ref().map(|text| text.to_lowercase());
        let is_found = |id: &str| searched.as_ref().is_none_or(|text| id.to_lowercase().contains(text.as_str()));
        let mut merchants: Vec<Merchant> = Tally::by(sums, |sum| sum.member.as_str())
            .into_iter()
            .filter(|(id, _)| is_found(id))
            .map(|(id, tally)| Merchant { place: (sort_by.key(&tally, &whole), id.to_owned()), tally })
            .collect();
        merchants.sort_by(|one, other| self.compare(&one.place, &other.place));
        merchants
    }

    fn compare(&self, one: &Place, other: &Place) -> Ordering {
        match self.order.unwrap_or_default() {
            SortOrder::Asc => one.cmp(other),
            SortOrder::Desc => other.cmp(one),
        }
    }

    /// The merchants of a page, and one more where there is a next page.
    fn take(&self, merchants: Vec<Merchant>, window: &Window<Place>) -> Vec<Merchant> {
        let is_passed = |merchant: &Merchant| {
            window.after.as_ref().is_some_and(|after| self.compare(&merchant.place, after) != Ordering::Greater)
        };
        let offset = usize::try_from(window.offset()).unwrap_or(usize::MAX);
        merchants.into_iter().skip_while(is_passed).skip(offset).take(window.limit as usize + 1).collect()
    }
}

/// What a merchant brought in.
#[derive(Debug, Clone, Object)]
struct MerchantMetrics {
    /// The merchant's account; null where payments do not say theirs.
    merchant_id: Option<String>,
    #[oai(flatten)]
    measures: PaymentMeasures,
    /// When its first payment of the period was created.
    first_txn_at: Option<Time>,
    /// When its last payment of the period was created.
    last_txn_at: Option<Time>,
}

impl MerchantMetrics {
    fn of(id: &str, tally: &Tally, times: Option<&MerchantTimes>) -> Self {
        Self {
            merchant_id: told(id),
            measures: tally.into(),
            first_txn_at: times.map(|times| Time(times.first_at)),
            last_txn_at: times.map(|times| Time(times.last_at)),
        }
    }
}

/// A page of merchants.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsByMerchant", example)]
struct ByMerchant {
    /// The days it is about.
    period: Period,
    #[oai(flatten)]
    page: Page<MerchantMetrics>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

/// The endpoint.
pub(in crate::web) struct MerchantsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl MerchantsApi {
    /// MetricRow up a period by merchant
    ///
    /// A page of merchants, the largest amount first where nothing else is said: amounts in US dollars are compared where the
    /// payments of all merchants have several currencies. Each with its first and its last payment of the period, by which the
    /// list cannot be sorted.
    #[oai(path = "/metrics/by-merchant", method = "get", operation_id = "getMetricsByMerchant")]
    async fn by_merchant(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
        merchants: Query<MerchantsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<ByMerchant>, Fails> {
        let (sort_by, order) = (merchants.0.sort_by.unwrap_or_default(), merchants.0.order.unwrap_or_default());
        let listing = format!("merchants {} {}", sort_by.as_str(), order.as_str());
        let window: Window<Place> = state.cursors.window(&listing, &page.0)?;
        let (days, filter) = (query.0.days(&state)?, query.0.filter());
        let question = MetricQuery::new(filter.clone(), TimeBuckets::one(days.time_range())).by(Dimension::Merchant);
        let answer = state.metrics.query(&question).await?;
        let found = merchants.0.list(&answer.rows);
        let count = Count { total: found.len() as u64, exact: true };
        let shown = merchants.0.take(found, &window);
        let ids: Vec<String> =
            shown.iter().take(window.limit as usize).map(|merchant| merchant.place.1.clone()).collect();
        let times = list_times(&state.pool, &ids, &filter, days.time_range()).await?;
        let times: HashMap<&str, &MerchantTimes> = times.iter().map(|times| (&*times.merchant_id, times)).collect();
        let page = state.cursors.page(&listing, &window, count, shown, |merchant| merchant.place.clone());
        let page = page.map(|Merchant { place: (_, id), tally }| {
            MerchantMetrics::of(&id, &tally, times.get(id.as_str()).copied())
        });
        Ok(Json(ByMerchant { period: days.into(), page, data_as_of: answer.as_of.into() }))
    }
}

impl Example for MerchantMetrics {
    fn example() -> Self {
        let times = MerchantTimes { merchant_id: String::new(), first_at: EXAMPLE_TIME, last_at: EXAMPLE_TIME };
        Self::of("merchant-7", &Tally::of(&[MetricRow::example()]), Some(&times))
    }
}

impl Example for ByMerchant {
    fn example() -> Self {
        Self { period: Period::example(), page: Page::example(), data_as_of: DataAsOf::example() }
    }
}

named_enum!(MerchantSort, "MerchantSort", MerchantSort::ALL, "The field that merchants are sorted by.");

#[cfg(test)]
mod tests {
    use super::*;

    fn sums() -> Vec<MetricRow> {
        let of = |member: &str, status, count: i64, amount: i64| {
            let mut sum = MetricRow { member: member.to_owned(), status, ..MetricRow::example() };
            (sum.measures.count, sum.measures.amount) = (count, amount.into());
            sum
        };
        vec![
            of("Acme-1", Status::Success, 1, 500),
            of("Acme-1", Status::Pending, 3, 100),
            of("acme-2", Status::Success, 2, 600),
            of("", Status::Failed, 5, 50),
            of("zeta", Status::Success, 1, 10),
        ]
    }

    fn query(search: Option<&str>, sort_by: MerchantSort, order: SortOrder) -> MerchantsQuery {
        MerchantsQuery { search: search.map(str::to_owned), sort_by: Some(sort_by), order: Some(order) }
    }

    fn ids(merchants: &[Merchant]) -> Vec<&str> {
        merchants.iter().map(|merchant| merchant.place.1.as_str()).collect()
    }

    #[test]
    fn merchants_are_searched_and_sorted() {
        use MerchantSort as By;
        for (search, sort_by, order, expected) in [
            // Of two with the same amount, the later id is first where the larger amount would be.
            (None, By::TotalAmount, SortOrder::Desc, &["acme-2", "Acme-1", "", "zeta"][..]),
            (None, By::TotalCount, SortOrder::Desc, &["", "Acme-1", "acme-2", "zeta"]),
            (None, By::SuccessCount, SortOrder::Desc, &["acme-2", "zeta", "Acme-1", ""]),
            (None, By::PendingCount, SortOrder::Asc, &["", "acme-2", "zeta", "Acme-1"]),
            (None, By::ConversionRate, SortOrder::Desc, &["zeta", "acme-2", "Acme-1", ""]),
            (None, By::MerchantId, SortOrder::Asc, &["", "Acme-1", "acme-2", "zeta"]),
            (Some("CME"), By::TotalCount, SortOrder::Asc, &["acme-2", "Acme-1"]),
            (Some("nobody"), By::TotalAmount, SortOrder::Desc, &[]),
        ] {
            let query = query(search, sort_by, order);
            assert_eq!(ids(&query.list(&sums())), expected, "{query:?}");
        }
    }

    #[test]
    fn pages_go_on_after_a_place_or_a_number() {
        let query = query(None, MerchantSort::TotalAmount, SortOrder::Desc);
        let after = (Decimal::from(600), "acme-2".to_owned());
        for (number, after, expected) in [
            (1, None, &["acme-2", "Acme-1", ""][..]),
            (2, None, &["", "zeta"]),
            (3, None, &[]),
            (2, Some(after), &["Acme-1", "", "zeta"]),
            // One that has sunk, or gone, since the cursor was made.
            (2, Some((Decimal::from(55), "gone".to_owned())), &["", "zeta"]),
        ] {
            let window = Window { number, limit: 2, after };
            assert_eq!(ids(&query.take(query.list(&sums()), &window)), expected, "{window:?}");
        }
    }
}
