//! What the trials' schedulers enqueue: twenty jobs a second, so that there are many ticks to lose or to double.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::config::SyncConfig;
use psp_dashboard::domain::job::{NewJob, Trigger};
use psp_jobs::schedule::{Entry, Every};
use serde_json::json;

use crate::kinds;

const NAMES: [&str; 20] = [
    "trial-01", "trial-02", "trial-03", "trial-04", "trial-05", "trial-06", "trial-07", "trial-08", "trial-09",
    "trial-10", "trial-11", "trial-12", "trial-13", "trial-14", "trial-15", "trial-16", "trial-17", "trial-18",
    "trial-19", "trial-20",
];

/// What runs when.
#[must_use]
pub fn table(_sync: &SyncConfig) -> Vec<Entry> {
    let every = Every(Duration::from_secs(1));
    NAMES.into_iter().map(|name| Entry { name, every, job_at }).collect()
}

/// Ticks of all entries look alike: none joins another.
fn job_at(_tick: DateTime<Utc>) -> NewJob {
    NewJob { trigger: Trigger::Schedule, ..kinds::job(&kinds::NO_OP, json!({})) }
}
