//! PayShack's service providers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::db::count::Count;
use crate::db::metadata::{ListFilter, NameCursor, StoredRow, service_providers};
use crate::domain::metadata::ServiceProvider;
use crate::web::filters::payshack::MetadataQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::state::State;

/// What cursors are signed for.
const LISTING: &str = "payshack service providers";

/// A service provider: a bank or switch that PayShack's payments go through. What PayShack does not say is null.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackServiceProvider {
    /// Its id at PayShack.
    service_provider_id: String,
    /// Its name.
    name: Option<String>,
    /// Its short name.
    code: Option<String>,
    /// PayShack's word for how it stands.
    status: Option<String>,
    /// Whether it is active.
    is_active: Option<bool>,
    /// Whether pay-ins can go through it.
    supports_payin: Option<bool>,
    /// Whether pay-outs can go through it.
    supports_payout: Option<bool>,
    /// Whether PayShack listed it when the list was last read.
    listed: bool,
    /// When it was first listed.
    first_seen_at: Time,
    /// When it was last listed.
    last_seen_at: Time,
    /// When anything of the above last changed.
    changed_at: Time,
}

impl From<StoredRow<ServiceProvider>> for PayshackServiceProvider {
    fn from(stored: StoredRow<ServiceProvider>) -> Self {
        let StoredRow { row, listed, first_seen_at, last_seen_at, changed_at } = stored;
        Self {
            service_provider_id: row.service_provider_id,
            name: row.name,
            code: row.code,
            status: row.status,
            is_active: row.is_active,
            supports_payin: row.supports_payin,
            supports_payout: row.supports_payout,
            listed,
            first_seen_at: Time(first_seen_at),
            last_seen_at: Time(last_seen_at),
            changed_at: Time(changed_at),
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
            listed: true,
            first_seen_at: Time(EXAMPLE_TIME),
            last_seen_at: Time(EXAMPLE_TIME),
            changed_at: Time(EXAMPLE_TIME),
        }
    }
}

/// The endpoints.
pub(in crate::web) struct ServiceProvidersApi;

#[OpenApi(prefix_path = "/api/v1/payshack", tag = "Tag::Payshack")]
impl ServiceProvidersApi {
    /// List PayShack's service providers
    ///
    /// By their names. One that PayShack no longer lists stays, marked by `listed`.
    #[oai(path = "/service-providers", method = "get", operation_id = "listPayshackServiceProviders")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetadataQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackServiceProvider>>, Fails> {
        let filter = ListFilter::from(query.0);
        let asked: Window<NameCursor> = state.cursors.window(LISTING, &page.0)?;
        let window = asked.to_db();
        let (found, total) = tokio::try_join!(
            service_providers::list(&state.pool, &filter, &window),
            service_providers::count(&state.pool, &filter)
        )?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(LISTING, &asked, count, found, StoredRow::<ServiceProvider>::cursor);
        Ok(Json(page.map(PayshackServiceProvider::from)))
    }
}
