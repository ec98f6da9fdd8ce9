//! Every metric and every listing over HTTP, at each of several numbers of payments, beside plain SQL over the same rows.
//!
//! `PSP_BENCH_PAYMENTS` says how many payments, `1000000,10000000` where it says nothing. The first number is what growth is
//! told from; the last one is what else is measured on: overviews a second, a walk while payments arrive, what the metrics
//! cost whoever stores payments. The web process is one, whoever asks it is another: this one.

mod cost;
mod endpoints;
mod listings;
mod measured;
mod overviews;
mod plain;
mod walk;
mod writer;

use psp_dashboard::clock::{Clock, SystemClock};

use crate::harness::test_system::TestSystem;
use crate::payments::Payments;
use measured::{Measured, print_table};
use writer::Writer;

/// Measures and prints.
pub(crate) async fn measure() {
    let mut smallest: Option<Vec<Measured>> = None;
    let mut differences = vec![];
    let counts = counts("1000000,10000000");
    for (place, count) in counts.iter().enumerate() {
        let system = TestSystem::start(&["--per-day", "0"]).await;
        let payments = Payments::up_to(SystemClock.now(), *count);
        payments.store(&system.pool).await;
        let web = system.start_web_with(&[("LOG_LEVEL", "warn")]).await;
        let mut rows = vec![];
        for endpoint in endpoints::all(&payments).into_iter().chain(listings::all(&web, &payments).await) {
            rows.push(measured::measure(&system.pool, &web, endpoint).await);
        }
        print_table(*count, &rows, smallest.as_deref());
        differences.extend(rows.iter().filter_map(Measured::difference).map(str::to_owned));
        smallest.get_or_insert(rows);
        if place + 1 == counts.len() {
            let writer = Writer::open(&system, payments).await;
            overviews::measure(&web, &writer).await;
            walk::measure(&system.pool, &web, &writer).await;
            cost::measure(&system.pool, &writer, payments.until).await;
        }
    }
    assert!(differences.is_empty(), "answers and plain SQL differ: {differences:#?}");
}

/// Of how many payments the figures are taken.
#[expect(clippy::disallowed_methods, reason = "how many payments is said by whoever wants the figures")]
pub(crate) fn counts(by_habit: &str) -> Vec<u64> {
    let said = std::env::var("PSP_BENCH_PAYMENTS").unwrap_or_else(|_| by_habit.to_owned());
    let counts = said.split(',').map(|count| count.trim().parse().ok());
    counts.collect::<Option<_>>().unwrap_or_else(|| panic!("PSP_BENCH_PAYMENTS is no list of numbers: {said}"))
}
