//! Stores payments like a sync of Vima, in one run that never ends.

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

pub(crate) struct Writer {
    ingest: IngestFixture,
    payments: Payments,
    /// The number of the next payment.
    next: AtomicU64,
}

impl Writer {
    pub(crate) async fn start(system: &TestSystem, payments: Payments) -> Self {
        let ingest = IngestFixture::start_on(Arc::clone(&system.servers)).await;
        let next = AtomicU64::new(payments.count.next_multiple_of(2));
        Self { ingest, payments, next }
    }

    /// A new payment of Vima.
    pub(crate) fn new_payment(&self, created_at: DateTime<Utc>) -> Transaction {
        let number = self.next.fetch_add(2, Ordering::Relaxed);
        Transaction { created_at, updated_at: Some(created_at), ..self.payments.payment(number) }
    }

    /// Stores and commits new payments.
    pub(crate) async fn store(&self, payments: Vec<Transaction>) {
        let stored = payments.len() as u64;
        let records = payments.into_iter().map(|payment| Record::Payment(Box::new(payment))).collect();
        let counts = self.ingest.ingest(records, Checkpoint::None).await;
        assert_eq!(counts.expect("the page is stored").inserted, stored);
    }
}

/// Runs `action` at a fixed interval, forever.
pub(crate) async fn every<F: Future<Output = ()>>(period: Duration, mut action: impl FnMut() -> F) -> ! {
    let mut ticks = interval(period);
    loop {
        ticks.tick().await;
        action().await;
    }
}
