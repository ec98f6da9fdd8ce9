//! Which payments a listing asks for, and in which order.

use chrono::NaiveDate;
use chrono_tz::Tz;
use poem_openapi::Object;

use crate::db::transactions::search::{Search, SortBy, SortOrder, TransactionFilter};
use crate::domain::access::{Principal, Role};
use crate::domain::day::start_of_day;
use crate::domain::metrics::amount_band::AmountRange;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::schema::Money;

/// The shortest text that is searched for: anything shorter is found nearly everywhere.
const SHORTEST_SEARCH: usize = 3;

/// Which payments are listed, and in which order.
#[derive(Debug, Clone, Default, Object)]
pub(in crate::web) struct TransactionQuery {
    /// Of these sources.
    source: Vec<Source>,
    /// Of these kinds.
    kind: Vec<Kind>,
    /// Of these projects.
    project: Vec<String>,
    /// In these states.
    status: Vec<Status>,
    /// In these currencies.
    currency: Vec<String>,
    /// Of payers in these countries.
    country: Vec<String>,
    /// Paid by these methods.
    payment_method: Vec<String>,
    /// Of these merchants.
    merchant_id: Vec<String>,
    /// Of at least this amount.
    min_amount: Option<Money>,
    /// Of at most this amount.
    max_amount: Option<Money>,
    /// Created on this day or later.
    from_date: Option<NaiveDate>,
    /// Created on this day or before.
    to_date: Option<NaiveDate>,
    /// The zone whose days they are (IANA name); the server's `REPORT_TIMEZONE` where nothing is said.
    timezone: Option<String>,
    /// Part of the source id, reference id, client operation id, order id or UTR; for operator and admin also of the
    /// payer's email, phone or name. At least 3 characters.
    #[oai(validator(min_length = 3))]
    search: Option<String>,
    /// What the list is sorted by; `created_at` where nothing is said.
    pub(in crate::web) sort_by: Option<SortBy>,
    /// Which end comes first; `desc` where nothing is said.
    pub(in crate::web) order: Option<SortOrder>,
}

impl FromFields for TransactionQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let lists = Self::read_lists(fields);
        let min_amount = fields.optional("min_amount");
        let max_amount = fields.optional("max_amount");
        let from_date = fields.optional::<NaiveDate>("from_date");
        let to_date = fields.optional::<NaiveDate>("to_date");
        let zone = fields.optional::<Tz>("timezone");
        let search = fields.optional::<String>("search");
        let sort_by = fields.optional("sort_by");
        let order = fields.optional("order");
        let query = Self {
            min_amount: min_amount?.map(Money),
            max_amount: max_amount?.map(Money),
            from_date: from_date?,
            to_date: to_date?,
            timezone: zone?.map(|zone| zone.name().to_owned()),
            search: search?,
            sort_by: sort_by?,
            order: order?,
            ..lists?
        };
        query.check(fields);
        Some(query)
    }
}

impl TransactionQuery {
    fn read_lists(fields: &mut Fields) -> Option<Self> {
        let source = fields.list("source");
        let kind = fields.list("kind");
        let project = fields.list("project");
        let status = fields.list("status");
        let currency = fields.list::<Currency>("currency");
        let country = fields.list("country");
        let payment_method = fields.list("payment_method");
        let merchant_id = fields.list("merchant_id");
        Some(Self {
            source: source?,
            kind: kind?,
            project: project?,
            status: status?,
            currency: currency?.into_iter().map(String::from).collect(),
            country: country?,
            payment_method: payment_method?,
            merchant_id: merchant_id?,
            ..Self::default()
        })
    }

    fn check(&self, fields: &mut Fields) {
        if let (Some(from), Some(to)) = (self.from_date, self.to_date)
            && from > to
        {
            fields.error("from_date", format!("{from} is after to_date {to}: swap them"));
        }
        if let (Some(Money(least)), Some(Money(most))) = (self.min_amount, self.max_amount)
            && least > most
        {
            fields.error("min_amount", "is above max_amount: swap them");
        }
        if self.search.as_ref().is_some_and(|text| text.chars().count() < SHORTEST_SEARCH) {
            fields.error("search", format!("needs at least {SHORTEST_SEARCH} characters"));
        }
        if self.search.as_ref().is_some_and(|text| text.contains(char::is_control)) {
            fields.error("search", "must not contain line breaks or other control characters");
        }
    }

    /// The zone whose days are asked for, `zone` where the query names none.
    pub(in crate::web) fn zone(&self, zone: Tz) -> Tz {
        self.timezone.as_ref().and_then(|name| name.parse().ok()).unwrap_or(zone)
    }

    /// The days that are asked for.
    pub(in crate::web) fn days(&self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        (self.from_date, self.to_date)
    }

    /// The filter, in days of `zone` where the query names none, as far as `principal` may search.
    pub(in crate::web) fn filter(self, zone: Tz, principal: &Principal) -> TransactionFilter {
        let zone = self.zone(zone);
        let personal = principal.role >= Role::Operator;
        TransactionFilter {
            dimensions: MetricFilter {
                sources: self.source,
                kinds: self.kind,
                projects: self.project,
                statuses: self.status,
                currencies: self.currency,
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
        }
    }
}
