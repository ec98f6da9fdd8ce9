//! `dozing`: sleeps like `sleeping`, but for longer than a short suspect may run.

use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{JobHandler, JobResult};
use psp_jobs::job_context::JobContext;

use crate::kinds::DOZING;
use crate::sleeping::{Args, Sleeping};

pub struct Dozing;

impl JobHandler for Dozing {
    const KIND: &'static JobKind = &DOZING;
    type Args = Args;

    async fn run(context: &JobContext, job: &ClaimedJob, args: Args) -> JobResult {
        Sleeping::run(context, job, args).await
    }
}
