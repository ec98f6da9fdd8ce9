//! What the system does, one use case a file: the only place where the database, the providers and the wire meet.

pub mod begin_history;
pub mod begin_sync;
pub mod cancel_job;
pub mod connect_servers;
pub mod enqueue_job;
pub mod explain_payment;
pub mod find_rates;
pub mod finish_job;
pub mod finish_sync;
pub mod ingest_page;
pub mod issue_key;
pub mod move_cases;
pub mod once;
pub mod pause_queue;
pub mod publish_events;
pub mod reconcile_day;
pub mod replay_quarantine;
pub mod request_reconciliation;
pub mod request_replay;
pub mod rescue_jobs;
pub mod retry_job;
pub mod share_provider;
pub mod store_metadata;
mod store_payments;
pub mod store_rates;
pub mod trigger_sync;
pub mod value_payments;
