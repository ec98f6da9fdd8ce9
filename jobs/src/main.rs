//! `psp-jobs`: the worker and the scheduler.

use std::process::ExitCode;

use psp_jobs::kinds::REGISTRY;
use psp_jobs::program::Program;
use psp_jobs::scheduler::table;

#[tokio::main]
async fn main() -> ExitCode {
    Program { registry: REGISTRY, table: table::table }.main().await
}
