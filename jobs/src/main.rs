//! `psp-jobs`: the worker and the scheduler.

use std::process::ExitCode;

use psp_dashboard::domain::job::KINDS;
use psp_jobs::program::Program;
use psp_jobs::{registry, schedule};

#[tokio::main]
async fn main() -> ExitCode {
    Program { kinds: &KINDS, registry, table: schedule::table }.main().await
}
