//! The past: days of payments made up before the first request, the same for the same seed and end.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    chance::pick,
    config::Config,
    live::{Live, Pair},
    moment::{Day, Moment},
    payment::{Flaw, Outcome, Payment, Project},
    payshack::{Client, Kind, Metadata, Transaction, Transactions},
    state::State,
    switches::Switches,
    vima::{Operation, Operations},
};

const DAY_MS: i64 = 86_400_000;

/// Younger payments carry no flaw: a reader may rightly still be waiting for their other side.
const FLAWS_ARE_OLDER_THAN_MS: i64 = 3 * 3_600_000;

/// How busy each hour (UTC) is, in percent of the busiest: India's evening is the peak, its small hours are quiet.
const BUSY: [u32; 24] =
    [12, 18, 28, 38, 48, 58, 65, 68, 66, 64, 66, 70, 76, 84, 92, 100, 98, 88, 70, 48, 30, 18, 12, 10];

/// Other clients' share of `PayShack`'s records, and the pay-outs': one for so many pay-ins that Vima knows.
const ONE_IN: usize = 10;

/// Makes up the history that ends at `now`.
pub(crate) fn history(config: &Config, switches: &Switches, now: Moment) -> State {
    let mut dice = ChaCha8Rng::seed_from_u64(config.seed);
    let payments = payments(config, &mut dice, now);
    let mut state = State {
        operations: Operations::default(),
        payins: Transactions::of(Kind::Payin),
        payouts: Transactions::of(Kind::Payout),
        live: Live::seeded(config),
        metadata: Metadata::made(),
    };
    state.operations.use_wide_ids(switches.vima_wide_ids);
    let shared = payments.iter().filter(|payment| payment.goes_through_payshack()).count();
    let (payins, payouts) = other_clients(config, &mut dice, now, shared / ONE_IN);
    record(&mut state, payments, payins);
    state.payouts.add_history(payouts);
    state
}

fn payments(config: &Config, dice: &mut ChaCha8Rng, now: Moment) -> Vec<Payment> {
    let days = i64::from(config.history_days);
    let total = i64::from(config.per_day) * days;
    let mut payments: Vec<Payment> = (0..total)
        .map(|_| {
            let created = sometime(dice, days, now);
            let settled = created.plus(FLAWS_ARE_OLDER_THAN_MS) < now;
            Payment::drawn(dice, created, if settled { config.discrepancies } else { 0.0 }).seen_at(now)
        })
        .collect();
    if total > 0 {
        payments.extend(around_midnights(dice, days, now));
    }
    payments
}

fn sometime(dice: &mut ChaCha8Rng, days: i64, now: Moment) -> Moment {
    loop {
        let created = now.plus(-dice.random_range(1..=days * DAY_MS));
        if dice.random_range(0..100) < BUSY[created.hour()] {
            return created;
        }
    }
}

/// Two payments over each midnight of the history: one side's record lies on the day before.
fn around_midnights(dice: &mut ChaCha8Rng, days: i64, now: Moment) -> Vec<Payment> {
    let begins = now.plus(-days * DAY_MS);
    let midnights = std::iter::successors(Some(begins.day().next()), |day| Some(day.next())).map(Day::start);
    let past = midnights.take_while(|midnight| midnight.plus(3_600_000) < now);
    let twice = past.flat_map(|midnight| [midnight, midnight]);
    twice
        .map(|midnight| Payment::drawn_for(Project::Game, dice, midnight, 0.0).split_at(midnight).seen_at(now))
        .collect()
}

fn other_clients(
    config: &Config,
    dice: &mut ChaCha8Rng,
    now: Moment,
    count: usize,
) -> (Vec<Transaction>, Vec<Transaction>) {
    let days = i64::from(config.history_days);
    let mut drawn = |client: Option<Client>| {
        let created = sometime(dice, days, now);
        let payment = Payment::drawn_for(Project::Game, dice, created, 0.0).seen_at(now);
        let others = [Client::Mncl, Client::Mncl, Client::MnclThree, Client::Unmapped];
        Transaction::of_client(client.unwrap_or(pick(&others, payment.shade.into())), &payment)
    };
    let payins = (0..count).map(|_| drawn(None)).collect();
    let payouts = (0..count).map(|_| drawn(Some(Client::Indigate))).collect();
    (payins, payouts)
}

/// Writes the payments down on both sides; the open ones are kept for later changes.
fn record(state: &mut State, payments: Vec<Payment>, other_payins: Vec<Transaction>) {
    let (mut operations, mut payins) = (Vec::with_capacity(payments.len()), Vec::with_capacity(payments.len()));
    let mut open = Vec::new();
    for payment in payments {
        let places = (operations.len(), payins.len());
        if !payment.has(Flaw::MissingOnVima) {
            operations.push(Operation::begun(&payment).settled(&payment));
        }
        if payment.goes_through_payshack() && !payment.has(Flaw::MissingOnPayShack) {
            payins.push(Transaction::begun(&payment).settled(&payment));
        }
        match payment.flaw {
            Some(Flaw::TwiceOnVima) => operations.push(Operation::repeated(&payment)),
            Some(Flaw::TwiceOnPayShack) => payins.push(Transaction::repeated(&payment)),
            _ => {}
        }
        if payment.outcome == Outcome::Open && payment.flaw.is_none() {
            open.push((payment, places));
        }
    }
    payins.extend(other_payins);
    let operations = state.operations.add_history(operations);
    let payins = state.payins.add_history(payins);
    open.sort_by_key(|(payment, _)| payment.created);
    state.live.open = open
        .into_iter()
        .map(|(payment, (operation, payin))| Pair {
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
    struct Line {
        #[command(flatten)]
        config: Config,
    }

    pub(crate) const NOW: &str = "2026-01-15T10:00:00Z";

    /// Seven days before `NOW`.
    pub(crate) fn seeded(per_day: u32) -> State {
        let mut config = Line::parse_from(["psp-sandbox"]).config;
        config.per_day = per_day;
        history(&config, &Switches::default(), Moment::parse(NOW).unwrap())
    }

    #[test]
    fn the_history_has_the_asked_size_and_lies_in_the_past() {
        let state = seeded(400);
        let now = Moment::parse(NOW).unwrap();
        let operations = state.operations.entries();
        assert!((2700..2900).contains(&operations.len()));
        assert!(operations.iter().all(|entry| entry.created() <= now && entry.created() >= now.plus(-8 * DAY_MS)));
        let payins = state.payins.entries();
        assert!(payins.iter().all(|entry| entry.created() <= now && entry.modified() <= now));
        assert!(payins.len() > operations.len() * 7 / 10 && state.payouts.entries().len() > payins.len() / 15);
        assert!(state.live.open.len() > 50);
    }

    #[test]
    fn an_empty_history_is_possible() {
        assert!(seeded(0).operations.entries().is_empty());
    }
}
