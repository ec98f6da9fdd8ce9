//! Everything together: real PostgreSQL and Redis, the built programs, the providers' sandbox over HTTP.
//!
//! `make test` starts the servers and builds the programs. A test has a database and a Redis namespace of its own, so all
//! run side by side; it waits for conditions, never for time.

mod apalis;
mod cases;
mod commands;
mod control;
mod crash;
mod database_loss;
mod days;
mod exchange_rates;
mod export;
mod export_orders;
mod export_subjects;
mod faults;
mod flow;
mod harness;
mod ingest;
mod kept_answers;
mod late;
mod layers;
mod ledger;
mod ledger_model;
mod metadata;
mod metrics;
mod metrics_model;
mod migrations;
mod moving;
mod problems;
mod programs;
mod quarantine;
mod reconciliation;
mod reconciliation_model;
mod reconciliation_requests;
mod reconciliation_runs;
mod rollups;
mod schedulers;
mod shutdown;
mod storm;
mod sync;
mod transactions;
mod wire_loss;
