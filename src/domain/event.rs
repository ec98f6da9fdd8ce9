//! What dashboards are told, as it happens.
//!
//! The variants are the WebSocket's messages to the letter (names are fixed by the contract), so that an event is
//! written once, in the transaction that made it true, and nobody translates it on the way.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reconciliation::tally::Tally;
use super::sync::SyncMode;
use super::transaction::Source;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A sync has begun.
    SyncStarted {
        /// Of which source.
        source: Source,
        /// The job that runs it.
        job_id: Uuid,
        /// What it reads.
        mode: SyncMode,
    },
    /// A sync has come this far.
    SyncProgress {
        /// Of which source.
        source: Source,
        /// The job that runs it: of one source, what is new and what is old may be read side by side. None where an older
        /// release told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job_id: Option<Uuid>,
        /// Records read so far.
        progress: u64,
        /// Records in all, where the provider says.
        total: Option<u64>,
        /// 0 to 100, where the total is known.
        percent: Option<f64>,
    },
    /// A sync has ended well.
    SyncCompleted {
        /// Of which source.
        source: Source,
        /// The job that ran it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job_id: Option<Uuid>,
        /// Records read.
        records_synced: u64,
        /// Of them new.
        inserted: u64,
        /// Of them changed.
        updated: u64,
        /// How long it took.
        duration_ms: u64,
    },
    /// A sync has failed.
    SyncFailed {
        /// Of which source.
        source: Source,
        /// The job that ran it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job_id: Option<Uuid>,
        /// Why, without secrets.
        error: String,
        /// Whether the queue tries again by itself.
        will_retry: bool,
    },
    /// Payments were seen for the first time.
    NewTransactions {
        /// Of which source.
        source: Source,
        /// How many.
        count: u64,
    },
    /// Payments have changed.
    TransactionsUpdated {
        /// Of which source.
        source: Source,
        /// How many.
        count: u64,
    },
    /// The metrics have other values now.
    MetricsUpdated {
        /// By which sources.
        sources: Vec<Source>,
    },
    /// The reconciliation of a day has begun.
    ReconciliationStarted {
        /// The day.
        date: NaiveDate,
        /// The run.
        run_id: Uuid,
    },
    /// The reconciliation of a day has judged every payment, and is writing down what it found.
    ReconciliationProgress {
        /// The day.
        date: NaiveDate,
        /// The run.
        run_id: Uuid,
        /// What became of the rows of the day.
        counts: Tally,
    },
    /// The reconciliation of a day is done.
    ReconciliationCompleted {
        /// The day.
        date: NaiveDate,
        /// The run.
        run_id: Uuid,
        /// What became of the rows of the day.
        counts: Tally,
    },
    /// The reconciliation of a day has failed.
    ReconciliationFailed {
        /// The day.
        date: NaiveDate,
        /// The run.
        run_id: Uuid,
        /// Why, without secrets.
        error: String,
        /// Whether the queue tries again by itself.
        will_retry: bool,
    },
    /// A file is ready to be downloaded.
    ExportReady {
        /// Which one.
        id: Uuid,
    },
    /// A job has failed for good.
    JobFailed {
        /// Its kind.
        kind: String,
        /// Which one.
        job_id: Uuid,
        /// Why, without secrets.
        error: String,
    },
}

impl Event {
    /// The message's `type`.
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
        }
    }

    /// The sources that it is about; none where it is about something else.
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
            | Self::JobFailed { .. } => &[],
        }
    }
}

/// An event that has its place in the order of things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// Grows in the order in which the transactions that made the events were committed.
    pub id: i64,
    /// When it was recorded.
    pub timestamp: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_flat_and_read_back() {
        let recorded = RecordedEvent {
            id: 7,
            timestamp: "2026-01-15T10:00:00Z".parse().expect("a time"),
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
            r#"{"id":7,"timestamp":"2026-01-15T10:00:00Z","type":"sync_progress","source":"vima","progress":50,"total":200,"percent":25.0}"#
        );
        assert_eq!(serde_json::from_str::<RecordedEvent>(&text).expect("what was written"), recorded);
    }

    #[test]
    fn the_name_is_the_type() {
        let event = Event::MetricsUpdated { sources: vec![Source::Vima] };
        let value = serde_json::to_value(&event).expect("plain data");
        assert_eq!(value["type"], event.name());
    }
}
