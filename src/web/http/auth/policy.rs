//! The access policy: for each operation who may call it, which projects it covers, whether it is audited, and what it costs.
//!
//! One table, because the checks ([`super::authorization`]), the OpenAPI document and the tests must agree. A request that
//! matches no row is not passed on, so an operation without a row cannot be reached. Rejected: the role as an argument of each
//! handler, which a new handler can forget, and which says nothing about scope, audit and cost.

use AuditRule::{Always, LargeFiles, Never, RawPayloads};
use CostClass::{Expensive, Export, Light};
use Role::{Admin, Operator, Viewer};
use ScopeRule::{AllProjects, Filtered, NoProjects};

use poem::http::Method;

use super::origin::{self, OriginRule};
use crate::domain::access::Role;

/// Which projects an operation covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeRule {
    /// Everything that it returns or changes belongs to a project, and it is limited to those of the key.
    Filtered,
    /// It covers all projects at once, so that a key that is limited to some must not call it.
    AllProjects,
    /// It has no data of projects.
    NoProjects,
}

/// What is written to the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditRule {
    Never,
    /// Every call.
    Always,
    /// Files of more than a thousand rows.
    LargeFiles,
    /// Responses with the records of providers as they were sent.
    RawPayloads,
}

/// How much work an operation causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostClass {
    Light,
    /// May read many payments or cells.
    Expensive,
    /// Returns every row.
    Export,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The `operationId` of the document.
    pub operation: &'static str,
    pub method: &'static str,
    /// As in the document: a parameter is `{name}`.
    pub path: &'static str,
    /// `None`: without a key.
    pub role: Option<Role>,
    pub scope: ScopeRule,
    pub audit: AuditRule,
    pub cost: CostClass,
}

/// Pages and documents, which need no key.
const fn page(operation: &'static str, path: &'static str) -> Policy {
    Policy { role: None, ..read(operation, path, NoProjects) }
}

const fn read(operation: &'static str, path: &'static str, scope: ScopeRule) -> Policy {
    Policy { operation, method: "GET", path, role: Some(Viewer), scope, audit: Never, cost: Light }
}

const fn expensive(operation: &'static str, path: &'static str, scope: ScopeRule) -> Policy {
    Policy { cost: Expensive, ..read(operation, path, scope) }
}

const fn file(operation: &'static str, path: &'static str, scope: ScopeRule) -> Policy {
    Policy { cost: Export, audit: LargeFiles, ..read(operation, path, scope) }
}

const fn change(operation: &'static str, call: (&'static str, &'static str), role: Role, scope: ScopeRule) -> Policy {
    let (method, path) = call;
    Policy { operation, method, path, role: Some(role), scope, audit: Always, cost: Light }
}

/// It may select many rows, and changes nothing.
const fn preview(operation: &'static str, path: &'static str, scope: ScopeRule) -> Policy {
    Policy { audit: Never, cost: Expensive, ..change(operation, ("POST", path), Operator, scope) }
}

/// Where Prometheus reads the metrics of the process.
const PROMETHEUS: &str = "/metrics";

/// The views of the console besides the start page, by the first part of their paths. `console/src/shell/views.ts` has the same.
pub(in crate::web) const CONSOLE_VIEWS: [&str; 10] =
    ["overview", "payments", "reconciliation", "sync", "jobs", "alerts", "merchants", "reports", "keys", "audit"];

/// A view of the console, whatever follows the first part of its path: the page reads the rest.
const CONSOLE_VIEW: Policy = page("openConsoleView", "/{view}");

pub const POLICIES: &[Policy] = &[
    page("openRoot", "/"),
    page("getConsoleAsset", "/assets/{name}"),
    page("getConsoleIcon", "/favicon.svg"),
    page("openSwaggerUi", "/api/docs"),
    page("getOpenApiJson", "/api/openapi.json"),
    page("getOpenApiYaml", "/api/openapi.yaml"),
    page("openEventsPage", "/api/docs/events"),
    page("getAsyncApiJson", "/api/asyncapi.json"),
    page("getAsyncApiYaml", "/api/asyncapi.yaml"),
    page("getHealth", "/health"),
    page("getLiveness", "/health/live"),
    page("getReadiness", "/health/ready"),
    read("getPrometheusMetrics", PROMETHEUS, AllProjects).for_role(Admin),
    Policy { audit: RawPayloads, ..read("getTransaction", "/api/v1/transactions/{id}", Filtered) },
    expensive("explainTransaction", "/api/v1/transactions/{id}/explain", Filtered),
    expensive("explainPayment", "/api/v1/explain/payment", Filtered),
    expensive("listTransactions", "/api/v1/transactions", Filtered),
    Policy { method: "POST", ..expensive("lookUpTransactions", "/api/v1/transactions/lookup", Filtered) },
    read("getMetricsOverview", "/api/v1/metrics/overview", Filtered),
    expensive("getMetricsByProject", "/api/v1/metrics/by-project", Filtered),
    expensive("getMetricsConversionByProject", "/api/v1/metrics/conversion-by-project", Filtered),
    expensive("getMetricsTrends", "/api/v1/metrics/trends", Filtered),
    expensive("getMetricsBySource", "/api/v1/metrics/by-source", Filtered),
    expensive("getMetricsByCountry", "/api/v1/metrics/by-country", Filtered),
    expensive("getMetricsByStatus", "/api/v1/metrics/by-status", Filtered),
    expensive("getMetricsByPaymentMethod", "/api/v1/metrics/by-payment-method", Filtered),
    expensive("getMetricsByMerchant", "/api/v1/metrics/by-merchant", Filtered),
    read("getMetricsComparison", "/api/v1/metrics/comparison", Filtered),
    expensive("getMetricsHeatmap", "/api/v1/metrics/heatmap", Filtered),
    expensive("getMetricsHourlyDistribution", "/api/v1/metrics/hourly-distribution", Filtered),
    expensive("getMetricsAmountDistribution", "/api/v1/metrics/amount-distribution", Filtered),
    expensive("getMetricsHorizontalBars", "/api/v1/metrics/horizontal-bars/{type}", Filtered),
    expensive("getMetricsByOriginalStatus", "/api/v1/metrics/by-original-status", Filtered),
    expensive("getMetricsFailures", "/api/v1/metrics/failures", Filtered),
    expensive("getMetricsTimeToFinal", "/api/v1/metrics/time-to-final", Filtered),
    expensive("getMetricsPendingAge", "/api/v1/metrics/pending-age", Filtered),
    expensive("getMerchant", "/api/v1/merchants/{project}/{merchant_id}", Filtered),
    read("getMetricsRpm", "/api/v1/metrics/rpm", Filtered),
    read("getMetricsLive", "/api/v1/metrics/live", Filtered),
    read("getFilters", "/api/v1/filters", Filtered),
    read("getSyncStatus", "/api/v1/sync/status", AllProjects),
    change("triggerSync", ("POST", "/api/v1/sync/trigger"), Operator, AllProjects),
    change("triggerSyncOfSource", ("POST", "/api/v1/sync/trigger/{source}"), Operator, AllProjects),
    read("listSyncRuns", "/api/v1/sync/runs", AllProjects),
    Policy { audit: RawPayloads, ..read("listQuarantine", "/api/v1/sync/quarantine", AllProjects) },
    change("replayQuarantinedRecord", ("POST", "/api/v1/sync/quarantine/{id}/replay"), Operator, AllProjects),
    read("getReconciliationSummary", "/api/v1/reconciliation/summary", AllProjects),
    read("listDiscrepancies", "/api/v1/reconciliation/discrepancies", Filtered),
    change("moveDiscrepancies", ("PATCH", "/api/v1/reconciliation/discrepancies"), Operator, Filtered),
    read("getDiscrepancy", "/api/v1/reconciliation/discrepancies/{id}", Filtered),
    change("moveDiscrepancy", ("PATCH", "/api/v1/reconciliation/discrepancies/{id}"), Operator, Filtered),
    change("runReconciliation", ("POST", "/api/v1/reconciliation/run"), Operator, AllProjects),
    read("listReconciliationRuns", "/api/v1/reconciliation/runs", AllProjects),
    read("getReconciliationRun", "/api/v1/reconciliation/runs/{id}", AllProjects),
    read("listReconciliationResults", "/api/v1/reconciliation/runs/{id}/results", Filtered),
    read("listJobs", "/api/v1/jobs", AllProjects),
    read("getJob", "/api/v1/jobs/{id}", AllProjects),
    change("cancelJob", ("POST", "/api/v1/jobs/{id}/cancel"), Operator, AllProjects),
    change("retryJob", ("POST", "/api/v1/jobs/{id}/retry"), Operator, AllProjects),
    preview("previewJobBulkAction", "/api/v1/jobs/bulk-actions/preview", AllProjects),
    preview("previewDiscrepancyBulkAction", "/api/v1/reconciliation/discrepancies/bulk-actions/preview", Filtered),
    change("confirmBulkAction", ("POST", "/api/v1/bulk-actions"), Operator, Filtered),
    read("listBulkActions", "/api/v1/bulk-actions", Filtered).for_role(Operator),
    read("getBulkAction", "/api/v1/bulk-actions/{id}", Filtered).for_role(Operator),
    read("listSkippedItems", "/api/v1/bulk-actions/{id}/skipped", Filtered).for_role(Operator),
    change("stopBulkAction", ("POST", "/api/v1/bulk-actions/{id}/stop"), Operator, Filtered),
    read("listQueues", "/api/v1/queues", AllProjects),
    read("getQueueHistory", "/api/v1/queues/history", AllProjects),
    change("pauseQueue", ("POST", "/api/v1/queues/{name}/pause"), Admin, AllProjects),
    change("resumeQueue", ("POST", "/api/v1/queues/{name}/resume"), Admin, AllProjects),
    read("listWorkers", "/api/v1/workers", AllProjects),
    read("getSchedule", "/api/v1/schedule", AllProjects),
    read("listPayshackClients", "/api/v1/payshack/clients", AllProjects),
    read("listPayshackResellers", "/api/v1/payshack/resellers", AllProjects),
    read("listPayshackServiceProviders", "/api/v1/payshack/service-providers", AllProjects),
    read("listPayshackBalances", "/api/v1/payshack/balances", AllProjects),
    file("exportTransactions", "/api/v1/export/transactions", Filtered),
    file("exportReconciliation", "/api/v1/export/reconciliation", Filtered),
    file("exportMetricsSummary", "/api/v1/export/metrics-summary", Filtered),
    file("exportPayshackClients", "/api/v1/export/payshack-clients", AllProjects),
    change("orderExport", ("POST", "/api/v1/exports"), Viewer, Filtered),
    read("getExport", "/api/v1/exports/{id}", Filtered),
    change("removeExport", ("DELETE", "/api/v1/exports/{id}"), Viewer, Filtered),
    file("downloadExport", "/api/v1/exports/{id}/download", Filtered),
    read("getMe", "/api/v1/me", NoProjects),
    change("startSession", ("POST", "/api/v1/session"), Viewer, NoProjects),
    change("endSession", ("DELETE", "/api/v1/session"), Viewer, NoProjects),
    page("startSignIn", "/api/v1/session/oidc/login"),
    Policy { audit: Always, ..page("completeSignIn", "/api/v1/session/oidc/callback") },
    Policy { audit: Never, ..change("createWebSocketTicket", ("POST", "/api/v1/ws/ticket"), Viewer, NoProjects) },
    read("listApiKeys", "/api/v1/api-keys", AllProjects).for_role(Admin),
    change("createApiKey", ("POST", "/api/v1/api-keys"), Admin, AllProjects),
    read("getApiKey", "/api/v1/api-keys/{id}", AllProjects).for_role(Admin),
    change("rotateApiKey", ("POST", "/api/v1/api-keys/{id}/rotate"), Admin, AllProjects),
    change("revokeApiKey", ("DELETE", "/api/v1/api-keys/{id}"), Admin, AllProjects),
    read("listWebhooks", "/api/v1/webhooks", AllProjects).for_role(Admin),
    change("createWebhook", ("POST", "/api/v1/webhooks"), Admin, AllProjects),
    read("getWebhook", "/api/v1/webhooks/{id}", AllProjects).for_role(Admin),
    change("updateWebhook", ("PATCH", "/api/v1/webhooks/{id}"), Admin, AllProjects),
    change("deleteWebhook", ("DELETE", "/api/v1/webhooks/{id}"), Admin, AllProjects),
    change("rotateWebhookSecret", ("POST", "/api/v1/webhooks/{id}/rotate-secret"), Admin, AllProjects),
    change("testWebhook", ("POST", "/api/v1/webhooks/{id}/test"), Admin, AllProjects),
    read("listWebhookDeliveries", "/api/v1/webhooks/{id}/deliveries", AllProjects).for_role(Admin),
    read("getWebhookDelivery", "/api/v1/webhooks/{id}/deliveries/{delivery_id}", AllProjects).for_role(Admin),
    change(
        "replayWebhookDelivery",
        ("POST", "/api/v1/webhooks/{id}/deliveries/{delivery_id}/replay"),
        Admin,
        AllProjects,
    ),
    change("replayFailedWebhookDeliveries", ("POST", "/api/v1/webhooks/{id}/replay-failed"), Admin, AllProjects),
    read("listAlertRules", "/api/v1/alert-rules", AllProjects),
    change("createAlertRule", ("POST", "/api/v1/alert-rules"), Operator, AllProjects),
    preview("backtestAlertRule", "/api/v1/alert-rules/backtest", AllProjects),
    read("getAlertRule", "/api/v1/alert-rules/{id}", AllProjects),
    change("updateAlertRule", ("PATCH", "/api/v1/alert-rules/{id}"), Operator, AllProjects),
    change("deleteAlertRule", ("DELETE", "/api/v1/alert-rules/{id}"), Operator, AllProjects),
    read("listAlerts", "/api/v1/alerts", AllProjects),
    read("getAlert", "/api/v1/alerts/{id}", AllProjects),
    change("acknowledgeAlert", ("POST", "/api/v1/alerts/{id}/acknowledge"), Operator, AllProjects),
    read("listReportSchedules", "/api/v1/report-schedules", Filtered).for_role(Operator),
    change("createReportSchedule", ("POST", "/api/v1/report-schedules"), Operator, Filtered),
    read("getReportSchedule", "/api/v1/report-schedules/{id}", Filtered).for_role(Operator),
    change("updateReportSchedule", ("PATCH", "/api/v1/report-schedules/{id}"), Operator, Filtered),
    change("deleteReportSchedule", ("DELETE", "/api/v1/report-schedules/{id}"), Operator, Filtered),
    change("runReportSchedule", ("POST", "/api/v1/report-schedules/{id}/run"), Operator, Filtered),
    read("listReportRuns", "/api/v1/report-schedules/{id}/runs", Filtered).for_role(Operator),
    read("listViews", "/api/v1/views", NoProjects),
    change("createView", ("POST", "/api/v1/views"), Viewer, NoProjects),
    read("getView", "/api/v1/views/{id}", NoProjects),
    change("updateView", ("PATCH", "/api/v1/views/{id}"), Viewer, NoProjects),
    change("deleteView", ("DELETE", "/api/v1/views/{id}"), Viewer, NoProjects),
    read("listAuditEntries", "/api/v1/audit", AllProjects).for_role(Admin),
    read("streamEvents", "/api/v1/events", Filtered),
    read("openWebSocket", "/ws/updates", Filtered),
    read("openWebSocketAlias", "/ws", Filtered),
];

impl Policy {
    const fn for_role(self, role: Role) -> Self {
        Self { role: Some(role), ..self }
    }

    /// Whether it sends live events for as long as the client likes.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.path.starts_with("/ws") || self.path == "/api/v1/events"
    }

    /// Whether it is answered under any host name, and as often as it is called: monitoring uses the address of a process, and must
    /// see it when it has the most to do.
    pub(in crate::web) fn is_monitoring(&self) -> bool {
        is_monitoring(self.path)
    }

    /// Whether a query parameter that it does not declare is refused. Not where others than clients of the API write the query: the
    /// address of a probe is a setting, whose refusal would end the service, and an identity provider may send parameters that
    /// a client must ignore (RFC 6749, 4.1.2).
    pub(in crate::web) fn refuses_unknown_parameters(&self) -> bool {
        !self.is_monitoring() && !self.is_console() && self.operation != "completeSignIn"
    }

    /// Whether it is the console, which reads the query itself.
    fn is_console(&self) -> bool {
        ["openRoot", CONSOLE_VIEW.operation].contains(&self.operation)
    }

    /// Which page may cause a request by cookie.
    pub(in crate::web) fn origin_rule(&self) -> OriginRule {
        if !origin::is_safe(self.method) || self.path.starts_with("/ws") {
            OriginRule::Own
        } else if self.is_live() {
            OriginRule::NotForeign
        } else {
            OriginRule::Any
        }
    }

    /// Whether a `?ticket=` is accepted instead of a key, because browsers cannot set headers on a WebSocket or an `EventSource`.
    pub(in crate::web) fn accepts_ticket(&self) -> bool {
        self.is_live()
    }
}

/// [`Policy::is_monitoring`] of a path.
pub(in crate::web) fn is_monitoring(path: &str) -> bool {
    path == PROMETHEUS || path == "/health" || path.starts_with("/health/")
}

/// What the table has for a request.
#[derive(Debug)]
pub(in crate::web) enum Found {
    Policy(&'static Policy),
    /// Only these methods are supported, `HEAD` included.
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// `HEAD` is treated as `GET`.
pub(in crate::web) fn find(method: &Method, path: &str) -> Found {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let literals = |policy: &&Policy| policy.path.split('/').filter(|part| !part.starts_with('{')).count();
    let of_path = || POLICIES.iter().filter(|policy| matches(policy.path, path));
    // A literal is preferred to a parameter, as in the router.
    let Some(most) = of_path().map(|policy| literals(&policy)).max() else { return find_view(method, path) };
    let closest = || of_path().filter(|policy| literals(policy) == most);
    if let Some(policy) = closest().find(|policy| policy.method == method) {
        return Found::Policy(policy);
    }
    let mut methods: Vec<&str> = closest().map(|policy| policy.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    Found::OtherMethods(methods)
}

/// The console, if the path is one of a view.
fn find_view(method: &str, path: &str) -> Found {
    let view = path.split('/').nth(1).unwrap_or_default();
    match method {
        _ if !CONSOLE_VIEWS.contains(&view) => Found::Nothing,
        "GET" => Found::Policy(&CONSOLE_VIEW),
        _ => Found::OtherMethods(vec!["GET", "HEAD"]),
    }
}

/// The row of an operation of the document.
pub(in crate::web) fn of_operation(operation: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.operation == operation)
}

/// Whether a path fits a template such as `/api/v1/jobs/{id}`.
fn matches(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let all = template.split('/').all(|part| {
        segments.next().is_some_and(|text| if part.starts_with('{') { !text.is_empty() } else { part == text })
    });
    all && segments.next().is_none()
}

#[cfg(test)]
mod tests;
