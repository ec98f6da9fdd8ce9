//! `make bench`: the figures, of a release build, beside a PostgreSQL that keeps its promises to the disk.
//!
//! Each figure stands beside what it must be, or beside a baseline of the same run, as a ratio, for machines differ and
//! drift. `make bench BENCH=name` takes those of one name alone.

mod baseline;
mod durability;
mod export;
mod figure;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use more of their harness than the figures do")]
mod harness;
mod idle;
mod ingest;
mod metrics;
mod payments;
mod queue;
mod reconcile;
mod soak;
mod sync;
mod web;

use std::process::ExitCode;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

/// Takes a figure, and prints it.
type Measure = fn() -> LocalBoxFuture<'static, ()>;

/// Every figure, by the name under which it can be taken alone.
const FIGURES: [(&str, Measure); 17] = [
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
    ("stopped", || durability::measure_stopped().boxed_local()),
    ("schedulers", || durability::measure_schedulers().boxed_local()),
    ("flush", || durability::measure_flush().boxed_local()),
    ("soak", || soak::measure().boxed_local()),
];

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo itself passes --bench.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let names: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !names.contains(&wanted.as_str())) {
        eprintln!("bench: there is no figure \"{unknown}\"; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure().await;
        }
    }
    ExitCode::SUCCESS
}
