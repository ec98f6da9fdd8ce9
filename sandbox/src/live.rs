//! The present: new payments at a steady rate, and what becomes of them.
//!
//! A payment is planned whole when it begins; its later steps wait here until they are due. While the rate is zero
//! nothing moves at all, not even steps already planned, so that a test has still water.

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
    moment::Moment,
    payment::{Flaw, Outcome, Payment},
    payshack, vima,
};

const TICK: Duration = Duration::from_millis(50);

/// Every so many new payments one that was left open long ago is settled.
const SETTLE_AN_OLD_ONE_EVERY: u64 = 20;

/// A payment and its records.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) operation: Option<vima::Slot>,
    pub(crate) payin: Option<payshack::Slot>,
    pub(crate) payment: Payment,
}

/// What is still to happen to a payment.
#[derive(Debug)]
pub(crate) enum Step {
    Arrive(Pair),
    Repeat(Payment),
    SettlePayin(Pair),
    SettleOperation(Pair),
    Refund(payshack::Slot),
}

/// The stream's rate, plans and dice.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) per_second: f64,
    pub(crate) flawed: f64,
    pub(crate) dice: ChaCha8Rng,
    /// Payments nobody has planned an outcome for, oldest first.
    pub(crate) open: VecDeque<Pair>,
    plans: BTreeMap<(Moment, u64), Step>,
    planned: u64,
    begun: u64,
    owed: f64,
}

impl Live {
    pub(crate) fn seeded(config: &Config) -> Self {
        Self {
            per_second: config.live_per_second,
            flawed: config.discrepancies,
            dice: ChaCha8Rng::seed_from_u64(config.seed ^ 0x11fe),
            open: VecDeque::new(),
            plans: BTreeMap::new(),
            planned: 0,
            begun: 0,
            owed: 0.0,
        }
    }

    fn plan(&mut self, at: Moment, step: Step) {
        self.planned += 1;
        self.plans.insert((at, self.planned), step);
    }

    /// Plans the arrival of a payment that has just begun.
    pub(crate) fn plan_arrival(&mut self, pair: Pair) {
        if matches!(pair.payment.flaw, Some(Flaw::TwiceOnVima | Flaw::TwiceOnPayShack)) {
            let again = pair.payment.arrives.plus(self.dice.random_range(60_000..600_000));
            self.plan(again, Step::Repeat(pair.payment.clone()));
        }
        self.plan(pair.payment.arrives, Step::Arrive(pair));
    }

    /// Plans the outcome of a payment that has arrived.
    pub(crate) fn plan_outcome(&mut self, pair: Pair) {
        if pair.payment.outcome == Outcome::Open {
            self.open.push_back(pair);
            return;
        }
        self.plan(pair.payment.payin_settles, Step::SettlePayin(pair.clone()));
        self.plan(pair.payment.operation_settles, Step::SettleOperation(pair));
    }

    pub(crate) fn plan_refund(&mut self, payin: payshack::Slot, now: Moment) {
        let later = now.plus(self.dice.random_range(600_000..3_600_000));
        self.plan(later, Step::Refund(payin));
    }

    /// How many payments begin in a span of time; fractions are carried over.
    fn due_beginnings(&mut self, elapsed: Duration) -> u64 {
        self.owed += self.per_second * elapsed.as_secs_f64();
        let mut due = 0;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            due += 1;
        }
        due
    }

    fn next_due(&mut self, now: Moment) -> Option<Step> {
        let first = self.plans.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// Moves the stream on until the program ends.
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
    for _ in 0..state.live.due_beginnings(elapsed) {
        let pair = state.begin(now);
        state.live.plan_arrival(pair);
        state.live.begun += 1;
        if state.live.begun.is_multiple_of(SETTLE_AN_OLD_ONE_EVERY) {
            state.settle_oldest(now);
        }
    }
    while let Some(step) = state.live.next_due(now) {
        state.carry_out(step, now);
    }
}
