//! Everything together: real PostgreSQL and Redis, the built programs, the providers' sandbox over HTTP.
//!
//! `make test` starts the servers and builds the programs. A test has a database and a Redis namespace of its own, so all
//! run side by side; it waits for conditions, never for time.

mod apalis;
mod commands;
mod crash;
mod database_loss;
mod day_reads;
mod discrepancies;
mod end_to_end;
mod exchange_rates;
mod export;
mod export_orders;
mod export_subjects;
mod harness;
mod ingest;
mod jobs_api;
mod jobs_model;
mod jobs_table;
mod late_records;
mod layers;
mod metadata;
mod metrics;
mod metrics_cache;
mod metrics_model;
mod migrations;
mod moving_lists;
mod problems;
mod programs;
mod provider_fault_storm;
mod provider_faults;
mod quarantine;
mod reconciliation;
mod reconciliation_model;
mod reconciliation_requests;
mod reconciliation_runs;
mod redis_loss;
mod rollups;
mod schedulers;
mod shutdown;
mod sync;
mod transactions;
