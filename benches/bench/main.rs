//! `make bench`: measurements of a release build, with a PostgreSQL that syncs to disk.
//!
//! Each measurement is printed next to its target, or as a ratio to a baseline of the same run, since machines differ and
//! drift. `make bench BENCH=name` takes only those of one name. A release build records the results in `benches/results.json`,
//! from which docs/performance.md is written; `--no-record` leaves both as they are.

mod baseline;
mod code;
mod console;
mod durability;
mod events;
mod export;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use more of their harness than the benchmarks do")]
mod harness;
mod idle;
mod ingest;
mod metrics;
mod payments;
mod peers;
mod questions;
mod queue;
mod reconcile;
mod recording;
mod replaced_service;
mod report;
mod soak;
mod stored_payments;
mod sync;
mod web;

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use recording::Recording;

/// Takes a measurement and prints it.
type Measure = fn() -> LocalBoxFuture<'static, ()>;

/// Every measurement by its name (`BENCH=`).
const MEASUREMENTS: &[(&str, Measure)] = &[
    ("ingest", || ingest::measure().boxed_local()),
    ("overlap", || sync::measure_overlap().boxed_local()),
    ("memory", || sync::measure_memory().boxed_local()),
    ("freshness", || sync::measure_freshness().boxed_local()),
    ("reconcile", || reconcile::measure().boxed_local()),
    ("questions", || questions::measure().boxed_local()),
    ("metrics", || metrics::measure().boxed_local()),
    ("replaced", || replaced_service::measure().boxed_local()),
    ("export", || export::measure().boxed_local()),
    ("web", || web::measure().boxed_local()),
    ("console", || console::measure().boxed_local()),
    ("events", || events::measure().boxed_local()),
    ("latency", || queue::measure_latency().boxed_local()),
    ("throughput", || queue::measure_throughput().boxed_local()),
    ("peers", || peers::measure().boxed_local()),
    ("idle", || idle::measure().boxed_local()),
    ("kills", || durability::measure_kills().boxed_local()),
    ("rescue", || durability::measure_rescue().boxed_local()),
    ("stopped", || durability::measure_suspended().boxed_local()),
    ("schedulers", || durability::measure_schedulers().boxed_local()),
    ("flush", || durability::measure_flush().boxed_local()),
    ("code", || code::measure().boxed_local()),
    ("soak", || soak::measure().boxed_local()),
];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (options, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    // Cargo passes --bench.
    if let Some(unknown) = options.iter().find(|option| !["--bench", "--no-record"].contains(&option.as_str())) {
        return Err(format!("there is no option {unknown}; the only one is --no-record").into());
    }
    let selected = select(&names)?;
    let is_recorded = !cfg!(debug_assertions) && !options.iter().any(|option| option == "--no-record");
    let names: Vec<&str> = selected.iter().map(|(name, _)| *name).collect();
    let recording = if is_recorded { Some(Recording::start(&names).await?) } else { None };
    let mut failed = vec![];
    for (name, measure) in selected {
        // One that fails takes none of the others with it.
        let outcome = AssertUnwindSafe(measure()).catch_unwind().await;
        let entries = report::take();
        if outcome.is_err() {
            failed.push(name);
            continue;
        }
        if name == "code" {
            recording::warn_of_growth(name, &entries);
        }
        if let Some(recording) = &recording {
            recording.save(name, entries)?;
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed, and not recorded: {}", failed.join(", ")).into()) }
}

/// The measurements of these names; all if there are none.
fn select(names: &[String]) -> Result<Vec<(&'static str, Measure)>, String> {
    let known: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no measurement \"{unknown}\"; choose one of {}", known.join(", ")));
    }
    let is_selected = |name: &str| names.is_empty() || names.iter().any(|selected| selected == name);
    Ok(MEASUREMENTS.iter().filter(|(name, _)| is_selected(name)).copied().collect())
}
