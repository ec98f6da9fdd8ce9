//! TransactionStream, as a viewer or an operator may see them.

use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::stream::{BoxStream, StreamExt};
use serde::{Deserialize, Serialize};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::metrics::sums;
use crate::db::snapshot::Snapshot;
use crate::db::transactions::search;
use crate::db::transactions::search::export::TransactionStream;
use crate::db::transactions::search::{FoundTransaction, RollupCount, SortBy, SortOrder, TransactionFilter};
use crate::domain::exchange_rate::RateOrigin;
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::query::{MetricFilter, payment_count};
use crate::domain::money::format_decimal;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::operations::export::{ExportSource, Rows, with_values};
use crate::operations::list_payments::add_rest;
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// A payment as it is exported. In a box: it is large, and passes through many hands.
pub struct Payment(Box<FoundTransaction>);

/// Everything that the list tells of a payment, by the same names.
static PAYMENT_COLUMNS: [Column<Payment>; 32] = [
    Column::id("id", |Payment(found)| Some(found.id)),
    Column::word("source", |Payment(found)| Some(found.source.as_str())),
    Column::word("kind", |Payment(found)| Some(found.kind.as_str())),
    Column::text("source_id", |Payment(found)| Some(&found.source_id)),
    Column::text("reference_id", |Payment(found)| found.reference_id.as_deref()),
    Column::text("client_operation_id", |Payment(found)| found.client_operation_id.as_deref()),
    Column::text("order_id", |Payment(found)| found.order_id.as_deref()),
    Column::text("project", |Payment(found)| found.project.as_deref()),
    Column::text("merchant_id", |Payment(found)| found.merchant_id.as_deref()),
    Column::money("amount", |Payment(found)| Some(found.amount)),
    Column::money("paid_amount", |Payment(found)| found.paid_amount),
    Column::text("currency", |Payment(found)| Some(&found.currency)),
    Column::money("amount_usd", |Payment(found)| found.amount_usd),
    Column::money("fee", |Payment(found)| found.fee),
    Column::money("fee_usd", |Payment(found)| found.fee_usd),
    Column::money("exchange_rate", |Payment(found)| found.exchange_rate),
    Column::word("exchange_rate_origin", |payment| payment.rate_origin().map(RateOrigin::as_str)),
    Column::time("exchange_rate_at", |payment| payment.rate_origin().and_then(RateOrigin::fetched_at)),
    Column::word("status", |Payment(found)| Some(found.status.as_str())),
    Column::text("original_status", |Payment(found)| found.original_status.as_deref()),
    Column::text("user_id", |Payment(found)| found.user_id.as_deref()),
    Column::text("user_email", |Payment(found)| found.user_email.as_deref()),
    Column::text("user_phone", |Payment(found)| found.user_phone.as_deref()),
    Column::text("user_name", |Payment(found)| found.user_name.as_deref()),
    Column::text("country", |Payment(found)| found.country.as_deref()),
    Column::text("utr", |Payment(found)| found.utr.as_deref()),
    Column::text("payment_method", |Payment(found)| found.payment_method.as_deref()),
    Column::text("payment_product", |Payment(found)| found.payment_product.as_deref()),
    Column::time("created_at", |Payment(found)| Some(found.created_at)),
    Column::time("updated_at", |Payment(found)| found.updated_at),
    Column::time("completed_at", |Payment(found)| found.completed_at),
    Column::time("ingested_at", |Payment(found)| Some(found.ingested_at)),
];

impl Payment {
    fn of(mut found: Box<FoundTransaction>, sight: PiiAccess) -> Self {
        found.user_email = sight.email(found.user_email.take());
        found.user_phone = sight.phone(found.user_phone.take());
        found.user_name = sight.name(found.user_name.take());
        Self(found)
    }

    fn rate_origin(&self) -> Option<RateOrigin> {
        let origin = self.0.rate_origin;
        origin
    }
}

/// An export of payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionsExport {
    /// Of which.
    pub filter: TransactionFilter,
    /// Of which days, and whose: what the filter's times were made of.
    pub days: (Option<NaiveDate>, Option<NaiveDate>),
    /// The zone of these days.
    pub days_of: Tz,
    /// What they are sorted by.
    pub sort_by: SortBy,
    /// Which end comes first.
    pub order: SortOrder,
    /// How personal data is shown.
    pub sight: PiiAccess,
}

impl ExportSource for TransactionsExport {
    type Row = Payment;
    type Line = ();

    const NAME: &'static str = "transactions";
    const TITLE: &'static str = "Transactions";
    const COLUMNS: &'static [Column<Payment>] = &PAYMENT_COLUMNS;
    const SUMMARY: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        file_name(Self::NAME, self.days, &dimensions_told(&self.filter.dimensions).map(|(_, values)| values), format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        let text = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        let day = |day: Option<NaiveDate>| text(day.map(|day| day.to_string()));
        let (from, to) = self.days;
        let has_days = from.is_some() || to.is_some();
        let more = [
            ("from_date", day(from)),
            ("to_date", day(to)),
            ("days of", text(has_days.then(|| self.days_of.name().to_owned()))),
            ("min_amount", text(self.filter.amounts.least.map(format_decimal))),
            ("max_amount", text(self.filter.amounts.most.map(format_decimal))),
            ("search", text(self.filter.search.as_ref().map(|search| search.text.clone()))),
        ];
        with_values(more.into_iter().chain(dimensions_told(&self.filter.dimensions)))
    }

    fn remarks(&self) -> Vec<(&'static str, String)> {
        let sorted = format!("by {}, {}", self.sort_by.as_str(), self.order.as_str());
        let shown = match self.sight {
            PiiAccess::Full => "shown",
            PiiAccess::Masked => "masked: whoever asked may not see it",
        };
        vec![("sorted", sorted), ("personal data", shown.to_owned())]
    }

    fn rows(&self, columns: &[&'static Column<Payment>]) -> impl Rows<Row = Payment> {
        let wanted = columns.iter().map(|column| column.name).collect();
        ExportedPayments { export: self.clone(), wanted, payments: None }
    }
}

/// The values of the dimensions that payments are filtered by, by the names of the query.
pub(super) fn dimensions_told(filter: &MetricFilter) -> [(&'static str, Vec<String>); 8] {
    let owned = |names: Vec<&'static str>| names.into_iter().map(str::to_owned).collect();
    [
        ("source", owned(filter.sources.iter().map(|source| Source::as_str(*source)).collect())),
        ("kind", owned(filter.kinds.iter().map(|kind| Kind::as_str(*kind)).collect())),
        ("project", filter.projects.clone()),
        ("status", owned(filter.statuses.iter().map(|status| Status::as_str(*status)).collect())),
        ("currency", filter.currencies.clone()),
        ("country", filter.countries.clone()),
        ("payment_method", filter.payment_methods.clone()),
        ("merchant_id", filter.merchant_ids.clone()),
    ]
}

/// The payments as they are read.
struct ExportedPayments {
    export: TransactionsExport,
    wanted: Vec<&'static str>,
    payments: Option<TransactionStream>,
}

impl ExportedPayments {
    fn statement(&self, rare: bool) -> TransactionStream {
        TransactionStream::of(&self.export.filter, self.export.sort_by, self.export.order, &self.wanted, rare)
    }
}

impl Rows for ExportedPayments {
    type Row = Payment;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        let (connection, filter) = (snapshot.connection()?, &self.export.filter);
        let count = match filter.rollup_count() {
            RollupCount::Exact(question) => {
                Count { total: payment_count(&sums::list(connection, &question).await?), exact: true }
            }
            RollupCount::ByAmountBand(question) => {
                let sums = sums::list(&mut *connection, &question).await?;
                add_rest(connection, filter, &sums).await?
            }
            RollupCount::UpperBound(question) => {
                let at_most = payment_count(&sums::list(&mut *connection, &question).await?);
                search::count(connection, filter, at_most).await?
            }
        };
        // A text that was counted to its end is rare.
        self.payments = Some(self.statement(count.exact));
        Ok(count)
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Payment, DbError>> {
        let sight = self.export.sight;
        let statement = self.statement(false);
        let payments = self.payments.get_or_insert(statement);
        payments.read(snapshot).map(move |found| found.map(|found| Payment::of(found, sight))).boxed()
    }
}
