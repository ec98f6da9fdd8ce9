//! `psp-test-jobs`: what tests start, stop and kill in place of `psp-jobs`.

use std::process::ExitCode;

use psp_jobs::program::Program;
use psp_test_jobs::{kinds, registry, schedule};

#[tokio::main]
async fn main() -> ExitCode {
    Program { kinds: &kinds::KINDS, registry, table: schedule::table }.main().await
}
