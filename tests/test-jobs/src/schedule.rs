//! What the trials' schedulers enqueue: twenty jobs a second, so that there are many ticks to lose or to double.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::config::{ReconciliationConfig, SyncConfig};
use psp_dashboard::domain::job::{NewJob, Trigger};
use psp_dashboard::domain::schedule::{Every, Recurrence};
use psp_jobs::scheduler::table::{Entry, Missed};
use serde_json::json;

use crate::kinds;

/// How many entries there are.
pub const ENTRIES: i64 = 20;

/// What runs when: `trial-01`, `trial-02` and so on, each every second.
#[must_use]
pub fn table(_sync: &SyncConfig, _reconciliation: &ReconciliationConfig) -> Vec<Entry> {
    let entry = |number| Entry {
        name: Cow::Owned(format!("trial-{number:02}")),
        when: Recurrence::Every(Every(Duration::from_secs(1))),
        missed: Missed::MakeUp,
        job_at: Arc::new(job_at),
    };
    (1..=ENTRIES).map(entry).collect()
}

/// Ticks of all entries look alike: none joins another.
fn job_at(_tick: DateTime<Utc>) -> NewJob {
    NewJob { trigger: Trigger::Schedule, ..kinds::job(&kinds::NO_OP, json!({})) }
}
