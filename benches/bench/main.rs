//! `make bench`: the figures, of a release build, beside a PostgreSQL that keeps its promises to the disk.
//!
//! Each figure stands beside a baseline of the same run, as a ratio, for machines differ and drift.

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use more of their harness than the figures do")]
mod harness;
mod ingest;
mod web;

#[tokio::main]
async fn main() {
    ingest::measure().await;
    web::measure().await;
}
