//! `psp-test-jobs`: the program that tests start, stop and kill instead of `psp-jobs`.

use std::process::ExitCode;

use psp_jobs::program::Program;
use psp_test_jobs::{REGISTRY, schedule};

#[tokio::main]
async fn main() -> ExitCode {
    Program { registry: REGISTRY, table: schedule::table }.main().await
}
