use proptest::prelude::*;

use super::*;
use crate::domain::transaction::{Kind, Source, TransactionKey};

fn decimal(text: &str) -> Decimal {
    text.parse().expect(text)
}

fn currency(code: &str) -> Currency {
    code.parse().expect(code)
}

fn day(day: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(day)
}

fn rates(entries: &[(&str, i64, &str)]) -> Rates {
    let rate = |(code, on, usd): &(&str, i64, &str)| {
        (currency(code), ExchangeRate { usd: decimal(usd), fetched_at: day(*on) })
    };
    entries.iter().map(rate).collect()
}

fn payment(code: &str, amount: &str, fee: Option<&str>, rate: Option<&str>) -> Transaction {
    let (amount, rate) = (decimal(amount), rate.map(decimal));
    let fee = fee.map(decimal);
    let key = TransactionKey { source: Source::Payshack, kind: Kind::Payin, source_id: "1".to_owned() };
    Transaction {
        amount_usd: rate.and_then(|rate| in_dollars(amount, rate)),
        fee,
        fee_usd: fee.zip(rate).and_then(|(fee, rate)| in_dollars(fee, rate)),
        exchange_rate: rate,
        ..Transaction::minimal(key, day(100), amount, currency(code))
    }
}

#[test]
fn rate_is_rounded_half_to_even_and_positive() {
    for (dollars, units, expected) in [
        ("1", "83.2", Some("0.012019230769")),
        ("1", "1", Some("1")),
        ("1", "0.5", Some("2")),
        // The base is the euro: 1.08 dollars or 90 rupees.
        ("1.08", "90", Some("0.012")),
        ("1.08", "1", Some("1.08")),
        // Half to even.
        ("0.0000000000025", "1", Some("0.000000000002")),
        ("0.0000000000035", "1", Some("0.000000000004")),
        ("1", "42000", Some("0.000023809524")),
        // Rounds to zero.
        ("1", "90000000000000", None),
        ("1", "0", None),
        ("0", "83.2", None),
        ("1", "-83.2", None),
        ("-1", "-83.2", None),
    ] {
        let found = dollars_for_one(decimal(dollars), decimal(units));
        assert_eq!(found.map(|rate| rate.to_string()).as_deref(), expected, "{dollars} for {units}");
    }
}

#[test]
fn rate_nearest_before_the_payment_is_chosen() {
    for (stored, expected) in [
        (&[][..], None),
        (&[("EUR", 100, "1")], None),
        (&[("INR", 100, "1")], Some(100)),
        (&[("INR", 98, "1"), ("INR", 99, "2"), ("INR", 101, "3")], Some(99)),
        // No rate was known yet: the first one after.
        (&[("INR", 103, "1"), ("INR", 102, "2")], Some(102)),
        // At most 30 days away; a rate that is too old does not hide one fetched soon after.
        (&[("INR", 70, "1")], Some(70)),
        (&[("INR", 69, "1")], None),
        (&[("INR", 130, "1")], Some(130)),
        (&[("INR", 131, "1")], None),
        (&[("INR", 69, "1"), ("INR", 101, "2")], Some(101)),
        (&[("INR", 71, "1"), ("INR", 101, "2")], Some(71)),
    ] {
        let found = rates(stored).find(&currency("INR"), day(100));
        assert_eq!(found.map(|rate| rate.fetched_at), expected.map(day), "{stored:?}");
    }
}

#[test]
fn rate_of_the_record_has_priority() {
    let stored_rates = rates(&[("INR", 99, "0.0125"), ("EUR", 99, "1.1"), ("USD", 99, "7")]);
    let stored = RateOrigin::Stored { fetched_at: day(99) };
    for (payment, expected) in [
        (payment("INR", "1000.40", Some("2.5"), None), Some(("0.0125", "12.505", Some("0.03125"), stored))),
        (payment("INR", "1000", None, Some("0.012")), Some(("0.012", "12", None, RateOrigin::Record))),
        (payment("EUR", "0", None, None), Some(("1.1", "0", None, stored))),
        // US dollars are never converted, whatever the feed says.
        (payment("USD", "5.50", Some("0.1"), None), Some(("1", "5.5", Some("0.1"), RateOrigin::Record))),
        (payment("KWD", "10", None, None), None),
    ] {
        let valuation = Valuation::new(&payment, &stored_rates);
        let expected = expected.map(|(rate, amount, fee, origin)| Valuation {
            exchange_rate: decimal(rate),
            amount_usd: Some(decimal(amount)),
            fee_usd: fee.map(decimal),
            origin,
        });
        assert_eq!(valuation, expected, "{payment:?}");
    }
}

proptest! {
    /// The choice equals that of a linear search over all rates.
    #[test]
    fn choice_equals_linear_search(
        stored in proptest::collection::btree_map(0_i64..200, 1_i64..1000, 0..20),
        at in 0_i64..200,
    ) {
        let near = |on: &&i64| (at - **on).abs() <= MAX_RATE_DISTANCE_DAYS;
        let expected = stored.keys().filter(|on| **on <= at).max().filter(near)
            .or_else(|| stored.keys().filter(|on| **on > at).min().filter(near));
        let rates: Rates = stored.iter()
            .map(|(on, usd)| (currency("INR"), ExchangeRate { usd: Decimal::from(*usd), fetched_at: day(*on) }))
            .collect();
        let found = rates.find(&currency("INR"), day(at));
        prop_assert_eq!(found.map(|rate| rate.fetched_at), expected.map(|on| day(*on)));
        prop_assert_eq!(found.map(|rate| rate.usd), expected.map(|on| Decimal::from(stored[on])));
    }

    /// The product equals that of integers of the smallest units.
    #[test]
    fn value_is_the_exact_product(paise in 0_i64..1_000_000_000_000_000, rate in 1_i64..1_000_000_000_000) {
        let stored = ExchangeRate { usd: Decimal::new(rate, DECIMALS), fetched_at: day(1) };
        let valuation = Valuation::at_stored_rate(stored, Decimal::new(paise, 2), None);
        let exact = Decimal::from_i128_with_scale(i128::from(paise) * i128::from(rate), 2 + DECIMALS);
        prop_assert_eq!(valuation.amount_usd, Some(exact));
    }
}
