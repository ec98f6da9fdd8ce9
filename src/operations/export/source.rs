//! What an export needs to know about its data: the columns, the filters, and a reader of the rows.

use std::future::Future;

use futures_util::stream::BoxStream;

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::snapshot::Snapshot;
use crate::tabular::Format;
use crate::tabular::columns::Column;

/// Data that can be exported.
pub trait ExportSource: Send + Sync + 'static {
    type Row: Send + 'static;
    /// A row of the table on the summary sheet of a workbook.
    type SummaryRow: Send + 'static;

    /// The name in the API, with which file names begin.
    const NAME: &'static str;
    /// The title of the data sheets of a workbook.
    const TITLE: &'static str;
    const COLUMNS: &'static [Column<Self::Row>];
    /// Empty if the summary sheet has no table.
    const SUMMARY_COLUMNS: &'static [Column<Self::SummaryRow>];

    /// Whether all of its data follows from the transactions, so that a replica that has these can be read.
    const FROM_PAYMENTS: bool = false;

    fn file_name(&self, format: Format) -> String;

    /// The names and values of the active filters.
    fn filters(&self) -> Vec<(&'static str, String)>;

    /// What else the summary sheet has to explain to someone who opens the workbook years later.
    fn notes(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    /// A reader of the rows, which may leave out whatever `columns` do not show.
    fn reader(&self, columns: &[&'static Column<Self::Row>]) -> impl RowReader<Row = Self::Row>;

    /// The rows of the table on the summary sheet.
    fn summary(&self, _snapshot: &mut Snapshot) -> impl Future<Output = Result<Vec<Self::SummaryRow>, DbError>> + Send {
        async { Ok(vec![]) }
    }
}

/// Reads the rows of an export.
pub trait RowReader: Send + 'static {
    type Row: Send + 'static;

    /// The number of rows, exact unless counting would cost too much. Called before [`RowReader::read`].
    fn count(&mut self, snapshot: &mut Snapshot) -> impl Future<Output = Result<Count, DbError>> + Send;

    /// The rows, read as fast as they are consumed.
    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<Self::Row, DbError>>;
}

/// The filters that have values, with the values joined by commas.
pub(super) fn active_filters(
    filters: impl IntoIterator<Item = (&'static str, Vec<String>)>,
) -> Vec<(&'static str, String)> {
    let active = filters.into_iter().filter(|(_, values)| !values.is_empty());
    active.map(|(name, values)| (name, values.join(","))).collect()
}
