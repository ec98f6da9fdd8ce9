//! Every metric and every listing over HTTP with several numbers of payments, compared with plain SQL over the same rows.
//!
//! `PSP_BENCH_PAYMENTS` lists numbers of payments (default `1000000,3000000,10000000`). Growth is relative to the first number. With
//! the last one the overviews per second, cursor pages while payments arrive, and the cost of the metrics to ingest are
//! measured as well. The client is this process, the server one web process.

mod endpoints;
mod ingest_cost;
mod listings;
mod measurement;
mod overview_load;
mod pagination;
mod plain_sql;
pub(crate) mod writer;

use crate::report;
use crate::stored_payments::shared_system;
use measurement::{Measurement, print_table};
use writer::Writer;

pub(crate) async fn measure() {
    let mut smallest: Option<Vec<Measurement>> = None;
    let mut differences = vec![];
    let counts = counts("1000000,3000000,10000000");
    for (index, count) in counts.iter().enumerate() {
        let (system, payments) = shared_system(*count).await;
        let web = system.start_web_with(&[("LOG_LEVEL", "warn"), ("RECONCILED_PROJECTS", "project-0,project-7")]).await;
        let mut rows = vec![];
        report::heading(&measurement::payments(*count));
        for endpoint in endpoints::all(&payments).into_iter().chain(listings::all(&web, &payments).await) {
            rows.push(measurement::measure(&system.pool, &web, endpoint).await);
        }
        print_table(*count, &rows, smallest.as_deref());
        differences.extend(rows.iter().filter_map(Measurement::difference).map(str::to_owned));
        smallest.get_or_insert(rows);
        if index + 1 == counts.len() {
            let writer = Writer::start(&system, payments).await;
            overview_load::measure(&web, &writer).await;
            pagination::measure(&system.pool, &web, &writer).await;
            ingest_cost::measure(&system.pool, &writer, payments.until).await;
        }
    }
    assert!(differences.is_empty(), "responses and plain SQL differ: {differences:#?}");
}

/// The numbers of payments to measure with.
#[expect(clippy::disallowed_methods, reason = "the caller of the benchmark chooses the numbers")]
pub(crate) fn counts(default: &str) -> Vec<u64> {
    let setting = std::env::var("PSP_BENCH_PAYMENTS").unwrap_or_else(|_| default.to_owned());
    let counts = setting.split(',').map(|count| count.trim().parse().ok());
    counts.collect::<Option<_>>().unwrap_or_else(|| panic!("PSP_BENCH_PAYMENTS is not a list of numbers: {setting}"))
}
