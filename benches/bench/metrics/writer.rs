//! Stores payments as a sync of Vima does, in a run of its own that never ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::claims::{Claimer, claim};
use psp_dashboard::db::sync_runs::NewRun;
use psp_dashboard::domain::job::{NewJob, SYNC_VIMA, Trigger};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::sync::{Stream, SyncArgs};
use psp_dashboard::domain::transaction::{Source, Transaction};
use psp_dashboard::operations::begin_sync::begin_sync;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::find_rates::StoredRates;
use psp_dashboard::operations::ingest_page::{Advance, Page, Progress, Ticket, ingest_page};
use psp_dashboard::wire::Wire;
use sqlx::PgPool;
use tokio::time::interval;
use uuid::Uuid;

use crate::harness::stage::Stage;
use crate::payments::Payments;

/// Longer than anything here takes.
const LEASE: Duration = Duration::from_hours(6);

/// Whoever stores payments while others read.
pub(super) struct Writer {
    pool: PgPool,
    wire: Wire,
    rates: StoredRates,
    ticket: Ticket,
    payments: Payments,
    /// The first number that is not taken.
    next: AtomicU64,
}

impl Writer {
    /// A run that begins.
    pub(super) async fn open(stage: &Stage, payments: Payments) -> Self {
        let (pool, wire) = (stage.pool.clone(), stage.servers.wire().await);
        let job = NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Api);
        enqueue_job(&pool, &wire, &job).await.expect("the ledger takes it");
        let queues = &[SYNC_VIMA.queue.to_owned()];
        let claimer = Claimer { queues, worker: "bench", lease: LEASE, alone: false };
        let claim = claim(&pool, &claimer, 1).await.expect("the ledger answers").jobs.pop().expect("a due job").claim;
        let run = NewRun {
            id: Uuid::now_v7(),
            source: Source::Vima,
            args: SyncArgs::Incremental,
            trigger: Trigger::Api,
            job_id: claim.job_id,
        };
        begin_sync(&pool, &wire, &claim, &run, SystemClock.now()).await.expect("the claim holds");
        let ticket = Ticket { claim, run_id: run.id };
        let next = AtomicU64::new(payments.count.next_multiple_of(2));
        Self { pool, wire, rates: StoredRates::default(), ticket, payments, next }
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
        let page = Page::new(Stream::VimaUpdates, records, Advance::Stay);
        let Self { pool, wire, rates, ticket, .. } = self;
        let counts = ingest_page(pool, wire, rates, ticket, &page, &Progress::default(), SystemClock.now()).await;
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
