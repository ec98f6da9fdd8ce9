//! Ids that someone pasted, with the transactions that have them, and a row for each id that was not found.

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::transactions::{ALL_COLUMNS, TransactionRow, personal_data};
use crate::db::DbError;
use crate::db::count::Count;
use crate::db::snapshot::Snapshot;
use crate::domain::masking::PiiAccess;
use crate::operations::export::source::{ExportSource, RowReader};
use crate::operations::look_up_transactions::{MAX_MATCHES, look_up_transactions};
use crate::tabular::Format;
use crate::tabular::columns::Column;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupExport {
    pub ids: Vec<String>,
    /// Empty means all.
    pub projects: Vec<String>,
    #[serde(rename = "sight")]
    pub pii_access: PiiAccess,
}

impl ExportSource for LookupExport {
    type Row = TransactionRow;
    type SummaryRow = ();

    const NAME: &'static str = "transactions";
    const FROM_PAYMENTS: bool = true;
    const TITLE: &'static str = "Transactions";
    const COLUMNS: &'static [Column<TransactionRow>] = ALL_COLUMNS;
    const SUMMARY_COLUMNS: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        format!("{}_by_{}_ids.{}", Self::NAME, self.ids.len(), format.as_str())
    }

    /// The number of the ids, and not the ids: they are in the file, and what someone pastes may be personal data, which neither a
    /// summary nor the audit log should keep.
    fn filters(&self) -> Vec<(&'static str, String)> {
        let projects = (!self.projects.is_empty()).then(|| ("project", self.projects.join(",")));
        [("ids", self.ids.len().to_string())].into_iter().chain(projects).collect()
    }

    fn notes(&self) -> Vec<(&'static str, String)> {
        let matches = format!("at most {MAX_MATCHES} of an id, those with exactly the same text before others");
        vec![("sorted", "in the order of the ids".to_owned()), ("matches", matches), personal_data(self.pii_access)]
    }

    fn reader(&self, _columns: &[&'static Column<TransactionRow>]) -> impl RowReader<Row = TransactionRow> {
        LookupReader { export: self.clone(), rows: None }
    }
}

/// Reads all rows at once: the number of ids is limited.
struct LookupReader {
    export: LookupExport,
    rows: Option<Vec<TransactionRow>>,
}

impl LookupReader {
    async fn list(&self, snapshot: &mut Snapshot) -> Result<Vec<TransactionRow>, DbError> {
        let LookupExport { ids, projects, pii_access } = &self.export;
        let looked_up = look_up_transactions(snapshot.connection()?, ids, projects).await?;
        let rows = looked_up.into_iter().flat_map(|asked| {
            if asked.matches.is_empty() {
                return vec![TransactionRow::not_found(&asked.id)];
            }
            let matches = asked.matches.into_iter();
            matches.map(|found| TransactionRow::looked_up(&asked.id, found, *pii_access)).collect()
        });
        Ok(rows.collect())
    }
}

impl RowReader for LookupReader {
    type Row = TransactionRow;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        let rows = self.list(snapshot).await?;
        let count = Count { total: rows.len() as u64, exact: true };
        self.rows = Some(rows);
        Ok(count)
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<TransactionRow, DbError>> {
        match self.rows.take() {
            Some(rows) => stream::iter(rows).map(Ok).boxed(),
            None => stream::once(self.list(snapshot)).map_ok(|rows| stream::iter(rows).map(Ok)).try_flatten().boxed(),
        }
    }
}
