//! The rules of alerts.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use super::schema::{AlertRule, AlertRuleRequest};
use crate::db::alerts::rules;
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::operations::alerts::AlertError;
use crate::operations::alerts::manage::{create_rule, delete_rule, update_rule};
use crate::operations::audit::AuditContext;
use crate::web::http::body::Body;
use crate::web::http::entity_tag::{CreatedWithEtag, IfMatch, WithEtag};
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::openapi::Tag;
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::state::State;

const LISTING: &str = "alert rules";

pub(in crate::web) struct AlertRulesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Alerts")]
impl AlertRulesApi {
    /// List alert rules
    ///
    /// Newest first.
    #[oai(path = "/alert-rules", method = "get", operation_id = "listAlertRules")]
    async fn list(&self, state: Data<&Arc<State>>, page: Query<PageQuery>) -> Result<Json<Page<AlertRule>>, Fails> {
        let window: Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let db_window = window.to_db();
        let (found, total) = tokio::try_join!(rules::list(&state.pool, &db_window), rules::count(&state.pool))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(LISTING, &window, count, found, |rule| (rule.created_at, rule.id));
        Ok(Json(page.map(AlertRule::from)))
    }

    /// Create an alert rule
    ///
    /// It is evaluated every minute. A rule about payments is judged only as far as its sources have been read; if that is too
    /// long ago, it raises an alert with the reason `unjudged` instead. Try it before with `POST /alert-rules/backtest`. 409 if
    /// there are 200 rules. Requires the role operator.
    #[oai(path = "/alert-rules", method = "post", operation_id = "createAlertRule")]
    async fn create(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        body: Body<AlertRuleRequest>,
    ) -> Result<CreatedWithEtag<AlertRule>, Fails<AlertError>> {
        let rule = body.value.into_rule()?;
        let created = create_rule(&state.pool, &rule, &audit, state.clock.now()).await?;
        Ok(CreatedWithEtag(created.into()))
    }

    /// Get an alert rule
    ///
    /// With the number of its open alerts.
    #[oai(path = "/alert-rules/:id", method = "get", operation_id = "getAlertRule")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        /// The id of the rule.
        id: Path<Uuid>,
    ) -> Result<WithEtag<AlertRule>, Fails<AlertError>> {
        let rule = rules::find(&state.pool, id.0).await?.ok_or(AlertError::RuleNotFound)?;
        Ok(WithEtag(rule.into()))
    }

    /// Update an alert rule
    ///
    /// Changes the given fields, for example `muted_until`. If the condition changes, the time for which it must hold starts again;
    /// open alerts stay until the changed rule says otherwise. Disabling the rule resolves them. Requires the role operator.
    #[oai(path = "/alert-rules/:id", method = "patch", operation_id = "updateAlertRule")]
    async fn update(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the rule.
        id: Path<Uuid>,
        /// Update only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<AlertRuleRequest>,
    ) -> Result<WithEtag<AlertRule>, Fails<AlertError>> {
        let State { pool, redis, clock, .. } = &***state;
        let change = |rule| body.value.change(rule);
        let updated = update_rule::<Problem>(pool, redis, id.0, &if_match.0, change, &audit, clock.now()).await?;
        Ok(WithEtag(updated.into()))
    }

    /// Delete an alert rule
    ///
    /// Its open alerts are resolved, and stay in the list. Returns the rule as it was. Requires the role operator.
    #[oai(path = "/alert-rules/:id", method = "delete", operation_id = "deleteAlertRule")]
    async fn delete(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the rule.
        id: Path<Uuid>,
        /// Delete only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<Json<AlertRule>, Fails<AlertError>> {
        let State { pool, redis, clock, .. } = &***state;
        Ok(Json(delete_rule(pool, redis, id.0, &if_match.0, &audit, clock.now()).await?.into()))
    }
}

impl Failure for AlertError {
    const CODES: &'static [ProblemCode] =
        &[ProblemCode::NotFound, ProblemCode::Conflict, ProblemCode::PreconditionFailed];

    fn into_problem(self) -> Problem {
        match self {
            Self::Db(error) => error.into(),
            Self::Precondition(error) => error.into(),
            Self::RuleNotFound | Self::AlertNotFound => Problem::new(ProblemCode::NotFound, self.to_string()),
            Self::Resolved | Self::TooMany(_) => Problem::new(ProblemCode::Conflict, self.to_string()),
        }
    }
}
