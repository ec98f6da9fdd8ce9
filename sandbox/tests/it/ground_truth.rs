//! Compares the ground truth with a simple evaluation of the records.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::TestSandbox;

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

fn by_key(records: &Value) -> BTreeMap<&str, Vec<&Value>> {
    let mut keys: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in records.as_array().unwrap().iter().filter(|record| record["project"] == "91game") {
        keys.entry(text(record, "key")).or_default().push(record);
    }
    keys
}

fn keys_of(truth: &Value, kind: &str) -> BTreeSet<String> {
    let keys = truth["discrepancies"][kind]["keys"].as_array().unwrap();
    keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn discrepancies_match_a_join_of_the_records() {
    let sandbox = TestSandbox::with(&["--per-day", "500", "--discrepancies", "0.1"]).await;
    sandbox.post("live", &json!({"create": 60, "change": 40})).await;
    let truth = sandbox.control("truth").await;
    let vima = sandbox.control("truth/records?source=vima&kind=payin").await;
    let payshack = sandbox.control("truth/records?source=payshack&kind=payin").await;
    let (vima, payshack) = (by_key(&vima), by_key(&payshack));
    let all: BTreeSet<&str> = vima.keys().chain(payshack.keys()).copied().collect();
    let is_open = |status| matches!(status, "pending" | "processing");
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for key in all {
        let (left, right) =
            (vima.get(key).cloned().unwrap_or_default(), payshack.get(key).cloned().unwrap_or_default());
        let mut add = |kind| found.entry(kind).or_default().extend([key.to_owned()]);
        match (left.len(), right.len()) {
            (0, _) => add("missing_vima"),
            (_, 0) => add("missing_payshack"),
            (1, 1) => {
                let (left, right) = (left[0], right[0]);
                let success = right["status"] == "success";
                let payshack_amount = if success { text(right, "paid_amount") } else { text(right, "amount") };
                if text(left, "amount").parse::<Decimal>().unwrap() != payshack_amount.parse::<Decimal>().unwrap() {
                    add("amount");
                }
                let (one, two) = (text(left, "status"), text(right, "status"));
                if one != two && !(is_open(one) && is_open(two)) {
                    add("status");
                }
                if text(left, "created_at")[..10] != text(right, "created_at")[..10] {
                    add("split_by_midnight");
                }
            }
            (2, 1) => add("duplicate_vima"),
            (1, 2) => add("duplicate_payshack"),
            other => panic!("{key}: {other:?}"),
        }
    }
    for (kind, keys) in &found {
        assert_eq!(*keys, keys_of(&truth, kind), "{kind}");
        assert!(!keys.is_empty());
    }
    let kinds: BTreeSet<&str> = found.keys().copied().collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let detailed = sandbox.control("truth/discrepancies").await;
    assert_eq!(detailed.as_array().unwrap().len(), found.values().map(BTreeSet::len).sum::<usize>());
}

#[tokio::test]
async fn sums_match_the_records() {
    let sandbox = TestSandbox::with(&[]).await;
    let truth = sandbox.control("truth").await;
    for (source, kind) in [("vima", "payin"), ("payshack", "payin"), ("payshack", "payout")] {
        let records = sandbox.control(&format!("truth/records?source={source}&kind={kind}")).await;
        let mut sums: BTreeMap<(&str, &str), (u64, Decimal)> = BTreeMap::new();
        for record in records.as_array().unwrap() {
            let (count, sum) = sums.entry((text(record, "currency"), text(record, "status"))).or_default();
            *count += 1;
            *sum += text(record, "amount").parse::<Decimal>().unwrap();
        }
        let totals = &truth[source][kind];
        assert_eq!(totals["count"].as_u64(), Some(sums.values().map(|(count, _)| count).sum()));
        for ((currency, status), (count, sum)) in sums {
            let cell = &totals["sums"][currency][status];
            assert_eq!(cell["count"].as_u64(), Some(count));
            assert_eq!(text(cell, "amount").parse::<Decimal>().unwrap(), sum);
        }
    }
}
