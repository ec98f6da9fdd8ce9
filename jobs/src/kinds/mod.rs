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
use crate::job_context::JobContext;

/// Every kind of job that production knows.
#[must_use]
pub fn registry(context: &Arc<JobContext>) -> Registry {
    Registry::default()
        .with(&SYNC_VIMA, SyncVima::new(context))
        .with(&SYNC_PAYSHACK, SyncPayshack::new(context))
        .with(&SYNC_PAYSHACK_METADATA, SyncPayshackMetadata::new(context))
        .with(&REPLAY_QUARANTINE, ReplayQuarantine::new(context))
        .with(&RECONCILE, Reconcile::new(context))
        .with(&EXPORT, Export::new(context))
        .with(&HOUSEKEEPING, Housekeeping::new(context))
        .with(&REBUILD_ROLLUPS, RebuildRollups::new(context))
        .with(&REFRESH_FX_RATES, RefreshFxRates::new(context))
}
