//! System tests with real PostgreSQL and Redis servers, the built programs, and the providers' sandbox over HTTP.
//!
//! `make test` starts the servers and builds the programs. Each test has its own database and Redis namespace, so all tests
//! run in parallel. Tests wait for conditions, not for a fixed time.

mod apalis;
mod commands;
mod connection_pooler;
mod connections;
mod coverage;
mod crash;
mod damaged_records;
mod database_loss;
mod day_reads;
mod discrepancies;
mod end_to_end;
mod exchange_rates;
mod export;
mod failover;
mod full_disk;
mod harness;
mod ingest;
mod interrupted_migrations;
mod jobs_api;
mod jobs_model;
mod jobs_table;
mod late_records;
mod layers;
mod metadata;
mod metrics;
mod metrics_cache;
mod metrics_model;
mod midnight;
mod migrations;
mod moving_lists;
mod problems;
mod programs;
mod provider_coordination;
mod provider_ends;
mod provider_fault_storm;
mod provider_faults;
mod quarantine;
mod reading_rules;
mod reconciliation;
mod reconciliation_model;
mod reconciliation_requests;
mod reconciliation_runs;
mod redis_loss;
mod repeated_attempts;
mod request_limits;
mod retention;
mod rollups;
mod schedulers;
mod shutdown;
mod slow_clients;
mod suspects;
mod sync;
mod transactions;
