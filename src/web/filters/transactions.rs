//! The filters and the order of transactions, for the list and for its export.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::db::transactions::search::{Search, SortBy, SortOrder, TransactionFilter, has_trigrams};
use crate::domain::access::Role;
use crate::domain::day::{MAX_DAYS, start_of_day};
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::metrics::counting::Counting;
use crate::domain::metrics::local_times::LocalTimes;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::money::Currency;
use crate::domain::reconciliation::Projects;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::auth::Caller;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Money, Time, Zone, named_enum};

/// A shorter text is found nearly everywhere.
const MIN_SEARCH_LENGTH: usize = 3;

string_enum! {
    /// A field that some transactions have no value for, and that can be filtered by.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::web) enum OptionalField {
        Project = "project",
        Merchant = "merchant_id",
        Country = "country",
        PaymentMethod = "payment_method",
        OriginalStatus = "original_status",
    }
}

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
        /// Filter by the status as the provider names it, exactly. A viewer cannot filter by a name in which personal
        /// data is masked.
        original_status: Vec<String>,
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
        /// An upper bound of the amount that is not included.
        amount_below: Option<Money>,
        /// Only transactions without a value in these fields.
        without: Vec<OptionalField>,
        /// The first day of creation.
        from_date: Option<NaiveDate>,
        /// The last day of creation.
        to_date: Option<NaiveDate>,
        /// The time zone of the days, of `weekday` and of `hour` (IANA name); default: the server's `REPORT_TIMEZONE`.
        timezone: Option<Zone>,
        /// Created at this time or later.
        created_from: Option<Time>,
        /// Created before this time.
        created_until: Option<Time>,
        /// Created before this time, and so also when a link with it was made. Transactions that are listed may have changed
        /// since, and those that were stored later are listed too.
        as_of: Option<Time>,
        /// The day of the week of creation, from 0, Monday, to 6, Sunday. Needs both ends of a time range of at most 400 days.
        #[oai(validator(maximum(value = "6")))]
        weekday: Option<u32>,
        /// The hour of the day of creation, from 0 to 23. Needs both ends of a time range of at most 400 days.
        #[oai(validator(maximum(value = "23")))]
        hour: Option<u32>,
        /// Part of the source id, reference id, client operation id, order id or UTR; for operator and admin also of the payer's
        /// email, phone or name. At least 3 characters, among them letters or digits: a text such as `---` cannot be searched for.
        #[oai(validator(min_length = 3))]
        search: Option<String>,
        /// What is listed: all stored `records`, or only one record of each of the `payments`, without PayShack's pay-ins of
        /// `RECONCILED_PROJECTS`, because Vima reports the same payments; default: `records`.
        count: Option<Counting>,
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
        if self.weekday.is_some_and(|weekday| weekday > 6) {
            fields.error("weekday", "must be from 0, Monday, to 6, Sunday");
        }
        if self.hour.is_some_and(|hour| hour > 23) {
            fields.error("hour", "must be from 0 to 23");
        }
        if self.max_amount.is_some() && self.amount_below.is_some() {
            fields.error("amount_below", "cannot be combined with max_amount");
        }
        for (field, values) in self.optional_fields() {
            if self.without.contains(&field) && !values.is_empty() {
                fields.error("without", format!("cannot have {} together with a filter of its values", field.as_str()));
            }
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

    fn optional_fields(&self) -> [(OptionalField, &[String]); 5] {
        [
            (OptionalField::Project, &self.project),
            (OptionalField::Merchant, &self.merchant_id),
            (OptionalField::Country, &self.country),
            (OptionalField::PaymentMethod, &self.payment_method),
            (OptionalField::OriginalStatus, &self.original_status),
        ]
    }

    /// The values of an optional field; the empty one stands for none.
    fn values(&self, field: OptionalField, values: &[String]) -> Vec<String> {
        if self.without.contains(&field) { vec![String::new()] } else { values.to_vec() }
    }

    /// The time of creation: where all given ranges overlap.
    fn created(&self, zone: Tz) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let instant = |time: Option<Time>| time.map(|Time(time)| time);
        let first_day = self.from_date.map(|day| start_of_day(day, zone));
        let last_day = self.to_date.and_then(|day| day.succ_opt()).map(|day| start_of_day(day, zone));
        let ends = [last_day, instant(self.created_until), instant(self.as_of)];
        (first_day.max(instant(self.created_from)), ends.into_iter().flatten().min())
    }

    fn local_times(
        &self,
        zone: Tz,
        created: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    ) -> Result<Option<LocalTimes>, Problem> {
        let name = match (self.weekday, self.hour) {
            (None, None) => return Ok(None),
            (Some(_), _) => "weekday",
            (None, Some(_)) => "hour",
        };
        match created {
            (Some(from), Some(until)) if until - from <= TimeDelta::days(MAX_DAYS) => {
                Ok(Some(LocalTimes { zone, weekday: self.weekday, hour: self.hour }))
            }
            _ => Err(Problem::field(name, format!("needs both ends of a time range of at most {MAX_DAYS} days"))),
        }
    }

    pub(in crate::web) fn zone(&self, default: Tz) -> Tz {
        self.timezone.map_or(default, |Zone(zone)| zone)
    }

    pub(in crate::web) fn days(&self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        (self.from_date, self.to_date)
    }

    /// The provider's statuses. Providers write free text into them: a viewer cannot filter by what is masked for viewers.
    fn original_statuses(&self, pii_access: PiiAccess) -> Result<Vec<String>, Problem> {
        let is_masked = |name: &String| pii_access.text(name.clone()) != *name;
        if self.original_status.iter().any(is_masked) {
            return Err(Problem::field("original_status", "could be personal data, which a viewer cannot filter by"));
        }
        Ok(self.values(OptionalField::OriginalStatus, &self.original_status))
    }

    /// A viewer cannot search for personal data, because finding it by guessing would reveal it.
    /// `reconciled` are the projects whose payments both sources report.
    pub(in crate::web) fn filter(
        self,
        default_zone: Tz,
        reconciled: &Projects,
        caller: &Caller,
    ) -> Result<TransactionFilter, Problem> {
        let zone = self.zone(default_zone);
        let personal = caller.0.role >= Role::Operator;
        let (from, until) = self.created(zone);
        let local_times = self.local_times(zone, (from, until))?;
        let original_statuses = self.original_statuses(caller.pii_access())?;
        let dimensions = MetricFilter {
            projects: caller.projects(&self.values(OptionalField::Project, &self.project))?,
            merchant_ids: self.values(OptionalField::Merchant, &self.merchant_id),
            countries: self.values(OptionalField::Country, &self.country),
            payment_methods: self.values(OptionalField::PaymentMethod, &self.payment_method),
            sources: self.source,
            kinds: self.kind,
            statuses: self.status,
            currencies: self.currency.into_iter().map(String::from).collect(),
            excluded_payins: None,
        };
        Ok(TransactionFilter {
            dimensions: match self.count.unwrap_or_default() {
                Counting::Records => dimensions,
                Counting::Payments => dimensions.without_payshack_payins(reconciled),
            },
            original_statuses,
            amounts: AmountRange {
                least: self.min_amount.map(|Money(amount)| amount),
                most: self.max_amount.map(|Money(amount)| amount),
                below: self.amount_below.map(|Money(amount)| amount),
            },
            from,
            until,
            local_times,
            search: self.search.map(|text| Search { text, personal }),
        })
    }
}

named_enum!(SortBy, "SortBy", SortBy::ALL, "The field that transactions are sorted by.");
named_enum!(SortOrder, "Order", SortOrder::ALL, "The direction of a sorted list.");
named_enum!(OptionalField, "OptionalField", OptionalField::ALL, "A field of a transaction that may have no value.");
