//! `replay-quarantine`: parses quarantined records again, after a new release or a change of settings.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, REPLAY_QUARANTINE};
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::replay_quarantine::{ReplayRules, replay_quarantine};
use serde_json::json;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct ReplayQuarantine;

impl JobHandler for ReplayQuarantine {
    const KIND: &'static JobKind = &REPLAY_QUARANTINE;
    type Args = Replay;

    async fn run(context: &JobContext, job: &ClaimedJob, replay: Replay) -> JobResult {
        let JobContext { pool, redis, clock, rates, payshack, rules, .. } = context;
        let rules = ReplayRules {
            projects: payshack.projects(),
            vima: rules.generation(pool, Source::Vima).await?,
            payshack: rules.generation(pool, Source::Payshack).await?,
        };
        let replayed = replay_quarantine(pool, redis, &**clock, rates, rules, &job.claim, replay).await?;
        tracing::info!(?replayed, "quarantine replayed");
        Ok(json!(replayed))
    }
}
