//! Saved views: filters of a page of the console under a name, personal or shared.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde_json::json;
use uuid::Uuid;

use super::http::auth::Caller;
use super::http::body::Body;
use super::http::fails::{Fails, Failure};
use super::http::fields::{Fields, request_fields};
use super::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use super::http::pagination::{Page, PageQuery, Window};
use super::http::path::Path;
use super::http::problem::{FieldError, Problem, ProblemCode};
use super::http::query::Query;
use super::http::schema::Time;
use super::state::State;
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::saved_views;
use crate::domain::saved_view::{Filters, ViewProperties, check_filters, check_name, check_page};
use crate::operations::audit::AuditContext;
use crate::operations::saved_views::{ViewError, create_view, delete_view, find_view, update_view};

const LISTING: &str = "views";

request_fields! {
    /// A view. A change needs only the fields that change; a new one needs `name` and `page`.
    #[oai(example)]
    struct ViewRequest {
        /// The name, at most 200 characters.
        #[oai(validator(max_length = 200))]
        name: Option<String>,
        /// The page of the console, at most 40 lower-case letters, digits and hyphens: `payments`, `overview`, `reconciliation`,
        /// `jobs`, `sync`, `merchants`, `alerts`.
        #[oai(validator(max_length = 40, pattern = "^[a-z0-9-]+$"))]
        page: Option<String>,
        /// The filters by their names, at most 50 and 8 KiB. A value is a string, a number, a boolean, or a list of at most 100 of
        /// them. The service does not interpret them. In a change, they replace all former ones.
        filters: Option<Filters>,
        /// Whether everyone sees the view; default: `false`. Needs the role operator.
        shared: Option<bool>,
    }
    check: ViewRequest::check
}

impl ViewRequest {
    fn check(&self, fields: &mut Fields) {
        let checks = [
            ("name", self.name.as_deref().map(check_name)),
            ("page", self.page.as_deref().map(check_page)),
            ("filters", self.filters.as_ref().map(check_filters)),
        ];
        for (name, check) in checks {
            if let Some(Err(problem)) = check {
                fields.error(name, problem);
            }
        }
    }

    /// `before`, if there is one, with the fields that are given.
    fn properties(self, before: Option<&ViewProperties>) -> Result<ViewProperties, Problem> {
        let name = self.name.map(|name| name.trim().to_owned()).or_else(|| before.map(|before| before.name.clone()));
        let page = self.page.or_else(|| before.map(|before| before.page.clone()));
        let filters = self.filters.or_else(|| before.map(|before| before.filters.clone()));
        let shared = self.shared.or_else(|| before.map(|before| before.shared));
        let (Some(name), Some(page)) = (&name, &page) else {
            let missing = [("name", name.is_none()), ("page", page.is_none())];
            let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
            let errors = missing
                .map(|(field, _)| FieldError { field: field.to_owned(), message: "is required".to_owned() })
                .collect();
            return Err(Problem::validation(errors));
        };
        Ok(ViewProperties {
            name: name.clone(),
            page: page.clone(),
            filters: filters.unwrap_or_default(),
            shared: shared.unwrap_or_default(),
        })
    }
}

fn example_filters() -> Filters {
    [("status".to_owned(), json!(["failed", "pending"])), ("min_amount".to_owned(), json!("10000"))].into()
}

impl Example for ViewRequest {
    fn example() -> Self {
        Self {
            name: Some("Large payments without success".to_owned()),
            page: Some("payments".to_owned()),
            filters: Some(example_filters()),
            shared: Some(true),
        }
    }
}

request_fields! {
    /// Which views are listed.
    struct ViewQuery {
        /// Filter by page of the console. (`page` is the number of the page of the list.)
        of_page: Option<String>,
    }
}

/// A saved view.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct SavedView {
    /// The id.
    id: Uuid,
    /// The name.
    name: String,
    /// The page of the console.
    page: String,
    /// The filters by their names. For viewers, personal data in the views of others is masked.
    filters: Filters,
    /// Whether everyone sees it.
    shared: bool,
    /// The name of the key, or of the person, that it belongs to.
    owner: String,
    /// Whether it belongs to the caller.
    is_own: bool,
    /// When it was created.
    created_at: Time,
    /// When it was changed last.
    updated_at: Time,
}

impl SavedView {
    /// Someone may have saved a search for a person.
    fn visible_to(caller: &Caller, view: saved_views::SavedView) -> Self {
        let ViewProperties { name, page, filters, shared } = view.properties;
        let is_own = view.owner_key == caller.0.key_id;
        let pii = caller.pii_access();
        let (name, filters) = if is_own {
            (name, filters)
        } else {
            let filters = filters.into_iter().map(|(name, value)| (name, pii.json(value)));
            (pii.text(name), filters.collect())
        };
        Self {
            id: view.id,
            name,
            page,
            filters,
            shared,
            owner: view.owner,
            is_own,
            created_at: Time(view.created_at),
            updated_at: Time(view.updated_at),
        }
    }
}

impl Example for SavedView {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            name: "Large payments without success".to_owned(),
            page: "payments".to_owned(),
            filters: example_filters(),
            shared: true,
            owner: "finance".to_owned(),
            is_own: false,
            created_at: Time(EXAMPLE_TIME),
            updated_at: Time(EXAMPLE_TIME),
        }
    }
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The new view.
    #[oai(status = 201)]
    Created(Json<SavedView>),
}

pub(in crate::web) struct ViewsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Views")]
impl ViewsApi {
    /// List views
    ///
    /// The views of the caller and all shared ones, newest first. Personal views of others are never listed, not even for admins.
    #[oai(path = "/views", method = "get", operation_id = "listViews")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<ViewQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<SavedView>>, Fails> {
        let window: Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let (db_window, owner, of_page) = (window.to_db(), caller.0.key_id, query.0.of_page.as_deref());
        let (found, total) = tokio::try_join!(
            saved_views::list(&state.pool, owner, of_page, &db_window),
            saved_views::count(&state.pool, owner, of_page)
        )?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(LISTING, &window, count, found, |found| (found.created_at, found.id));
        Ok(Json(page.map(|found| SavedView::visible_to(&caller, found))))
    }

    /// Save a view
    ///
    /// It belongs to the caller: to the key or, with a sign-in at the identity provider, to the person. A shared view needs the role
    /// operator, and is also seen by keys that are limited to projects: do not share names that they must not know. 409 if the
    /// caller has 200 views.
    #[oai(path = "/views", method = "post", operation_id = "createView")]
    async fn create(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        body: Body<ViewRequest>,
    ) -> Result<CreateResponse, Fails<ViewError>> {
        let properties = body.value.properties(None)?;
        let view = create_view(&state.pool, properties, &audit, state.clock.now()).await?;
        Ok(CreateResponse::Created(Json(SavedView::visible_to(&caller, view))))
    }

    /// Get a view
    ///
    /// One of the caller, or a shared one.
    #[oai(path = "/views/:id", method = "get", operation_id = "getView")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the view.
        id: Path<Uuid>,
    ) -> Result<Json<SavedView>, Fails<ViewError>> {
        Ok(Json(SavedView::visible_to(&caller, find_view(&state.pool, &caller.0, id.0).await?)))
    }

    /// Update a view
    ///
    /// Changes the given fields. A shared view is changed by its owner or by an admin; its owner stays.
    #[oai(path = "/views/:id", method = "patch", operation_id = "updateView")]
    async fn update(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        /// The id of the view.
        id: Path<Uuid>,
        body: Body<ViewRequest>,
    ) -> Result<Json<SavedView>, Fails<ViewError>> {
        let change = |before| body.value.properties(Some(&before));
        let view = update_view::<Problem>(&state.pool, id.0, change, &audit, state.clock.now()).await?;
        Ok(Json(SavedView::visible_to(&caller, view)))
    }

    /// Delete a view
    ///
    /// Returns it as it was. A shared view is deleted by its owner or by an admin.
    #[oai(path = "/views/:id", method = "delete", operation_id = "deleteView")]
    async fn delete(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        /// The id of the view.
        id: Path<Uuid>,
    ) -> Result<Json<SavedView>, Fails<ViewError>> {
        let view = delete_view(&state.pool, id.0, &audit, state.clock.now()).await?;
        Ok(Json(SavedView::visible_to(&caller, view)))
    }
}

impl Failure for ViewError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Forbidden, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        let code = match self {
            Self::Db(error) => return error.into(),
            Self::NotFound => ProblemCode::NotFound,
            Self::NotOwner | Self::MayNotShare => ProblemCode::Forbidden,
            Self::TooMany => ProblemCode::Conflict,
        };
        Problem::new(code, self.to_string())
    }
}
