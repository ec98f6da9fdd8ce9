//! `make bench`: measurements of a release build, with a PostgreSQL that syncs to disk.
//!
//! Each measurement is printed next to its target, or as a ratio to a baseline of the same run, since machines differ and
//! drift. `make bench BENCH=name` takes only those of one name.

mod baseline;
mod durability;
mod export;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use more of their harness than the benchmarks do")]
mod harness;
mod idle;
mod ingest;
mod metrics;
mod payments;
mod queue;
mod reconcile;
mod report;
mod soak;
mod sync;
mod web;

use std::process::ExitCode;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

/// Takes a measurement and prints it.
type Measure = fn() -> LocalBoxFuture<'static, ()>;

/// Every measurement by its name (`BENCH=`).
const MEASUREMENTS: [(&str, Measure); 17] = [
    ("ingest", || ingest::measure().boxed_local()),
    ("overlap", || sync::measure_overlap().boxed_local()),
    ("memory", || sync::measure_memory().boxed_local()),
    ("freshness", || sync::measure_freshness().boxed_local()),
    ("reconcile", || reconcile::measure().boxed_local()),
    ("metrics", || metrics::measure().boxed_local()),
    ("export", || export::measure().boxed_local()),
    ("web", || web::measure().boxed_local()),
    ("latency", || queue::measure_latency().boxed_local()),
    ("throughput", || queue::measure_throughput().boxed_local()),
    ("idle", || idle::measure().boxed_local()),
    ("kills", || durability::measure_kills().boxed_local()),
    ("rescue", || durability::measure_rescue().boxed_local()),
    ("stopped", || durability::measure_suspended().boxed_local()),
    ("schedulers", || durability::measure_schedulers().boxed_local()),
    ("flush", || durability::measure_flush().boxed_local()),
    ("soak", || soak::measure().boxed_local()),
];

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo passes --bench.
    let selected: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let names: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = selected.iter().find(|name| !names.contains(&name.as_str())) {
        eprintln!("bench: there is no measurement \"{unknown}\"; choose one of {}", names.join(", "));
        return ExitCode::from(2);
    }
    for (name, measure) in MEASUREMENTS {
        if selected.is_empty() || selected.iter().any(|selected| selected == name) {
            measure().await;
        }
    }
    ExitCode::SUCCESS
}
