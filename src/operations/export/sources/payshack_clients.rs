//! PayShack's clients and their balances.

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::metadata::{ListFilter, MetadataTable, StoredRow};
use crate::db::page::PageWindow;
use crate::db::snapshot::Snapshot;
use crate::domain::masking::PiiAccess;
use crate::domain::metadata::Client;
use crate::operations::export::source::{ExportSource, RowReader};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// The same fields, by the same names, as in the list of clients.
static COLUMNS: [Column<StoredRow<Client>>; 13] = [
    Column::text("client_id", |client| Some(&client.row.client_id)),
    Column::text("name", |client| client.row.name.as_deref()),
    Column::text("email", |client| client.row.email.as_deref()),
    Column::text("status", |client| client.row.status.as_deref()),
    Column::flag("is_active", |client| client.row.is_active),
    Column::money("balance", |client| client.row.balance),
    Column::money("wallet_balance", |client| client.row.wallet_balance),
    Column::money("commission_rate", |client| client.row.commission_rate),
    Column::text("reseller_id", |client| client.row.reseller_id.as_deref()),
    Column::flag("listed", |client| Some(client.listed)),
    Column::time("first_seen_at", |client| Some(client.first_seen_at)),
    Column::time("last_seen_at", |client| Some(client.last_seen_at)),
    Column::time("changed_at", |client| Some(client.changed_at)),
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayshackClientsExport {
    pub filter: ListFilter,
    #[serde(rename = "sight")]
    pub pii_access: PiiAccess,
}

impl ExportSource for PayshackClientsExport {
    type Row = StoredRow<Client>;
    type SummaryRow = ();

    const NAME: &'static str = "payshack-clients";
    const TITLE: &'static str = "Clients";
    const COLUMNS: &'static [Column<StoredRow<Client>>] = &COLUMNS;
    const SUMMARY_COLUMNS: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        let value = |flag: Option<bool>, yes, no| flag.map(|flag| if flag { yes } else { no }).into_iter().collect();
        let values =
            [value(self.filter.is_active, "active", "inactive"), value(self.filter.listed, "listed", "unlisted")];
        file_name(Self::NAME, (None, None), &values, format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        let ListFilter { search, is_active, listed } = &self.filter;
        let flag = |flag: &Option<bool>| flag.map(|flag| flag.to_string());
        let all = [("search", search.clone()), ("is_active", flag(is_active)), ("listed", flag(listed))];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn reader(&self, _columns: &[&'static Column<StoredRow<Client>>]) -> impl RowReader<Row = StoredRow<Client>> {
        ClientReader(self.clone())
    }
}

/// Reads all clients at once: there are thousands at most, and the provider lists them in one response too.
struct ClientReader(PayshackClientsExport);

impl ClientReader {
    async fn list(&self, snapshot: &mut Snapshot) -> Result<Vec<StoredRow<Client>>, DbError> {
        let mut clients = Client::list(snapshot.connection()?, &self.0.filter, &PageWindow::ALL).await?;
        for client in &mut clients {
            client.row.email = self.0.pii_access.email(client.row.email.take());
        }
        Ok(clients)
    }
}

impl RowReader for ClientReader {
    type Row = StoredRow<Client>;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        Ok(Count { total: Client::count(snapshot.connection()?, &self.0.filter).await?, exact: true })
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<StoredRow<Client>, DbError>> {
        stream::once(self.list(snapshot)).map_ok(|clients| stream::iter(clients).map(Ok)).try_flatten().boxed()
    }
}
