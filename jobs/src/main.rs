//! `psp-jobs`: the worker and the scheduler.

use std::process::ExitCode;

use psp_dashboard::domain::job::KINDS;
use psp_jobs::kinds::registry;
use psp_jobs::program::Program;
use psp_jobs::scheduler::table;

#[tokio::main]
async fn main() -> ExitCode {
    Program { kinds: &KINDS, registry, table: table::table }.main().await
}
