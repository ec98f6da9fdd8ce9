//! An example of every message.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::alerts::rule::{AlertState, Severity};
use crate::domain::event::{Event, RecordedEvent};
use crate::domain::masking::PiiAccess;
use crate::domain::reconciliation::tally::{BySide, Tally};
use crate::domain::subscription::Subscription;
use crate::domain::sync::SyncMode;
use crate::domain::trace::TraceId;
use crate::domain::transaction::Source;
use crate::web::events::message::{Notice, Outgoing};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME};

const FIRST_ID: i64 = 4_711;

pub(super) fn events() -> Vec<Value> {
    let events = [of_syncs(), of_reconciliations(), others()].concat();
    let (timestamp, trace_id) = (EXAMPLE_TIME, Some(TraceId::from_random(EXAMPLE_ID.as_u128())));
    let recorded = (FIRST_ID..).zip(events).map(|(id, event)| RecordedEvent { id, timestamp, trace_id, event });
    recorded.map(|event| parse(Outgoing::from(event).text(PiiAccess::Full))).collect()
}

fn of_syncs() -> Vec<Event> {
    let (source, job_id) = (Source::Vima, Some(EXAMPLE_ID));
    let error = "Vima responds with 503; the job is retried".to_owned();
    vec![
        Event::SyncStarted { source, job_id: EXAMPLE_ID, mode: SyncMode::Incremental },
        Event::SyncProgress { source, job_id, progress: 500, total: Some(2_000), percent: Some(25.0) },
        Event::SyncCompleted {
            source,
            job_id,
            records_synced: 2_000,
            inserted: 1_900,
            updated: 60,
            duration_ms: 8_412,
        },
        Event::SyncFailed { source, job_id, error, will_retry: true },
        Event::NewTransactions { source, count: 1_900 },
        Event::TransactionsUpdated { source, count: 60 },
        Event::MetricsUpdated { sources: vec![source] },
    ]
}

fn of_reconciliations() -> Vec<Event> {
    let (date, run_id) = (EXAMPLE_DAY, EXAMPLE_ID);
    let sides = |vima, payshack| BySide { vima, payshack };
    let counts = Tally {
        total: sides(1_002, 1_001),
        matched: 996,
        amount_discrepancies: 2,
        status_discrepancies: 1,
        missing_vima: 1,
        missing_payshack: 2,
        pending: 1,
        pending_rows: sides(1, 1),
        ..Tally::default()
    };
    let error = "the database is unavailable; the job is retried".to_owned();
    vec![
        Event::ReconciliationStarted { date, run_id },
        Event::ReconciliationProgress { date, run_id, counts },
        Event::ReconciliationCompleted { date, run_id, counts },
        Event::ReconciliationFailed { date, run_id, error, will_retry: true },
    ]
}

fn others() -> Vec<Event> {
    let error = "the object store refuses the file".to_owned();
    vec![
        Event::ExportReady { id: EXAMPLE_ID, audience: None },
        Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::from_u128(EXAMPLE_ID.as_u128() + 1), error },
        Event::Alert {
            name: "No payments of acme".to_owned(),
            severity: Severity::Critical,
            message: "0 payments of acme in the 30 minutes until 2026-01-15 10:00 UTC".to_owned(),
            alert_id: EXAMPLE_ID,
            state: AlertState::Fired,
            subject: "acme".to_owned(),
        },
    ]
}

pub(super) fn notices() -> Vec<Value> {
    let subscription = Subscription { events: vec!["sync_*".to_owned()], sources: vec![Source::Vima] };
    let notices = [
        Notice::connected(FIRST_ID),
        Notice::gap(17),
        Notice::Pong,
        Notice::subscribed(&subscription),
        Notice::invalid("unknown source \"paypal\"; choose from vima, payshack"),
    ];
    notices.iter().map(|notice| parse(&notice.text(FIRST_ID, EXAMPLE_TIME))).collect()
}

pub(super) fn requests() -> Vec<Value> {
    vec![
        json!({"type": "ping"}),
        json!({"type": "subscribe", "events": ["sync_*", "new_transactions"], "sources": ["vima"]}),
        json!({"type": "subscribe"}),
    ]
}

/// Messages are JSON.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
