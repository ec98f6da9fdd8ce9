//! The generated history: days of payments before the first request. The same seed and end give the same history.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::Config,
    id_hash::pick,
    live_stream::{LiveStream, PaymentRecords},
    payment::{Outcome, Payment, Project, SeededDiscrepancy},
    payshack::{Client, Metadata, Transaction, TransactionKind, TransactionStore},
    state::State,
    switches::Switches,
    timestamp::{Day, Timestamp},
    vima::{Operation, OperationStore},
};

const DAY_MS: i64 = 86_400_000;

/// Newer payments have no discrepancy, because a client may still wait for the other provider's record.
const MIN_DISCREPANCY_AGE_MS: i64 = 3 * 3_600_000;

/// Traffic per UTC hour in percent of the peak, which is the evening in India.
const HOURLY_TRAFFIC: [u32; 24] =
    [12, 18, 28, 38, 48, 58, 65, 68, 66, 64, 66, 70, 76, 84, 92, 100, 98, 88, 70, 48, 30, 18, 12, 10];

/// One pay-in of other clients, and one pay-out, per this many pay-ins of 91game.
const OTHERS_ONE_IN: usize = 10;

pub(crate) fn generate(config: &Config, switches: &Switches, now: Timestamp) -> State {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let payments = payments(config, &mut rng, now);
    let mut state = State {
        operations: OperationStore::default(),
        payins: TransactionStore::new(TransactionKind::Payin),
        payouts: TransactionStore::new(TransactionKind::Payout),
        live: LiveStream::seeded(config),
        metadata: Metadata::generate(),
    };
    state.operations.use_wide_ids(switches.vima_wide_ids);
    let shared = payments.iter().filter(|payment| payment.goes_through_payshack()).count();
    let (payins, payouts) = other_clients(config, &mut rng, now, shared / OTHERS_ONE_IN);
    add_records(&mut state, payments, payins);
    state.payouts.add_history(payouts);
    state
}

fn payments(config: &Config, rng: &mut ChaCha8Rng, now: Timestamp) -> Vec<Payment> {
    let days = i64::from(config.history_days);
    let total = i64::from(config.per_day) * days;
    let mut payments: Vec<Payment> = (0..total)
        .map(|_| {
            let created = random_time(rng, days, now);
            let old = created.plus_millis(MIN_DISCREPANCY_AGE_MS) < now;
            Payment::random(rng, created, if old { config.discrepancies } else { 0.0 }).known_at(now)
        })
        .collect();
    if total > 0 {
        payments.extend(midnight_payments(rng, days, now));
    }
    payments
}

fn random_time(rng: &mut ChaCha8Rng, days: i64, now: Timestamp) -> Timestamp {
    loop {
        let created = now.plus_millis(-rng.random_range(1..=days * DAY_MS));
        if rng.random_range(0..100) < HOURLY_TRAFFIC[created.hour()] {
            return created;
        }
    }
}

/// Two payments per midnight of the history, each with a Vima record before and a PayShack record after midnight.
fn midnight_payments(rng: &mut ChaCha8Rng, days: i64, now: Timestamp) -> Vec<Payment> {
    let start = now.plus_millis(-days * DAY_MS);
    let midnights = std::iter::successors(Some(start.day().next()), |day| Some(day.next())).map(Day::start);
    let past = midnights.take_while(|midnight| midnight.plus_millis(3_600_000) < now);
    let twice = past.flat_map(|midnight| [midnight, midnight]);
    twice
        .map(|midnight| Payment::random_for(Project::Game, rng, midnight, 0.0).straddling(midnight).known_at(now))
        .collect()
}

fn other_clients(
    config: &Config,
    rng: &mut ChaCha8Rng,
    now: Timestamp,
    count: usize,
) -> (Vec<Transaction>, Vec<Transaction>) {
    let days = i64::from(config.history_days);
    let mut random_transaction = |client: Option<Client>| {
        let created = random_time(rng, days, now);
        let payment = Payment::random_for(Project::Game, rng, created, 0.0).known_at(now);
        let others = [Client::Mncl, Client::Mncl, Client::MnclThree, Client::Unmapped];
        Transaction::for_client(client.unwrap_or(pick(&others, payment.variant.into())), &payment)
    };
    let payins = (0..count).map(|_| random_transaction(None)).collect();
    let payouts = (0..count).map(|_| random_transaction(Some(Client::Indigate))).collect();
    (payins, payouts)
}

/// Adds the records of both providers, and the open payments to the live stream.
fn add_records(state: &mut State, payments: Vec<Payment>, other_payins: Vec<Transaction>) {
    let (mut operations, mut payins) = (Vec::with_capacity(payments.len()), Vec::with_capacity(payments.len()));
    let mut open = Vec::new();
    for payment in payments {
        let indexes = (operations.len(), payins.len());
        if !payment.has(SeededDiscrepancy::MissingOnVima) {
            operations.push(Operation::new(&payment).settled(&payment));
        }
        if payment.goes_through_payshack() && !payment.has(SeededDiscrepancy::MissingOnPayShack) {
            payins.push(Transaction::new(&payment).settled(&payment));
        }
        match payment.discrepancy {
            Some(SeededDiscrepancy::TwiceOnVima) => operations.push(Operation::duplicate(&payment)),
            Some(SeededDiscrepancy::TwiceOnPayShack) => payins.push(Transaction::duplicate(&payment)),
            _ => {}
        }
        if payment.outcome == Outcome::Open && payment.discrepancy.is_none() {
            open.push((payment, indexes));
        }
    }
    payins.extend(other_payins);
    let operations = state.operations.add_history(operations);
    let payins = state.payins.add_history(payins);
    open.sort_by_key(|(payment, _)| payment.created);
    state.live.open = open
        .into_iter()
        .map(|(payment, (operation, payin))| PaymentRecords {
            operation: Some(operations[operation]),
            payin: payment.goes_through_payshack().then(|| payins[payin]),
            payment,
        })
        .collect();
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    pub(crate) const NOW: &str = "2026-01-15T10:00:00Z";

    /// The seven days before `NOW`.
    pub(crate) fn generated_state(per_day: u32) -> State {
        let mut config = Cli::parse_from(["psp-sandbox"]).config;
        config.per_day = per_day;
        generate(&config, &Switches::default(), Timestamp::parse(NOW).unwrap())
    }

    #[test]
    fn history_has_the_configured_size_and_ends_before_now() {
        let state = generated_state(400);
        let now = Timestamp::parse(NOW).unwrap();
        let operations = state.operations.entries();
        assert!((2700..2900).contains(&operations.len()));
        assert!(
            operations.iter().all(|entry| entry.created() <= now && entry.created() >= now.plus_millis(-8 * DAY_MS))
        );
        let payins = state.payins.entries();
        assert!(payins.iter().all(|entry| entry.created() <= now && entry.modified() <= now));
        assert!(payins.len() > operations.len() * 7 / 10 && state.payouts.entries().len() > payins.len() / 15);
        assert!(state.live.open.len() > 50);
    }

    #[test]
    fn history_can_be_empty() {
        assert!(generated_state(0).operations.entries().is_empty());
    }
}
