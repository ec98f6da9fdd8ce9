//! Searches, sorts and pages the merchants of a metric query.
//!
//! The metrics of all merchants are queried at once and cached; search, order and pages are applied here, so that paging
//! through the merchants costs no further query.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::tally::Tally;
use crate::db::transactions::search::SortOrder;
use crate::domain::metrics::query::MetricRow;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::web::http::fields::request_fields;
use crate::web::http::pagination::Window;
use crate::web::http::schema::named_enum;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) enum MerchantSort {
        /// By amount in US dollars if there are several currencies.
        #[default]
        TotalAmount = "total_amount",
        TotalCount = "total_count",
        SuccessCount = "success_count",
        PendingCount = "pending_count",
        ConversionRate = "conversion_rate",
        MerchantId = "merchant_id",
    }
}

impl MerchantSort {
    /// The sort key; merchants with equal keys are sorted by id.
    fn key(self, tally: &Tally, whole: &Tally) -> Decimal {
        match self {
            Self::TotalAmount => tally.comparable_amount(whole),
            Self::TotalCount => tally.count().into(),
            Self::SuccessCount => tally.measures(Status::Success).count.into(),
            Self::PendingCount => tally.pending_count().into(),
            Self::ConversionRate => {
                let success = Decimal::from(tally.measures(Status::Success).count);
                success.checked_div(tally.count().into()).unwrap_or_default()
            }
            Self::MerchantId => Decimal::ZERO,
        }
    }
}

request_fields! {
/// Which merchants are listed, and in which order.
pub(super) struct MerchantsQuery {
    /// Only merchants whose id contains this text; case is ignored.
    search: Option<String>,
    /// Sort by this field; default `total_amount`.
    pub(super) sort_by: Option<MerchantSort>,
    /// Sort direction; default `desc`.
    pub(super) order: Option<SortOrder>,
}
}

/// A position in the sorted list: the sort key and the id of a merchant.
pub(super) type Position = (Decimal, String);

pub(super) struct Merchant {
    pub(super) position: Position,
    pub(super) tally: Tally,
}

impl MerchantsQuery {
    /// All merchants that match, sorted.
    pub(super) fn list(&self, rows: &[MetricRow]) -> Vec<Merchant> {
        let sort_by = self.sort_by.unwrap_or_default();
        let whole = Tally::from_rows(rows);
        let search = self.search.as_ref().map(|text| text.to_lowercase());
        let matches = |id: &str| search.as_ref().is_none_or(|text| id.to_lowercase().contains(text.as_str()));
        let mut merchants: Vec<Merchant> = Tally::by_key(rows, |row| row.member.as_str())
            .into_iter()
            .filter(|(id, _)| matches(id))
            .map(|(id, tally)| Merchant { position: (sort_by.key(&tally, &whole), id.to_owned()), tally })
            .collect();
        merchants.sort_by(|one, other| self.compare(&one.position, &other.position));
        merchants
    }

    fn compare(&self, one: &Position, other: &Position) -> Ordering {
        match self.order.unwrap_or_default() {
            SortOrder::Asc => one.cmp(other),
            SortOrder::Desc => other.cmp(one),
        }
    }

    /// The merchants of a page, and one more if there is a next page.
    pub(super) fn page(&self, merchants: Vec<Merchant>, window: &Window<Position>) -> Vec<Merchant> {
        let is_before = |merchant: &Merchant| {
            window.after.as_ref().is_some_and(|after| self.compare(&merchant.position, after) != Ordering::Greater)
        };
        let offset = usize::try_from(window.offset()).unwrap_or(usize::MAX);
        merchants.into_iter().skip_while(is_before).skip(offset).take(window.limit as usize + 1).collect()
    }
}

named_enum!(MerchantSort, "MerchantSort", MerchantSort::ALL, "The field that merchants are sorted by.");

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example;

    use super::*;

    fn rows() -> Vec<MetricRow> {
        let row = |member: &str, status, count: i64, amount: i64| {
            let mut row = MetricRow { member: member.to_owned(), status, ..MetricRow::example() };
            (row.measures.count, row.measures.amount) = (count, amount.into());
            row
        };
        vec![
            row("Acme-1", Status::Success, 1, 500),
            row("Acme-1", Status::Pending, 3, 100),
            row("acme-2", Status::Success, 2, 600),
            row("", Status::Failed, 5, 50),
            row("zeta", Status::Success, 1, 10),
        ]
    }

    fn query(search: Option<&str>, sort_by: MerchantSort, order: SortOrder) -> MerchantsQuery {
        MerchantsQuery { search: search.map(str::to_owned), sort_by: Some(sort_by), order: Some(order) }
    }

    fn ids(merchants: &[Merchant]) -> Vec<&str> {
        merchants.iter().map(|merchant| merchant.position.1.as_str()).collect()
    }

    #[test]
    fn merchants_are_searched_and_sorted() {
        use MerchantSort as By;
        for (search, sort_by, order, expected) in [
            // Equal amounts are sorted by id, in the same direction.
            (None, By::TotalAmount, SortOrder::Desc, &["acme-2", "Acme-1", "", "zeta"][..]),
            (None, By::TotalCount, SortOrder::Desc, &["", "Acme-1", "acme-2", "zeta"]),
            (None, By::SuccessCount, SortOrder::Desc, &["acme-2", "zeta", "Acme-1", ""]),
            (None, By::PendingCount, SortOrder::Asc, &["", "acme-2", "zeta", "Acme-1"]),
            (None, By::ConversionRate, SortOrder::Desc, &["zeta", "acme-2", "Acme-1", ""]),
            (None, By::MerchantId, SortOrder::Asc, &["", "Acme-1", "acme-2", "zeta"]),
            (Some("CME"), By::TotalCount, SortOrder::Asc, &["acme-2", "Acme-1"]),
            (Some("unknown"), By::TotalAmount, SortOrder::Desc, &[]),
        ] {
            let query = query(search, sort_by, order);
            assert_eq!(ids(&query.list(&rows())), expected, "{query:?}");
        }
    }

    #[test]
    fn pages_start_after_a_position_or_at_a_number() {
        let query = query(None, MerchantSort::TotalAmount, SortOrder::Desc);
        let after = (Decimal::from(600), "acme-2".to_owned());
        for (number, after, expected) in [
            (1, None, &["acme-2", "Acme-1", ""][..]),
            (2, None, &["", "zeta"]),
            (3, None, &[]),
            (2, Some(after), &["Acme-1", "", "zeta"]),
            // The merchant of the cursor has moved or disappeared since the cursor was made.
            (2, Some((Decimal::from(55), "gone".to_owned())), &["", "zeta"]),
        ] {
            let window = Window { number, limit: 2, after };
            assert_eq!(ids(&query.page(query.list(&rows()), &window)), expected, "{window:?}");
        }
    }
}
