//! PayShack's resellers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::address_shown_to;
use crate::db::count::Count;
use crate::db::metadata::{ListFilter, NameCursor, StoredRow, resellers};
use crate::domain::access::Principal;
use crate::domain::metadata::Reseller;
use crate::web::filters::payshack::MetadataQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time};
use crate::web::state::State;

/// What cursors are signed for.
const LISTING: &str = "payshack resellers";

/// A reseller: who brings clients to PayShack. What PayShack does not say is null.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackReseller {
    /// Its id at PayShack.
    reseller_id: String,
    /// The id it logs in by.
    user_id: Option<String>,
    /// Its name.
    name: Option<String>,
    /// Whom to write to; masked for a viewer.
    email: Option<String>,
    /// What it may do at PayShack, in PayShack's words.
    role: Option<String>,
    /// PayShack's word for how it stands.
    status: Option<String>,
    /// Whether it is active.
    is_active: Option<bool>,
    /// What it holds, in rupees.
    balance: Option<Money>,
    /// Whether PayShack listed it when the list was last read.
    listed: bool,
    /// When it was first listed.
    first_seen_at: Time,
    /// When it was last listed.
    last_seen_at: Time,
    /// When anything of the above last changed.
    changed_at: Time,
}

impl PayshackReseller {
    /// A reseller as `principal` may see it.
    fn shown_to(principal: &Principal, stored: StoredRow<Reseller>) -> Self {
        let StoredRow { row, listed, first_seen_at, last_seen_at, changed_at } = stored;
        Self {
            reseller_id: row.reseller_id,
            user_id: row.user_id,
            name: row.name,
            email: address_shown_to(principal, row.email),
            role: row.role,
            status: row.status,
            is_active: row.is_active,
            balance: row.balance.map(Money),
            listed,
            first_seen_at: Time(first_seen_at),
            last_seen_at: Time(last_seen_at),
            changed_at: Time(changed_at),
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
            listed: true,
            first_seen_at: Time(EXAMPLE_TIME),
            last_seen_at: Time(EXAMPLE_TIME),
            changed_at: Time(EXAMPLE_TIME),
        }
    }
}

/// The endpoints.
pub(in crate::web) struct ResellersApi;

#[OpenApi(prefix_path = "/api/v1/payshack", tag = "Tag::Payshack")]
impl ResellersApi {
    /// List PayShack's resellers
    ///
    /// By their names, with what they hold as it was last read. One that PayShack no longer lists stays, marked by `listed`.
    /// Its email address is masked for a viewer.
    #[oai(path = "/resellers", method = "get", operation_id = "listPayshackResellers")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        query: Query<MetadataQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackReseller>>, Fails> {
        let filter = ListFilter::from(query.0);
        let asked: Window<NameCursor> = state.cursors.window(LISTING, &page.0)?;
        let window = asked.to_db();
        let (found, total) =
            tokio::try_join!(resellers::list(&state.pool, &filter, &window), resellers::count(&state.pool, &filter))?;
        let page =
            state.cursors.page(LISTING, &asked, Count { total, exact: true }, found, StoredRow::<Reseller>::cursor);
        Ok(Json(page.map(|reseller| PayshackReseller::shown_to(&viewer.0, reseller))))
    }
}
