//! Stores payments as a sync of Vima does, in a run of its own that never ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::transaction::Transaction;
use psp_dashboard::operations::ingest_page::Checkpoint;
use tokio::time::interval;

use crate::harness::ingest_fixture::IngestFixture;
use crate::harness::test_system::TestSystem;
use crate::payments::Payments;

/// Whoever stores payments while others read.
pub(super) struct Writer {
    books: IngestFixture,
    payments: Payments,
    /// The first number that is not taken.
    next: AtomicU64,
}

impl Writer {
    /// A run that begins.
    pub(super) async fn open(system: &TestSystem, payments: Payments) -> Self {
        let books = IngestFixture::start_on(Arc::clone(&system.servers)).await;
        let next = AtomicU64::new(payments.count.next_multiple_of(2));
        Self { books, payments, next }
    }

    /// A payment of Vima that nobody has stored yet, created when it is said.
    pub(super) fn new_payment(&self, created_at: DateTime<Utc>) -> Transaction {
        let number = self.next.fetch_add(2, Ordering::Relaxed);
        Transaction { created_at, updated_at: Some(created_at), ..self.payments.payment(number) }
    }

    /// Stores new payments; they are there when it returns.
    pub(super) async fn store(&self, payments: Vec<Transaction>) {
        let stored = payments.len() as u64;
        let records = payments.into_iter().map(|payment| Record::Payment(Box::new(payment))).collect();
        let counts = self.books.ingest(records, Checkpoint::None).await;
        assert_eq!(counts.expect("the page is stored").inserted, stored);
    }
}

/// Does something again and again, so often, and never ends.
pub(super) async fn every<Doing: Future<Output = ()>>(pause: Duration, mut act: impl FnMut() -> Doing) -> ! {
    let mut ticks = interval(pause);
    loop {
        ticks.tick().await;
        act().await;
    }
}
