//! The live stream: creates payments at a constant rate and applies their later steps.
//!
//! All steps of a payment are scheduled when it is created. While the rate is zero nothing changes, not even by scheduled
//! steps, so that tests see a constant state.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Sandbox,
    config::Config,
    payment::{Outcome, Payment, SeededDiscrepancy},
    payshack,
    timestamp::Timestamp,
    vima,
};

const TICK: Duration = Duration::from_millis(50);

/// After this many new payments the oldest open payment is settled.
const SETTLE_OLDEST_EVERY: u64 = 20;

/// A payment and its records.
#[derive(Clone, Debug)]
pub(crate) struct PaymentRecords {
    pub(crate) operation: Option<vima::Slot>,
    pub(crate) payin: Option<payshack::Slot>,
    pub(crate) payment: Payment,
}

/// A scheduled change of a payment.
#[derive(Debug)]
pub(crate) enum PaymentStep {
    AddPayin(PaymentRecords),
    AddDuplicate(Payment),
    SettlePayin(PaymentRecords),
    SettleOperation(PaymentRecords),
    Refund(payshack::Slot),
}

#[derive(Debug)]
pub(crate) struct LiveStream {
    pub(crate) per_second: f64,
    pub(crate) discrepancy_share: f64,
    pub(crate) rng: ChaCha8Rng,
    /// Open payments without a scheduled outcome, oldest first.
    pub(crate) open: VecDeque<PaymentRecords>,
    /// By due time; the sequence number keeps the keys unique.
    steps: BTreeMap<(Timestamp, u64), PaymentStep>,
    sequence: u64,
    started: u64,
    /// Payments due by the rate and not yet started, usually a fraction.
    due: f64,
}

impl LiveStream {
    pub(crate) fn seeded(config: &Config) -> Self {
        Self {
            per_second: config.live_per_second,
            discrepancy_share: config.discrepancies,
            rng: ChaCha8Rng::seed_from_u64(config.seed ^ 0x11fe),
            open: VecDeque::new(),
            steps: BTreeMap::new(),
            sequence: 0,
            started: 0,
            due: 0.0,
        }
    }

    fn schedule(&mut self, at: Timestamp, step: PaymentStep) {
        self.sequence += 1;
        self.steps.insert((at, self.sequence), step);
    }

    /// Schedules the PayShack record of a new payment, and its seeded duplicate.
    pub(crate) fn schedule_payin(&mut self, records: PaymentRecords) {
        if matches!(
            records.payment.discrepancy,
            Some(SeededDiscrepancy::TwiceOnVima | SeededDiscrepancy::TwiceOnPayShack)
        ) {
            let duplicated_at = records.payment.payshack_created_at.plus_millis(self.rng.random_range(60_000..600_000));
            self.schedule(duplicated_at, PaymentStep::AddDuplicate(records.payment.clone()));
        }
        self.schedule(records.payment.payshack_created_at, PaymentStep::AddPayin(records));
    }

    /// Schedules the settlement of a payment that PayShack has received.
    pub(crate) fn schedule_outcome(&mut self, records: PaymentRecords) {
        if records.payment.outcome == Outcome::Open {
            self.open.push_back(records);
            return;
        }
        self.schedule(records.payment.payshack_settled_at, PaymentStep::SettlePayin(records.clone()));
        self.schedule(records.payment.vima_settled_at, PaymentStep::SettleOperation(records));
    }

    pub(crate) fn schedule_refund(&mut self, payin: payshack::Slot, now: Timestamp) {
        let refunded_at = now.plus_millis(self.rng.random_range(600_000..3_600_000));
        self.schedule(refunded_at, PaymentStep::Refund(payin));
    }

    /// The number of payments to start after `elapsed`; fractions are carried over.
    fn take_due(&mut self, elapsed: Duration) -> u64 {
        self.due += self.per_second * elapsed.as_secs_f64();
        let mut count = 0;
        while self.due >= 1.0 {
            self.due -= 1.0;
            count += 1;
        }
        count
    }

    fn take_due_step(&mut self, now: Timestamp) -> Option<PaymentStep> {
        let first = self.steps.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

pub(crate) async fn run(sandbox: Arc<Sandbox>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let elapsed = last.elapsed();
        last = Instant::now();
        if sandbox.state().live.per_second > 0.0 {
            advance(&sandbox, elapsed);
        }
    }
}

fn advance(sandbox: &Sandbox, elapsed: Duration) {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    for _ in 0..state.live.take_due(elapsed) {
        let records = state.start_payment(now);
        state.live.schedule_payin(records);
        state.live.started += 1;
        if state.live.started.is_multiple_of(SETTLE_OLDEST_EVERY) {
            state.settle_oldest(now);
        }
    }
    while let Some(step) = state.live.take_due_step(now) {
        state.apply(step, now);
    }
}
