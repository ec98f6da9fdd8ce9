//! A file for each kind of job, and the registry: one line for each.

pub mod export;
pub mod housekeeping;
pub mod rebuild_rollups;
pub mod reconcile;
pub mod refresh_fx_rates;
pub mod replay_quarantine;
pub mod sync_payshack;
pub mod sync_payshack_metadata;
pub mod sync_run;
pub mod sync_vima;

use std::sync::Arc;

use psp_dashboard::domain::job::{
    EXPORT, HOUSEKEEPING, REBUILD_ROLLUPS, RECONCILE, REFRESH_FX_RATES, REPLAY_QUARANTINE, SYNC_PAYSHACK,
    SYNC_PAYSHACK_METADATA, SYNC_VIMA,
};

use self::export::Export;
use self::housekeeping::Housekeeping;
use self::rebuild_rollups::RebuildRollups;
use self::reconcile::Reconcile;
use self::refresh_fx_rates::RefreshFxRates;
use self::replay_quarantine::ReplayQuarantine;
use self::sync_payshack::SyncPayshack;
use self::sync_payshack_metadata::SyncPayshackMetadata;
use self::sync_vima::SyncVima;
use crate::handler::Registry;
use crate::job_context::Environment;

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
