//! The use cases of the system, one per file: the only place where the database, the providers, Redis and the object store
//! meet.

pub mod backfill_usd;
pub mod begin_history;
pub mod begin_sync;
pub mod cancel_job;
pub mod connect_servers;
pub mod delete_expired;
pub mod enqueue_job;
pub mod export;
pub mod find_counterpart;
pub mod finish_job;
pub mod finish_sync;
pub mod idempotency;
pub mod ingest_page;
pub mod issue_key;
pub mod list_transactions;
pub mod metrics_cache;
pub mod pause_queue;
pub mod provider_coordination;
pub mod publish_events;
pub mod rate_cache;
pub mod reading_rules;
pub mod rebuild_rollups;
pub mod recheck_payments;
pub mod reconcile_day;
pub mod replay_quarantine;
pub mod request_reconciliation;
pub mod request_replay;
pub mod rescue_jobs;
pub mod retry_job;
pub mod store_metadata;
pub mod store_rates;
mod store_transactions;
pub mod trigger_sync;
pub mod update_discrepancies;
