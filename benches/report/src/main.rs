//! Writes docs/performance.md and its charts from `benches/results.json`, or with `--check` compares them.

use std::path::PathBuf;
use std::process::ExitCode;

use psp_bench_report::document::Project;
use psp_bench_report::error::Error;
use psp_bench_report::results::Results;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let checks = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!("usage: psp-bench-report [--check]");
            return ExitCode::from(2);
        }
    };
    match run(checks) {
        Ok(differing) if differing.is_empty() => ExitCode::SUCCESS,
        Ok(differing) => {
            eprintln!("{} differ from benches/results.json or from the measured code", differing.join(", "));
            eprintln!("run scripts/bench --document, which marks outdated results, or measure again with make bench");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the documents, or returns the paths of those that differ.
fn run(checks: bool) -> Result<Vec<String>, Error> {
    // Cargo runs it with the folder of this package, wherever the caller is.
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let results = Results::load(&root.join("benches/results.json"))?;
    let project = Project { root: &root, results: &results };
    if checks { project.differing() } else { project.write().map(|()| vec![]) }
}
