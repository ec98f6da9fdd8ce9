//! Transactions. Personal data is masked for viewers.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::metrics::sums;
use crate::db::snapshot::Snapshot;
use crate::db::transactions::search;
use crate::db::transactions::search::export::TransactionStream;
use crate::db::transactions::search::{FoundTransaction, RollupCount, SortBy, SortOrder, TransactionFilter};
use crate::domain::day::{DayRange, start_of_day};
use crate::domain::exchange_rate::RateOrigin;
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::counting::Counting;
use crate::domain::metrics::local_times::LocalTimes;
use crate::domain::metrics::query::{MetricFilter, payment_count};
use crate::domain::money::format_decimal;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::operations::export::source::{ExportSource, RowReader, active_filters};
use crate::operations::list_transactions::{count_partial_bands, count_whole_bands};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// A row of the export of transactions, or of looked up ids.
pub struct TransactionRow {
    /// The id that was looked up.
    input: Option<String>,
    /// Boxed because it is large and is moved often; `None` if the id was not found.
    payment: Option<Box<FoundTransaction>>,
}

/// How many of [`ALL_COLUMNS`] only looked up ids have.
const OF_LOOKUP: usize = 2;
/// The columns of looked up ids. All others have the same names as the fields in the list of transactions.
pub(super) const ALL_COLUMNS: &[Column<TransactionRow>] = &[
    Column::text("input", |row| row.input.as_deref()),
    Column::flag("found", |row| Some(row.payment.is_some())),
    Column::id("id", |row| Some(row.payment()?.id)),
    Column::keyword("source", |row| Some(row.payment()?.source.as_str())),
    Column::keyword("kind", |row| Some(row.payment()?.kind.as_str())),
    Column::text("source_id", |row| Some(&row.payment()?.source_id)),
    Column::text("reference_id", |row| row.payment()?.reference_id.as_deref()),
    Column::text("client_operation_id", |row| row.payment()?.client_operation_id.as_deref()),
    Column::text("order_id", |row| row.payment()?.order_id.as_deref()),
    Column::text("project", |row| row.payment()?.project.as_deref()),
    Column::text("merchant_id", |row| row.payment()?.merchant_id.as_deref()),
    Column::money("amount", |row| Some(row.payment()?.amount)),
    Column::money("paid_amount", |row| row.payment()?.paid_amount),
    Column::text("currency", |row| Some(&row.payment()?.currency)),
    Column::money("amount_usd", |row| row.payment()?.amount_usd),
    Column::money("fee", |row| row.payment()?.fee),
    Column::money("fee_usd", |row| row.payment()?.fee_usd),
    Column::money("exchange_rate", |row| row.payment()?.exchange_rate),
    Column::keyword("exchange_rate_origin", |row| row.payment()?.rate_origin.map(RateOrigin::as_str)),
    Column::time("exchange_rate_at", |row| row.payment()?.rate_origin.and_then(RateOrigin::fetched_at)),
    Column::keyword("status", |row| Some(row.payment()?.status.as_str())),
    Column::text("original_status", |row| row.payment()?.original_status.as_deref()),
    Column::text("user_id", |row| row.payment()?.user_id.as_deref()),
    Column::text("user_email", |row| row.payment()?.user_email.as_deref()),
    Column::text("user_phone", |row| row.payment()?.user_phone.as_deref()),
    Column::text("user_name", |row| row.payment()?.user_name.as_deref()),
    Column::text("country", |row| row.payment()?.country.as_deref()),
    Column::text("utr", |row| row.payment()?.utr.as_deref()),
    Column::text("payment_method", |row| row.payment()?.payment_method.as_deref()),
    Column::text("payment_product", |row| row.payment()?.payment_product.as_deref()),
    Column::time("created_at", |row| Some(row.payment()?.created_at)),
    Column::time("updated_at", |row| row.payment()?.updated_at),
    Column::time("completed_at", |row| row.payment()?.completed_at),
    Column::time("ingested_at", |row| Some(row.payment()?.ingested_at)),
];

impl TransactionRow {
    fn new(mut transaction: Box<FoundTransaction>, pii_access: PiiAccess) -> Self {
        transaction.original_status = transaction.original_status.take().map(|status| pii_access.text(status));
        transaction.user_id = pii_access.person_id(transaction.user_id.take());
        transaction.user_email = pii_access.email(transaction.user_email.take());
        transaction.user_phone = pii_access.phone(transaction.user_phone.take());
        transaction.user_name = pii_access.name(transaction.user_name.take());
        Self { input: None, payment: Some(transaction) }
    }

    /// What an id has found.
    pub(super) fn looked_up(input: &str, transaction: FoundTransaction, pii_access: PiiAccess) -> Self {
        Self { input: Some(input.to_owned()), ..Self::new(Box::new(transaction), pii_access) }
    }

    pub(super) fn not_found(input: &str) -> Self {
        Self { input: Some(input.to_owned()), payment: None }
    }

    fn payment(&self) -> Option<&FoundTransaction> {
        self.payment.as_deref()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionsExport {
    pub filter: TransactionFilter,
    /// The first and the last day, from which the times of the filter were computed.
    pub days: (Option<NaiveDate>, Option<NaiveDate>),
    /// The time zone of these days.
    #[serde(rename = "days_of")]
    pub zone: Tz,
    pub sort_by: SortBy,
    pub order: SortOrder,
    #[serde(rename = "sight")]
    pub pii_access: PiiAccess,
}

impl TransactionsExport {
    /// The same export of payments that were created on these days.
    #[must_use]
    pub fn for_days(self, days: DayRange) -> Self {
        let range = days.time_range();
        let filter = TransactionFilter { from: Some(range.from), until: Some(range.until), ..self.filter };
        Self { filter, days: (Some(days.from()), Some(days.to())), zone: days.zone(), ..self }
    }
}

impl TransactionsExport {
    /// An end of the time of creation, unless it is the start of `day`.
    fn other_than_day(&self, time: Option<DateTime<Utc>>, day: Option<NaiveDate>) -> Option<String> {
        let time = time.filter(|time| day.is_none_or(|day| start_of_day(day, self.zone) != *time))?;
        Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    fn local_time(&self, part: fn(LocalTimes) -> Option<u32>) -> Option<String> {
        Some(part(self.filter.local_times?)?.to_string())
    }
}

impl ExportSource for TransactionsExport {
    type Row = TransactionRow;
    type SummaryRow = ();

    const NAME: &'static str = "transactions";
    const FROM_PAYMENTS: bool = true;
    const TITLE: &'static str = "Transactions";
    const COLUMNS: &'static [Column<TransactionRow>] = ALL_COLUMNS.split_at(OF_LOOKUP).1;
    const SUMMARY_COLUMNS: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        file_name(Self::NAME, self.days, &dimension_filters(&self.filter.dimensions).map(|(_, values)| values), format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        let text = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        let day = |day: Option<NaiveDate>| text(day.map(|day| day.to_string()));
        let (from, to) = self.days;
        let has_days = from.is_some() || to.is_some();
        let other_filters = [
            ("from_date", day(from)),
            ("to_date", day(to)),
            ("days of", text(has_days.then(|| self.zone.name().to_owned()))),
            ("original_status", self.filter.original_statuses.clone()),
            ("min_amount", text(self.filter.amounts.least.map(format_decimal))),
            ("max_amount", text(self.filter.amounts.most.map(format_decimal))),
            ("amount_below", text(self.filter.amounts.below.map(format_decimal))),
            ("created_from", text(self.other_than_day(self.filter.from, from))),
            ("created_until", text(self.other_than_day(self.filter.until, to.and_then(|day| day.succ_opt())))),
            ("weekday", text(self.local_time(|times| times.weekday))),
            ("hour", text(self.local_time(|times| times.hour))),
            ("search", text(self.filter.search.as_ref().map(|search| search.text.clone()))),
        ];
        active_filters(other_filters.into_iter().chain(dimension_filters(&self.filter.dimensions)))
    }

    fn notes(&self) -> Vec<(&'static str, String)> {
        let sorted = format!("by {}, {}", self.sort_by.as_str(), self.order.as_str());
        vec![("sorted", sorted), personal_data(self.pii_access)]
    }

    fn reader(&self, columns: &[&'static Column<TransactionRow>]) -> impl RowReader<Row = TransactionRow> {
        let columns = columns.iter().map(|column| column.name).collect();
        TransactionReader { export: self.clone(), columns, statement: None }
    }
}

pub(super) fn personal_data(access: PiiAccess) -> (&'static str, String) {
    let shown = match access {
        PiiAccess::Full => "shown",
        PiiAccess::Masked => "masked: the role of the user who exported it may not see it",
    };
    ("personal data", shown.to_owned())
}

/// The filters of the metric dimensions, by the names of the query parameters.
pub(super) fn dimension_filters(filter: &MetricFilter) -> [(&'static str, Vec<String>); 9] {
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
        ("count", filter.excluded_payins.iter().map(|_| Counting::Payments.as_str().to_owned()).collect()),
    ]
}

struct TransactionReader {
    export: TransactionsExport,
    columns: Vec<&'static str>,
    statement: Option<TransactionStream>,
}

impl TransactionReader {
    fn statement(&self, rare: bool) -> TransactionStream {
        TransactionStream::new(&self.export.filter, self.export.sort_by, self.export.order, &self.columns, rare)
    }
}

impl RowReader for TransactionReader {
    type Row = TransactionRow;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        let (connection, filter) = (snapshot.connection()?, &self.export.filter);
        let count = match filter.rollup_count() {
            RollupCount::Exact(query) => {
                Count { total: payment_count(&sums::list(connection, &query).await?), exact: true }
            }
            RollupCount::ByAmountBand(query) => {
                let rows = sums::list(&mut *connection, &query).await?;
                count_whole_bands(filter, &rows) + count_partial_bands(connection, filter).await?
            }
            RollupCount::UpperBound(query) => {
                let at_most = payment_count(&sums::list(&mut *connection, &query).await?);
                search::count(connection, filter, at_most).await?
            }
        };
        // If all matches of a text could be counted, the text is rare.
        self.statement = Some(self.statement(count.exact));
        Ok(count)
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<TransactionRow, DbError>> {
        let pii_access = self.export.pii_access;
        let default = self.statement(false);
        let statement = self.statement.get_or_insert(default);
        statement.read(snapshot).map_ok(move |row| TransactionRow::new(row, pii_access)).boxed()
    }
}
