//! The filters and the order of transactions, for the list and for its export.

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::db::transactions::search::{Search, SortBy, SortOrder, TransactionFilter, has_trigrams};
use crate::domain::access::Role;
use crate::domain::day::start_of_day;
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::auth::Caller;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Money, Zone, named_enum};

/// A shorter text is found nearly everywhere.
const MIN_SEARCH_LENGTH: usize = 3;

request_fields! {
    /// Which transactions are listed, and in which order.
    pub(in crate::web) struct TransactionQuery {
        /// Filter by provider.
        source: Vec<Source>,
        /// Filter by kind.
        kind: Vec<Kind>,
        /// Filter by project.
        project: Vec<String>,
        /// Filter by status.
        status: Vec<Status>,
        /// Filter by currency (ISO 4217 code).
        currency: Vec<Currency>,
        /// Filter by the payer's country.
        country: Vec<String>,
        /// Filter by payment method.
        payment_method: Vec<String>,
        /// Filter by merchant.
        merchant_id: Vec<String>,
        /// The minimum amount.
        min_amount: Option<Money>,
        /// The maximum amount.
        max_amount: Option<Money>,
        /// The first day of creation.
        from_date: Option<NaiveDate>,
        /// The last day of creation.
        to_date: Option<NaiveDate>,
        /// The time zone of the days (IANA name); default: the server's `REPORT_TIMEZONE`.
        timezone: Option<Zone>,
        /// Part of the source id, reference id, client operation id, order id or UTR; for operator and admin also of the payer's
        /// email, phone or name. At least 3 characters, among them letters or digits: a text such as `---` cannot be searched for.
        #[oai(validator(min_length = 3))]
        search: Option<String>,
        /// The field that the list is sorted by; default: `created_at`.
        pub(in crate::web) sort_by: Option<SortBy>,
        /// Ascending or descending; default: `desc`.
        pub(in crate::web) order: Option<SortOrder>,
    }
    check: TransactionQuery::check
}

impl TransactionQuery {
    fn check(&self, fields: &mut Fields) {
        fields.check_days(self.from_date, self.to_date);
        if let (Some(Money(least)), Some(Money(most))) = (self.min_amount, self.max_amount)
            && least > most
        {
            fields.error("min_amount", "is above max_amount: swap them");
        }
        if self.search.as_ref().is_some_and(|text| text.chars().count() < MIN_SEARCH_LENGTH) {
            fields.error("search", format!("needs at least {MIN_SEARCH_LENGTH} characters"));
        } else if self.search.as_ref().is_some_and(|text| !has_trigrams(text)) {
            fields.error("search", "has too few letters and digits to be found by an index: give at least 3 in a row");
        }
        if self.search.as_ref().is_some_and(|text| text.contains(char::is_control)) {
            fields.error("search", "must not contain line breaks or other control characters");
        }
    }

    pub(in crate::web) fn zone(&self, default: Tz) -> Tz {
        self.timezone.map_or(default, |Zone(zone)| zone)
    }

    pub(in crate::web) fn days(&self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        (self.from_date, self.to_date)
    }

    /// A viewer cannot search for personal data, because finding it by guessing would reveal it.
    pub(in crate::web) fn filter(self, default_zone: Tz, caller: &Caller) -> Result<TransactionFilter, Problem> {
        let zone = self.zone(default_zone);
        let personal = caller.0.role >= Role::Operator;
        Ok(TransactionFilter {
            dimensions: MetricFilter {
                sources: self.source,
                kinds: self.kind,
                projects: caller.projects(&self.project)?,
                statuses: self.status,
                currencies: self.currency.into_iter().map(String::from).collect(),
                merchant_ids: self.merchant_id,
                countries: self.country,
                payment_methods: self.payment_method,
            },
            amounts: AmountRange {
                least: self.min_amount.map(|Money(amount)| amount),
                most: self.max_amount.map(|Money(amount)| amount),
                below: None,
            },
            from: self.from_date.map(|day| start_of_day(day, zone)),
            until: self.to_date.and_then(|day| day.succ_opt()).map(|day| start_of_day(day, zone)),
            search: self.search.map(|text| Search { text, personal }),
        })
    }
}

named_enum!(SortBy, "SortBy", SortBy::ALL, "The field that transactions are sorted by.");
named_enum!(SortOrder, "Order", SortOrder::ALL, "The direction of a sorted list.");
