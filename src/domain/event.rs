//! Events that dashboards receive.
//!
//! The variants serialize to the messages of the WebSocket and of the event stream (their names are part of the API), so that an
//! event is written once, in the transaction that caused it, and never translated. `openapi/asyncapi.yaml` is made from these
//! types: doc comments of variants and fields are its descriptions.

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::access::{FileAudience, Principal};
use super::alerts::rule::{AlertState, Severity};
use super::masking::PiiAccess;
use super::reconciliation::tally::Tally;
use super::sync::SyncMode;
use super::trace::TraceId;
use super::transaction::Source;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A sync of a source has started.
    SyncStarted { source: Source, job_id: Uuid, mode: SyncMode },
    /// How far a sync is; at most four per second and source.
    SyncProgress {
        source: Source,
        /// Distinguishes two syncs of one source, which may read new and old data at the same time. Absent in events of older
        /// releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job_id: Option<Uuid>,
        /// Records read so far.
        progress: u64,
        /// Records in total; null if the provider does not report it.
        total: Option<u64>,
        /// 0 to 100; null if the total is not known.
        percent: Option<f64>,
    },
    /// A sync has read everything.
    SyncCompleted {
        source: Source,
        /// Absent in events of older releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job_id: Option<Uuid>,
        /// All records that were read.
        records_synced: u64,
        /// Stored as new payments.
        inserted: u64,
        /// Stored as newer versions of payments.
        updated: u64,
        duration_ms: u64,
    },
    /// An attempt of a sync has failed.
    SyncFailed {
        source: Source,
        /// Absent in events of older releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job_id: Option<Uuid>,
        /// Without secrets.
        error: String,
        /// Whether the queue retries the job automatically.
        will_retry: bool,
    },
    /// New payments were stored.
    NewTransactions { source: Source, count: u64 },
    /// Stored payments have changed.
    TransactionsUpdated { source: Source, count: u64 },
    /// The metrics have changed; at most one per second.
    MetricsUpdated {
        /// The sources whose payments changed them.
        sources: Vec<Source>,
    },
    /// The reconciliation of a day has started.
    ReconciliationStarted {
        /// The day.
        date: NaiveDate,
        run_id: Uuid,
    },
    /// The reconciliation of a day has judged every payment and is storing its findings.
    ReconciliationProgress { date: NaiveDate, run_id: Uuid, counts: Tally },
    /// The reconciliation of a day is complete.
    ReconciliationCompleted { date: NaiveDate, run_id: Uuid, counts: Tally },
    /// An attempt to reconcile a day has failed.
    ReconciliationFailed {
        date: NaiveDate,
        run_id: Uuid,
        /// Without secrets.
        error: String,
        /// Whether the queue retries the job automatically.
        will_retry: bool,
    },
    /// The file of an export can be downloaded.
    ExportReady {
        id: Uuid,
        /// Who may see it; not part of the message. `None` in events of older releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(skip)]
        audience: Option<FileAudience>,
    },
    /// A job has failed and is not retried.
    JobFailed {
        kind: String,
        job_id: Uuid,
        /// Without secrets.
        error: String,
    },
    /// An alert has fired, or is resolved.
    Alert {
        /// The name of its rule.
        name: String,
        severity: Severity,
        /// What was measured.
        message: String,
        /// The alert, see `GET /alerts/{id}`.
        alert_id: Uuid,
        /// Whether it has fired or is resolved.
        state: AlertState,
        /// A project or a source; empty for everything.
        subject: String,
    },
}

impl Event {
    /// The `type` of the message.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SyncStarted { .. } => "sync_started",
            Self::SyncProgress { .. } => "sync_progress",
            Self::SyncCompleted { .. } => "sync_completed",
            Self::SyncFailed { .. } => "sync_failed",
            Self::NewTransactions { .. } => "new_transactions",
            Self::TransactionsUpdated { .. } => "transactions_updated",
            Self::MetricsUpdated { .. } => "metrics_updated",
            Self::ReconciliationStarted { .. } => "reconciliation_started",
            Self::ReconciliationProgress { .. } => "reconciliation_progress",
            Self::ReconciliationCompleted { .. } => "reconciliation_completed",
            Self::ReconciliationFailed { .. } => "reconciliation_failed",
            Self::ExportReady { .. } => "export_ready",
            Self::JobFailed { .. } => "job_failed",
            Self::Alert { .. } => "alert",
        }
    }

    /// Empty if the event is not about sources.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        match self {
            Self::SyncStarted { source, .. }
            | Self::SyncProgress { source, .. }
            | Self::SyncCompleted { source, .. }
            | Self::SyncFailed { source, .. }
            | Self::NewTransactions { source, .. }
            | Self::TransactionsUpdated { source, .. } => std::slice::from_ref(source),
            Self::MetricsUpdated { sources } => sources,
            Self::ReconciliationStarted { .. }
            | Self::ReconciliationProgress { .. }
            | Self::ReconciliationCompleted { .. }
            | Self::ReconciliationFailed { .. }
            | Self::ExportReady { .. }
            | Self::JobFailed { .. }
            | Self::Alert { .. } => &[],
        }
    }
}

impl Event {
    /// Whether `principal` may receive it. A key with a project scope receives what is about its projects only (its exports), and
    /// that the metrics have changed, which has no figures.
    #[must_use]
    pub fn is_visible_to(&self, principal: &Principal) -> bool {
        match self {
            Self::ExportReady { audience: Some(audience), .. } => principal.may_read_file_of(audience),
            Self::MetricsUpdated { .. } => true,
            _ => principal.scope.is_all(),
        }
    }

    /// As it is sent: without the audience, and with personal data in error messages masked.
    #[must_use]
    pub fn shown_with(&self, pii_access: PiiAccess) -> Self {
        let mut shown = self.clone();
        match &mut shown {
            Self::SyncFailed { error, .. }
            | Self::ReconciliationFailed { error, .. }
            | Self::JobFailed { error, .. } => {
                *error = pii_access.text(std::mem::take(error));
            }
            Self::ExportReady { audience, .. } => *audience = None,
            _ => {}
        }
        shown
    }
}

/// An event with its position in the order of commits.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RecordedEvent {
    /// Increases in the order in which the transactions that wrote the events were committed.
    pub id: i64,
    pub timestamp: DateTime<Utc>,
    /// The trace of the request or tick that led to it; `None` if it is not known.
    #[serde(default)]
    pub trace_id: Option<TraceId>,
    #[serde(flatten)]
    pub event: Event,
}

/// As the message that clients receive. The position is its `id`; an event that has an `id` of its own keeps it, and the position
/// is `event_id`.
impl Serialize for RecordedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Message<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<i64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            event_id: Option<i64>,
            timestamp: DateTime<Utc>,
            #[serde(skip_serializing_if = "Option::is_none")]
            trace_id: Option<TraceId>,
            #[serde(flatten)]
            event: &'a Event,
        }
        let has_own_id = matches!(self.event, Event::ExportReady { .. });
        let (id, event_id) = if has_own_id { (None, Some(self.id)) } else { (Some(self.id), None) };
        let Self { timestamp, trace_id, ref event, .. } = *self;
        Message { id, event_id, timestamp, trace_id, event }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_flat_and_round_trips() {
        let recorded = RecordedEvent {
            id: 7,
            timestamp: "2026-01-15T10:00:00Z".parse().expect("a time"),
            trace_id: Some(TraceId::from_random(0xa1)),
            event: Event::SyncProgress {
                source: Source::Vima,
                job_id: None,
                progress: 50,
                total: Some(200),
                percent: Some(25.0),
            },
        };
        let text = serde_json::to_string(&recorded).expect("plain data");
        assert_eq!(
            text,
            r#"{"id":7,"timestamp":"2026-01-15T10:00:00Z","trace_id":"000000000000000000000000000000a1","type":"sync_progress","source":"vima","progress":50,"total":200,"percent":25.0}"#
        );
        assert_eq!(serde_json::from_str::<RecordedEvent>(&text).expect("what was written"), recorded);
    }

    #[test]
    fn event_with_an_id_of_its_own_has_its_position_beside_it() {
        let event = Event::ExportReady { id: Uuid::nil(), audience: None };
        let timestamp = "2026-01-15T10:00:00Z".parse().expect("a time");
        let recorded = RecordedEvent { id: 7, timestamp, trace_id: None, event };
        assert_eq!(
            serde_json::to_string(&recorded).expect("plain data"),
            r#"{"event_id":7,"timestamp":"2026-01-15T10:00:00Z","type":"export_ready","id":"00000000-0000-0000-0000-000000000000"}"#
        );
    }

    #[test]
    fn name_equals_the_serialized_type() {
        let event = Event::MetricsUpdated { sources: vec![Source::Vima] };
        let value = serde_json::to_value(&event).expect("plain data");
        assert_eq!(value["type"], event.name());
    }
}
