//! The schedule of the tests: twenty jobs a second, so that there are many ticks to lose or to repeat.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::config::{ReconciliationConfig, SyncConfig};
use psp_dashboard::domain::job::{NewJob, Trigger};
use psp_dashboard::domain::schedule::{Every, Recurrence};
use psp_jobs::scheduler::table::{MissedTicks, ScheduledJob};
use serde_json::json;

use crate::kinds;

/// The number of entries.
pub const ENTRIES: i64 = 20;

/// `test-01`, `test-02` and so on, each every second.
#[must_use]
pub fn table(_sync: &SyncConfig, _reconciliation: &ReconciliationConfig) -> Vec<ScheduledJob> {
    let entry = |number| ScheduledJob {
        name: Cow::Owned(format!("test-{number:02}")),
        when: Recurrence::Every(Every(Duration::from_secs(1))),
        missed: MissedTicks::MakeUp,
        job_at: Arc::new(job_at),
    };
    (1..=ENTRIES).map(entry).collect()
}

/// The jobs of all ticks are equal, but have no unique key, so none joins another.
fn job_at(_tick: DateTime<Utc>) -> NewJob {
    NewJob { trigger: Trigger::Schedule, ..kinds::job(&kinds::NO_OP, json!({})) }
}
