//! PayShack's clients, with what they hold.

use futures_util::stream::{self, BoxStream, StreamExt};
use serde::{Deserialize, Serialize};

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::metadata::{ListFilter, StoredRow, clients};
use crate::db::page::PageWindow;
use crate::db::snapshot::Snapshot;
use crate::domain::masking::PiiAccess;
use crate::domain::metadata::Client;
use crate::operations::export::{ExportSource, Rows};
use crate::tabular::Format;
use crate::tabular::columns::Column;
use crate::tabular::file_name::file_name;

/// Everything that the list tells of a client, by the same names.
static CLIENT_COLUMNS: [Column<StoredRow<Client>>; 13] = [
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

/// An export of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayshackClientsExport {
    /// Of which.
    pub filter: ListFilter,
    /// How personal data is shown.
    pub sight: PiiAccess,
}

impl ExportSource for PayshackClientsExport {
    type Row = StoredRow<Client>;
    type Line = ();

    const NAME: &'static str = "payshack-clients";
    const TITLE: &'static str = "Clients";
    const COLUMNS: &'static [Column<StoredRow<Client>>] = &CLIENT_COLUMNS;
    const SUMMARY: &'static [Column<()>] = &[];

    fn file_name(&self, format: Format) -> String {
        let word = |set: Option<bool>, yes, no| set.map(|set| if set { yes } else { no }).into_iter().collect();
        let words = [word(self.filter.is_active, "active", "inactive"), word(self.filter.listed, "listed", "unlisted")];
        file_name(Self::NAME, (None, None), &words, format)
    }

    fn filters(&self) -> Vec<(&'static str, String)> {
        let ListFilter { search, is_active, listed } = &self.filter;
        let flag = |flag: &Option<bool>| flag.map(|flag| flag.to_string());
        let all = [("search", search.clone()), ("is_active", flag(is_active)), ("listed", flag(listed))];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn rows(&self, _columns: &[&'static Column<StoredRow<Client>>]) -> impl Rows<Row = StoredRow<Client>> {
        ExportedClients(self.clone())
    }
}

/// The clients as they are read: all at once, for there are thousands at most, and the provider lists them so too.
struct ExportedClients(PayshackClientsExport);

impl ExportedClients {
    async fn list(&self, snapshot: &mut Snapshot) -> Result<Vec<StoredRow<Client>>, DbError> {
        let mut found = clients::list(snapshot.connection()?, &self.0.filter, &PageWindow::ALL).await?;
        for client in &mut found {
            client.row.email = self.0.sight.email(client.row.email.take());
        }
        Ok(found)
    }
}

impl Rows for ExportedClients {
    type Row = StoredRow<Client>;

    async fn count(&mut self, snapshot: &mut Snapshot) -> Result<Count, DbError> {
        Ok(Count { total: clients::count(snapshot.connection()?, &self.0.filter).await?, exact: true })
    }

    fn read<'a>(&'a mut self, snapshot: &'a mut Snapshot) -> BoxStream<'a, Result<StoredRow<Client>, DbError>> {
        let all = async {
            match self.list(snapshot).await {
                Ok(found) => stream::iter(found.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            }
        };
        stream::once(all).flatten().boxed()
    }
}
