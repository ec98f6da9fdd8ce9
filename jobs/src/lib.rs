//! Runs what the ledger holds: the registry of every kind of job, a line each.
//!
//! ```text
//!   scheduler ──> ledger ──> bells ──> claimer ──> hands ──> sync_vima, sync_payshack, housekeeping, …
//!   (schedule)      ^       (wake)                  │
//!                   └── sweeper (vigil, isolation) ─┘
//! ```
//!
//! `worker` puts these together. `bells` is the only consumer of apalis, `scheduler` the only user of apalis-cron. A handler
//! knows neither: it is given a job and an environment, and returns what came of it.

pub mod ask_again;
pub mod bells;
pub mod claimer;
pub mod enqueue_command;
pub mod environment;
pub mod export;
pub mod handler;
pub mod hands;
mod horizon;
pub mod housekeeping;
pub mod isolation;
pub mod moving_day;
pub mod program;
pub mod quarantine_command;
pub mod rebuild_rollups;
pub mod reconcile;
pub mod recorder;
pub mod refresh_fx_rates;
pub mod replay_quarantine;
pub mod schedule;
pub mod scheduler;
pub mod sweeper;
pub mod sync_payshack;
pub mod sync_payshack_metadata;
pub mod sync_run;
pub mod sync_vima;
pub mod vigil;
pub mod wake;
pub mod worker;

use std::sync::Arc;

use psp_dashboard::domain::job::{
    EXPORT, HOUSEKEEPING, REBUILD_ROLLUPS, RECONCILE, REFRESH_FX_RATES, REPLAY_QUARANTINE, SYNC_PAYSHACK,
    SYNC_PAYSHACK_METADATA, SYNC_VIMA,
};

use environment::Environment;
use export::Export;
use handler::Registry;
use housekeeping::Housekeeping;
use rebuild_rollups::RebuildRollups;
use reconcile::Reconcile;
use refresh_fx_rates::RefreshFxRates;
use replay_quarantine::ReplayQuarantine;
use sync_payshack::SyncPayshack;
use sync_payshack_metadata::SyncPayshackMetadata;
use sync_vima::SyncVima;

/// Every kind of job that production knows.
#[must_use]
pub fn registry(environment: &Arc<Environment>) -> Registry {
    Registry::default()
        .with(&SYNC_VIMA, SyncVima::new(environment))
        .with(&SYNC_PAYSHACK, SyncPayshack::new(environment))
        .with(&SYNC_PAYSHACK_METADATA, SyncPayshackMetadata::new(environment))
        .with(&REPLAY_QUARANTINE, ReplayQuarantine::new(environment))
        .with(&RECONCILE, Reconcile::new(environment))
        .with(&EXPORT, Export::new(environment))
        .with(&HOUSEKEEPING, Housekeeping::new(environment))
        .with(&REBUILD_ROLLUPS, RebuildRollups::new(environment))
        .with(&REFRESH_FX_RATES, RefreshFxRates::new(environment))
}
