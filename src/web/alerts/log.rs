//! The alerts that were raised.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::db::alerts::log::{self, AlertFilter};
use crate::db::page::TimeCursor;
use crate::domain::alerts::condition::ConditionKind;
use crate::domain::alerts::rule::{AlertReason, Severity};
use crate::operations::alerts::AlertError;
use crate::operations::alerts::acknowledge::acknowledge_alert;
use crate::operations::audit::AuditContext;
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time};
use crate::web::state::State;

const LISTING: &str = "alerts";
const MAX_NOTE: usize = 2_000;

request_fields! {
    /// Which alerts are listed.
    struct AlertQuery {
        /// Filter by whether the alert is open: not resolved.
        open: Option<bool>,
        /// Filter by whether a person has acknowledged it.
        acknowledged: Option<bool>,
        /// Filter by rule.
        rule_id: Option<Uuid>,
        /// Filter by severity.
        severity: Vec<Severity>,
        /// Filter by kind of rule.
        kind: Vec<ConditionKind>,
        /// Filter by subject: a project or a source.
        subject: Vec<String>,
    }
}

/// An alert.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Alert {
    /// The id of the alert.
    id: Uuid,
    /// The id of its rule; null if that was deleted.
    rule_id: Option<Uuid>,
    /// The name of the rule when it fired.
    name: String,
    /// The kind of the rule.
    kind: ConditionKind,
    /// How urgent it is.
    severity: Severity,
    /// The project or the source that it is about; empty for everything.
    subject: String,
    /// Whether the condition holds, or cannot be judged.
    reason: AlertReason,
    /// What was measured when it fired.
    message: String,
    /// The measured value; null if there is none.
    value: Option<Money>,
    /// Up to when the data was read that it was judged by.
    judged_at: Time,
    /// When it fired.
    fired_at: Time,
    /// When it was announced; null while its rule is muted.
    notified_at: Option<Time>,
    /// When a person acknowledged it.
    acknowledged_at: Option<Time>,
    /// The name of the key that acknowledged it.
    acknowledged_by: Option<String>,
    /// The note of that person.
    note: Option<String>,
    /// When it was resolved; null while it is open.
    resolved_at: Option<Time>,
    /// What was measured then.
    resolved_message: Option<String>,
}

impl From<log::Alert> for Alert {
    fn from(alert: log::Alert) -> Self {
        Self {
            id: alert.id,
            rule_id: alert.rule_id,
            name: alert.rule_name,
            kind: alert.kind,
            severity: alert.severity,
            subject: alert.subject,
            reason: alert.reason,
            message: alert.message,
            value: alert.value.map(Money),
            judged_at: Time(alert.judged_at),
            fired_at: Time(alert.fired_at),
            notified_at: alert.notified_at.map(Time),
            acknowledged_at: alert.acknowledged_at.map(Time),
            acknowledged_by: alert.acknowledged_by,
            note: alert.note,
            resolved_at: alert.resolved_at.map(Time),
            resolved_message: alert.resolved_message,
        }
    }
}

impl Example for Alert {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            rule_id: Some(EXAMPLE_ID),
            name: "No payments of acme".to_owned(),
            kind: ConditionKind::NoPayments,
            severity: Severity::Critical,
            subject: "acme".to_owned(),
            reason: AlertReason::Condition,
            message: "0 payments of acme in the 30 minutes until 2026-01-15 10:00 UTC".to_owned(),
            value: Some(Money(0.into())),
            judged_at: Time(EXAMPLE_TIME),
            fired_at: Time(EXAMPLE_TIME),
            notified_at: Some(Time(EXAMPLE_TIME)),
            acknowledged_at: None,
            acknowledged_by: None,
            note: None,
            resolved_at: None,
            resolved_message: None,
        }
    }
}

request_fields! {
    /// What the person says who acknowledges an alert.
    #[oai(example)]
    struct Acknowledgement {
        /// A note, at most 2,000 characters.
        #[oai(validator(max_length = 2000))]
        note: Option<String>,
    }
    check: Acknowledgement::check
}

impl Acknowledgement {
    fn check(&self, fields: &mut Fields) {
        if self.note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
            fields.error("note", format!("must have at most {MAX_NOTE} characters"));
        }
    }
}

impl Example for Acknowledgement {
    fn example() -> Self {
        Self { note: Some("The acquirer is informed.".to_owned()) }
    }
}

pub(in crate::web) struct AlertsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Alerts")]
impl AlertsApi {
    /// List alerts
    ///
    /// Open ones and those of the last 90 days, newest first.
    #[oai(path = "/alerts", method = "get", operation_id = "listAlerts")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        query: Query<AlertQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<Alert>>, Fails> {
        let AlertQuery { open, acknowledged, rule_id, severity, kind, subject } = query.0;
        let filter = AlertFilter {
            rule_id,
            is_open: open,
            is_acknowledged: acknowledged,
            severities: severity,
            kinds: kind,
            subjects: subject,
        };
        let window: Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let db_window = window.to_db();
        let (found, count) =
            tokio::try_join!(log::list(&state.pool, &filter, &db_window), log::count(&state.pool, &filter))?;
        let page = state.cursors.page(LISTING, &window, count, found, log::Alert::cursor);
        Ok(Json(page.map(Alert::from)))
    }

    /// Get an alert
    ///
    /// As it fired, with what became of it.
    #[oai(path = "/alerts/:id", method = "get", operation_id = "getAlert")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        /// The id of the alert.
        id: Path<Uuid>,
    ) -> Result<Json<Alert>, Fails<AlertError>> {
        let alert = log::find(&state.pool, id.0).await?.ok_or(AlertError::AlertNotFound)?;
        Ok(Json(alert.into()))
    }

    /// Acknowledge an alert
    ///
    /// Says that a person works on it. It stays open until its condition is over. 409 if it is resolved. Requires the role operator.
    #[oai(path = "/alerts/:id/acknowledge", method = "post", operation_id = "acknowledgeAlert")]
    async fn acknowledge(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the alert.
        id: Path<Uuid>,
        body: Body<Acknowledgement>,
    ) -> Result<Json<Alert>, Fails<AlertError>> {
        let (note, now) = (body.value.note.as_deref(), state.clock.now());
        Ok(Json(acknowledge_alert(&state.pool, id.0, note, &audit, now).await?.into()))
    }
}
