//! PayShack's directory: clients, resellers and service providers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::db::count::Count;
use crate::db::metadata::{ListFilter, MetadataTable, NameCursor, StoredRow};
use crate::domain::masking::PiiAccess;
use crate::domain::metadata::{Client, Reseller, ServiceProvider};
use crate::web::filters::payshack::MetadataQuery;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time};
use crate::web::state::State;

/// The names that cursors are signed with.
const CLIENTS: &str = "payshack clients";
const RESELLERS: &str = "payshack resellers";
const SERVICE_PROVIDERS: &str = "payshack service providers";

/// When PayShack listed an entry.
#[derive(Debug, Clone, Object)]
struct ListingTimes {
    /// Whether PayShack listed the entry when the list was last read.
    listed: bool,
    /// When PayShack first listed the entry.
    first_seen_at: Time,
    /// When PayShack last listed the entry.
    last_seen_at: Time,
    /// When a field of the entry, or `listed`, last changed.
    changed_at: Time,
}

impl<Row> From<&StoredRow<Row>> for ListingTimes {
    fn from(stored: &StoredRow<Row>) -> Self {
        Self {
            listed: stored.listed,
            first_seen_at: Time(stored.first_seen_at),
            last_seen_at: Time(stored.last_seen_at),
            changed_at: Time(stored.changed_at),
        }
    }
}

/// A client: a merchant whose payments PayShack processes. Fields that PayShack does not report are null.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackClient {
    /// The client's id at PayShack, the `merchant_id` of its transactions.
    client_id: String,
    /// The client's name.
    name: Option<String>,
    /// The client's email address; masked for viewers.
    email: Option<String>,
    /// The status, as PayShack names it.
    status: Option<String>,
    /// Whether the client is active.
    is_active: Option<bool>,
    /// The client's balance, in rupees.
    balance: Option<Money>,
    /// The balance of the client's wallet, in rupees.
    wallet_balance: Option<Money>,
    /// The client's commission, as PayShack reports it.
    commission_rate: Option<Money>,
    /// The id of the client's reseller.
    reseller_id: Option<String>,
    #[oai(flatten)]
    listed: ListingTimes,
}

impl PayshackClient {
    fn new(pii: PiiAccess, stored: StoredRow<Client>) -> Self {
        let listed = ListingTimes::from(&stored);
        let client = stored.row;
        Self {
            client_id: client.client_id,
            name: client.name,
            email: pii.email(client.email),
            status: client.status,
            is_active: client.is_active,
            balance: client.balance.map(Money),
            wallet_balance: client.wallet_balance.map(Money),
            commission_rate: client.commission_rate.map(Money),
            reseller_id: client.reseller_id,
            listed,
        }
    }
}

/// A reseller: a company that brings clients to PayShack. Fields that PayShack does not report are null.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackReseller {
    /// The reseller's id at PayShack.
    reseller_id: String,
    /// The id of the reseller's login.
    user_id: Option<String>,
    /// The reseller's name.
    name: Option<String>,
    /// The reseller's email address; masked for viewers.
    email: Option<String>,
    /// The reseller's role, as PayShack names it.
    role: Option<String>,
    /// The status, as PayShack names it.
    status: Option<String>,
    /// Whether the reseller is active.
    is_active: Option<bool>,
    /// The reseller's balance, in rupees.
    balance: Option<Money>,
    #[oai(flatten)]
    listed: ListingTimes,
}

impl PayshackReseller {
    fn new(pii: PiiAccess, stored: StoredRow<Reseller>) -> Self {
        let listed = ListingTimes::from(&stored);
        let reseller = stored.row;
        Self {
            reseller_id: reseller.reseller_id,
            user_id: pii.person_id(reseller.user_id),
            name: reseller.name,
            email: pii.email(reseller.email),
            role: reseller.role,
            status: reseller.status,
            is_active: reseller.is_active,
            balance: reseller.balance.map(Money),
            listed,
        }
    }
}

/// A service provider: a bank or switch that processes PayShack's payments. Fields that PayShack does not report are null.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackServiceProvider {
    /// The service provider's id at PayShack.
    service_provider_id: String,
    /// The service provider's name.
    name: Option<String>,
    /// The service provider's short name.
    code: Option<String>,
    /// The status, as PayShack names it.
    status: Option<String>,
    /// Whether the service provider is active.
    is_active: Option<bool>,
    /// Whether the service provider processes pay-ins.
    supports_payin: Option<bool>,
    /// Whether the service provider processes pay-outs.
    supports_payout: Option<bool>,
    #[oai(flatten)]
    listed: ListingTimes,
}

impl From<StoredRow<ServiceProvider>> for PayshackServiceProvider {
    fn from(stored: StoredRow<ServiceProvider>) -> Self {
        let listed = ListingTimes::from(&stored);
        let provider = stored.row;
        Self {
            service_provider_id: provider.service_provider_id,
            name: provider.name,
            code: provider.code,
            status: provider.status,
            is_active: provider.is_active,
            supports_payin: provider.supports_payin,
            supports_payout: provider.supports_payout,
            listed,
        }
    }
}

pub(in crate::web) struct DirectoryApi;

#[OpenApi(prefix_path = "/api/v1/payshack", tag = "Tag::Payshack")]
impl DirectoryApi {
    /// List PayShack clients
    ///
    /// Clients by name, with the balances of the last read. Clients that PayShack no longer lists are kept, with `listed` false.
    /// Email addresses are masked for viewers.
    #[oai(path = "/clients", method = "get", operation_id = "listPayshackClients")]
    async fn clients(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetadataQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackClient>>, Fails> {
        let filter = ListFilter::from(query.0);
        let asked: Window<NameCursor> = state.cursors.window(CLIENTS, &page.0)?;
        let window = asked.to_db();
        let (found, total) =
            tokio::try_join!(Client::list(&state.pool, &filter, &window), Client::count(&state.pool, &filter))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(CLIENTS, &asked, count, found, StoredRow::<Client>::cursor);
        let pii = PiiAccess::for_role(caller.0.role);
        Ok(Json(page.map(|client| PayshackClient::new(pii, client))))
    }

    /// List PayShack resellers
    ///
    /// Resellers by name, with the balances of the last read. Resellers that PayShack no longer lists are kept, with `listed`
    /// false. Email addresses and ids of users are masked for viewers.
    #[oai(path = "/resellers", method = "get", operation_id = "listPayshackResellers")]
    async fn resellers(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetadataQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackReseller>>, Fails> {
        let filter = ListFilter::from(query.0);
        let asked: Window<NameCursor> = state.cursors.window(RESELLERS, &page.0)?;
        let window = asked.to_db();
        let (found, total) =
            tokio::try_join!(Reseller::list(&state.pool, &filter, &window), Reseller::count(&state.pool, &filter))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(RESELLERS, &asked, count, found, StoredRow::<Reseller>::cursor);
        let pii = PiiAccess::for_role(caller.0.role);
        Ok(Json(page.map(|reseller| PayshackReseller::new(pii, reseller))))
    }

    /// List PayShack service providers
    ///
    /// Service providers by name. Those that PayShack no longer lists are kept, with `listed` false.
    #[oai(path = "/service-providers", method = "get", operation_id = "listPayshackServiceProviders")]
    async fn service_providers(
        &self,
        state: Data<&Arc<State>>,
        query: Query<MetadataQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackServiceProvider>>, Fails> {
        let filter = ListFilter::from(query.0);
        let asked: Window<NameCursor> = state.cursors.window(SERVICE_PROVIDERS, &page.0)?;
        let window = asked.to_db();
        let (found, total) = tokio::try_join!(
            ServiceProvider::list(&state.pool, &filter, &window),
            ServiceProvider::count(&state.pool, &filter)
        )?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(SERVICE_PROVIDERS, &asked, count, found, StoredRow::<ServiceProvider>::cursor);
        Ok(Json(page.map(PayshackServiceProvider::from)))
    }
}

impl Example for ListingTimes {
    fn example() -> Self {
        let time = Time(EXAMPLE_TIME);
        Self { listed: true, first_seen_at: time, last_seen_at: time, changed_at: time }
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
            listed: ListingTimes::example(),
        }
    }
}

impl Example for PayshackReseller {
    fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            reseller_id: "reseller-1".to_owned(),
            user_id: text("user-1"),
            name: text("Example Reseller"),
            email: text("r***@example.com"),
            role: text("Reseller"),
            status: text("Active"),
            is_active: Some(true),
            balance: Some(Money(450_000.into())),
            listed: ListingTimes::example(),
        }
    }
}

impl Example for PayshackServiceProvider {
    fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            service_provider_id: "sp-1003".to_owned(),
            name: text("Example UPI Switch"),
            code: text("EUS"),
            status: text("Active"),
            is_active: Some(true),
            supports_payin: Some(true),
            supports_payout: Some(false),
            listed: ListingTimes::example(),
        }
    }
}
