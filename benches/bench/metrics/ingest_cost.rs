//! The cost of the metrics to ingest.
//!
//! An ingest without metrics does not exist. So pages are stored as by a sync, and after each its cell changes are applied
//! once more for other days: their duration is what the page would have saved without metrics. Payments are 1.6 s apart, like
//! those of Vima if both sources have ten million in ninety days.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::db::metrics::cells::add_to_cells;
use psp_dashboard::domain::exchange_rate::{Rates, Valuation};
use psp_dashboard::domain::metrics::cell::{Contribution, Deltas};
use psp_dashboard::domain::transaction::Transaction;
use sqlx::PgPool;

use super::writer::Writer;
use crate::report::{self, Target};

/// Ten pages of a hundred, which a worker stores in one transaction.
const BATCH: i32 = 1_000;
const ROUNDS: i32 = 40;
const WARM_UP: i32 = 5;
const BETWEEN_PAYMENTS: TimeDelta = TimeDelta::milliseconds(1_555);
/// Days without payments.
const OTHER_DAYS: TimeDelta = TimeDelta::days(400);

pub(super) async fn measure(pool: &PgPool, writer: &Writer, from: DateTime<Utc>) {
    let (mut with_metrics, mut moving, mut cells) = (Duration::ZERO, Duration::ZERO, 0);
    for round in -WARM_UP..ROUNDS {
        let first = from + BETWEEN_PAYMENTS * BATCH * (round + WARM_UP);
        let payments: Vec<Transaction> =
            (0..BATCH).map(|index| writer.new_payment(first + BETWEEN_PAYMENTS * index)).collect();
        let copy = payments.clone();
        let started = Instant::now();
        writer.store(payments).await;
        let stored = started.elapsed();
        let (moved, count) = move_cells_of_other_days(pool, &copy).await;
        if round >= 0 {
            with_metrics += stored;
            moving += moved;
            cells += count;
        }
    }
    let (records, without) = (i64::from(ROUNDS * BATCH), with_metrics.saturating_sub(moving));
    report::heading(&format!("{records} records of Vima, created 1.6 s apart, {BATCH} stored at once"));
    let cells = report::count(i64::try_from(cells).unwrap_or(i64::MAX));
    report::print("changed cells per record", cells / report::count(records), "", Target::None);
    report::print("records with metrics", report::per_second(records, with_metrics), "/s", Target::None);
    report::print("records without metrics", report::per_second(records, without), "/s", Target::None);
    let cost = 100.0 * moving.as_secs_f64() / without.as_secs_f64();
    report::print("cost relative to the time without metrics", cost, "%", Target::AtMost(30.0));
}

/// Applies the cell changes of these payments for other days. Returns the duration and the number of changed cells. The
/// commit does not count, since the ingest has one anyway.
async fn move_cells_of_other_days(pool: &PgPool, payments: &[Transaction]) -> (Duration, usize) {
    let started = Instant::now();
    let mut deltas = Deltas::default();
    for payment in payments {
        deltas.change(None, &Contribution::new(payment, Valuation::new(payment, &Rates::default()).as_ref()));
    }
    let mut moves = deltas.into_cell_deltas();
    let counting = started.elapsed();
    for (cell, _) in &mut moves {
        cell.bucket += OTHER_DAYS;
    }
    let mut transaction = pool.begin().await.expect("a transaction");
    let started = Instant::now();
    add_to_cells(&mut transaction, &moves).await.expect("the cells are changed");
    let elapsed = counting + started.elapsed();
    transaction.commit().await.expect("a commit");
    (elapsed, moves.len())
}
