//! PayShack's clients.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::address_shown_to;
use crate::db::count::Count;
use crate::db::metadata::{ListFilter, NameCursor, StoredRow, clients};
use crate::domain::access::Principal;
use crate::domain::metadata::Client;
use crate::web::filters::payshack::MetadataQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time};
use crate::web::state::State;

/// What cursors are signed for.
const LISTING: &str = "payshack clients";

/// A client: a merchant whose payments PayShack processes. What PayShack does not say is null.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackClient {
    /// Its id at PayShack, the `merchant_id` of its payments.
    client_id: String,
    /// Its name.
    name: Option<String>,
    /// Whom to write to; masked for a viewer.
    email: Option<String>,
    /// PayShack's word for how it stands.
    status: Option<String>,
    /// Whether it is active.
    is_active: Option<bool>,
    /// What it holds, in rupees.
    balance: Option<Money>,
    /// What its wallet holds, in rupees.
    wallet_balance: Option<Money>,
    /// What it is charged, as PayShack writes it.
    commission_rate: Option<Money>,
    /// The reseller it belongs to.
    reseller_id: Option<String>,
    /// Whether PayShack listed it when the list was last read.
    listed: bool,
    /// When it was first listed.
    first_seen_at: Time,
    /// When it was last listed.
    last_seen_at: Time,
    /// When anything of the above last changed.
    changed_at: Time,
}

impl PayshackClient {
    /// A client as `principal` may see it.
    fn shown_to(principal: &Principal, stored: StoredRow<Client>) -> Self {
        let StoredRow { row, listed, first_seen_at, last_seen_at, changed_at } = stored;
        Self {
            client_id: row.client_id,
            name: row.name,
            email: address_shown_to(principal, row.email),
            status: row.status,
            is_active: row.is_active,
            balance: row.balance.map(Money),
            wallet_balance: row.wallet_balance.map(Money),
            commission_rate: row.commission_rate.map(Money),
            reseller_id: row.reseller_id,
            listed,
            first_seen_at: Time(first_seen_at),
            last_seen_at: Time(last_seen_at),
            changed_at: Time(changed_at),
        }
    }
}

impl Example for PayshackClient {
    fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            client_id: "client-7".to_owned(),
            name: text("Example Shop"),
            email: text("s***@example.com"),
            status: text("Active"),
            is_active: Some(true),
            balance: Some(Money(125_000.into())),
            wallet_balance: Some(Money(98_000.into())),
            commission_rate: Some(Money(2.into())),
            reseller_id: text("reseller-1"),
            listed: true,
            first_seen_at: Time(EXAMPLE_TIME),
            last_seen_at: Time(EXAMPLE_TIME),
            changed_at: Time(EXAMPLE_TIME),
        }
    }
}

/// The endpoints.
pub(in crate::web) struct ClientsApi;

#[OpenApi(prefix_path = "/api/v1/payshack", tag = "Tag::Payshack")]
impl ClientsApi {
    /// List PayShack's clients
    ///
    /// By their names, with what they hold as it was last read. One that PayShack no longer lists stays, marked by `listed`.
    /// Its email address is masked for a viewer.
    #[oai(path = "/clients", method = "get", operation_id = "listPayshackClients")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        query: Query<MetadataQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackClient>>, Fails> {
        let filter = ListFilter::from(query.0);
        let asked: Window<NameCursor> = state.cursors.window(LISTING, &page.0)?;
        let window = asked.to_db();
        let (found, total) =
            tokio::try_join!(clients::list(&state.pool, &filter, &window), clients::count(&state.pool, &filter))?;
        let page =
            state.cursors.page(LISTING, &asked, Count { total, exact: true }, found, StoredRow::<Client>::cursor);
        Ok(Json(page.map(|client| PayshackClient::shown_to(&viewer.0, client))))
    }
}
