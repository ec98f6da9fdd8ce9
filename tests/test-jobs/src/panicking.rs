//! `panicking`: panics.

use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{JobHandler, JobResult, NoArgs};
use psp_jobs::job_context::JobContext;

use crate::kinds::PANICKING;

pub struct Panicking;

impl JobHandler for Panicking {
    const KIND: &'static JobKind = &PANICKING;
    type Args = NoArgs;

    async fn run(_context: &JobContext, job: &ClaimedJob, _args: NoArgs) -> JobResult {
        panic!("attempt {} panics", job.attempt);
    }
}
