//! What the metrics cost whoever stores payments.
//!
//! There is no ingest without them to be measured. So pages are stored as a sync stores them, and after each its moves of
//! cells are made once more, for other days: what they take is what the page would have taken less. A payment comes every
//! 1.6 s, as one of Vima's does where both sources have ten million in ninety days, however many are stored.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::db::metrics::cells::move_cells;
use psp_dashboard::domain::exchange_rate::{Rates, Valuation};
use psp_dashboard::domain::metrics::cell::{Contribution, Deltas};
use psp_dashboard::domain::transaction::Transaction;
use sqlx::PgPool;

use super::writer::Writer;
use crate::figure::{self, Target};

/// Ten pages of a hundred, which a worker stores at once.
const AT_ONCE: i32 = 1_000;
const ROUNDS: i32 = 40;
/// So many warm up.
const WARM_UP: i32 = 5;
const BETWEEN_PAYMENTS: TimeDelta = TimeDelta::milliseconds(1_555);
/// No payment is of those days.
const OTHER_DAYS: TimeDelta = TimeDelta::days(400);

/// Measures and prints.
pub(super) async fn measure(pool: &PgPool, writer: &Writer, from: DateTime<Utc>) {
    let (mut with, mut moving, mut cells) = (Duration::ZERO, Duration::ZERO, 0);
    for round in -WARM_UP..ROUNDS {
        let first = from + BETWEEN_PAYMENTS * AT_ONCE * (round + WARM_UP);
        let payments: Vec<Transaction> =
            (0..AT_ONCE).map(|place| writer.new_payment(first + BETWEEN_PAYMENTS * place)).collect();
        let again = payments.clone();
        let began = Instant::now();
        writer.store(payments).await;
        let stored = began.elapsed();
        let (moved, count) = move_elsewhere(pool, &again).await;
        if round >= 0 {
            with += stored;
            moving += moved;
            cells += count;
        }
    }
    let (records, without) = (i64::from(ROUNDS * AT_ONCE), with.saturating_sub(moving));
    println!("{records} records of Vima, {AT_ONCE} stored at once, one every 1.6 s of theirs:");
    let cells = figure::count(i64::try_from(cells).unwrap_or(i64::MAX));
    figure::print("cells moved by a record", cells / figure::count(records), "", Target::None);
    figure::print("records with the metrics", figure::rate(records, with), "/s", Target::None);
    figure::print("without their moves", figure::rate(records, without), "/s", Target::None);
    let cost = 100.0 * moving.as_secs_f64() / without.as_secs_f64();
    figure::print("cost, of the time without them", cost, "%", Target::AtMost(30.0));
}

/// Makes the moves of these payments, for other days, and says how long that took and how many cells moved. The commit is not
/// counted: the ingest has one anyway.
async fn move_elsewhere(pool: &PgPool, payments: &[Transaction]) -> (Duration, usize) {
    let began = Instant::now();
    let mut deltas = Deltas::default();
    for payment in payments {
        deltas.change(None, &Contribution::new(payment, Valuation::new(payment, &Rates::default()).as_ref()));
    }
    let mut moves = deltas.into_cell_deltas();
    let counted = began.elapsed();
    for (cell, _) in &mut moves {
        cell.bucket += OTHER_DAYS;
    }
    let mut transaction = pool.begin().await.expect("a transaction");
    let began = Instant::now();
    move_cells(&mut transaction, &moves).await.expect("the cells move");
    let took = counted + began.elapsed();
    transaction.commit().await.expect("a commit");
    (took, moves.len())
}
