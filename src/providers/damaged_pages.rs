//! 2,000 damaged pages through the parsers of both providers, with a fixed seed.
//!
//! Whatever happens to a page, there is no panic, every record that is intact is a payment, everything else is malformed with
//! its text, or the whole page is an error and is requested again; and every payment fits the database.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::http::Rejection;
use super::structure::is_too_deep;
use super::text::readable_text;
use super::{payshack, vima};
use crate::domain::explanation::quarantine_cause::QuarantineCause;
use crate::domain::money::is_plausible_amount;
use crate::domain::record::Record;

const PAGES: usize = 2000;
const RECORDS: usize = 12;

const OPERATION: &str = include_str!("vima/wire/example.json");
const PAYIN: &str = include_str!("payshack/wire/payin.json");
const PAYOUT: &str = include_str!("payshack/wire/payout.json");

/// What providers were seen to send in place of a value, and worse.
const VALUES: [&str; 22] = [
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "null",
    "",
    "007",
    "1e400",
    "7e28",
    "-70000000000000000000000000000",
    "99999999999999999999999999999999999999999",
    "1768491979464.0",
    "\"1,500.00\"",
    "\"D\\'S\"",
    "\"a\tb\u{1}\"",
    "\"D\"Souza\"",
    "\"unclosed",
    "\"\\ud83d\\u0000\"",
    "\"2026-01-15T15:14:60Z\"",
    "{\"a\":[{}]}",
    "[]",
    "'single'",
];

type ReadPage = fn(&str) -> Result<Vec<Record>, Rejection>;

/// A list, how its pages are read, and a page with its records.
struct List {
    read: ReadPage,
    page: fn(&[String]) -> String,
    record: fn(usize) -> String,
}

const LISTS: [List; 4] = [
    List { read: read_vima, page: |records| format!("[{}]", records.join(",")), record: operation },
    List {
        read: read_vima,
        page: |records| format!("{{\"operations\": [{}], \"total\": 7}}", records.join(" , ")),
        record: operation,
    },
    List {
        read: |page| {
            payshack::read_page(page, |raw| payshack::read_payin(raw, &payshack::Projects::default()))
                .map(|page| page.records)
        },
        page: payshack_page,
        record: |number| PAYIN.trim().replace("Y7KY0V202611591646", &format!("PAYIN{number}")),
    },
    List {
        read: |page| {
            payshack::read_page(page, |raw| payshack::read_payout(raw, &payshack::Projects::default()))
                .map(|page| page.records)
        },
        page: payshack_page,
        record: |number| PAYOUT.trim().replace("PO-2026-7", &format!("PAYOUT{number}")),
    },
];

fn read_vima(page: &str) -> Result<Vec<Record>, Rejection> {
    vima::read_page(page).map(|page| page.operations.into_iter().map(|operation| operation.record).collect())
}

fn operation(number: usize) -> String {
    OPERATION.trim().replace("1067250921664811008", &format!("10672509216648{number:05}"))
}

fn payshack_page(records: &[String]) -> String {
    let records = records.join(",\n");
    format!(
        r#"{{"success": true, "data": {{"transactions": [{records}], "totalRecords": 140, "totalPages": 2, "currentPageNo": 1}}}}"#
    )
}

/// Damages a page in one of several ways.
fn damage(page: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..page.len());
    let end = (at + rng.random_range(1..200)).min(page.len());
    match rng.random_range(0..6) {
        0 | 1 => page[at] ^= 1 << rng.random_range(0..8),
        2 => page.truncate(at.max(1)),
        3 => {
            let repeated = page[at..end].to_vec();
            page.splice(at..at, repeated);
        }
        4 => drop(page.drain(at..end)),
        _ => replace_value(page, at, VALUES[rng.random_range(0..VALUES.len())]),
    }
}

/// Replaces the first value after `at`.
fn replace_value(page: &mut Vec<u8>, at: usize, value: &str) {
    let Some(colon) = page[at..].iter().position(|byte| *byte == b':') else { return };
    let start = at + colon + 1;
    let length = page[start..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(page.len() - start);
    page.splice(start..start + length, value.bytes());
}

/// What the constraints and the types of the database require.
fn assert_can_be_stored(record: &Record) {
    let payment = match record {
        Record::Malformed(malformed) => {
            assert!(!malformed.raw.is_empty());
            assert_ne!(
                QuarantineCause::from_sentence(&malformed.reason),
                QuarantineCause::Other,
                "{}",
                malformed.reason
            );
            return;
        }
        Record::Payment(payment) => payment,
    };
    assert!(!payment.key.source_id.is_empty());
    assert!(payment.version.sequence.is_none_or(|id| id.0 < 10_u128.pow(38)));
    let amounts = [Some(payment.amount), payment.paid_amount, payment.fee, payment.amount_usd, payment.fee_usd];
    assert!(amounts.into_iter().flatten().all(is_plausible_amount), "{}", payment.raw);
    let times = [Some(payment.created_at), payment.updated_at, payment.completed_at];
    assert!(times.into_iter().flatten().all(|time| time.timestamp_subsec_nanos() < 1_000_000_000), "{}", payment.raw);
    let json = serde_json::to_string(payment).expect("a payment can be serialized");
    assert!(!json.contains("\\u0000"), "{json}");
    assert!(super::structure::is_valid(&payment.raw) && !is_too_deep(&payment.raw) && !payment.raw.contains('\0'));
}

fn raw(record: &Record) -> &str {
    match record {
        Record::Payment(payment) => &payment.raw,
        Record::Malformed(malformed) => &malformed.raw,
    }
}

#[test]
fn damaged_pages_lose_no_intact_record() {
    let mut rng = StdRng::seed_from_u64(15);
    let (mut payments, mut malformed, mut unreadable, mut beside_garbage) = (0, 0, 0, 0);
    for number in 0..PAGES {
        let list = &LISTS[number % LISTS.len()];
        let originals: Vec<String> = (0..RECORDS).map(list.record).collect();
        let mut page = (list.page)(&originals).into_bytes();
        for _ in 0..rng.random_range(1..=2) {
            damage(&mut page, &mut rng);
        }
        let page = readable_text(page);
        let Ok(records) = (list.read)(&page) else {
            unreadable += 1;
            continue;
        };
        records.iter().for_each(assert_can_be_stored);
        let (valid, invalid): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| matches!(record, Record::Payment(_)));
        let found: HashSet<&str> = valid.iter().map(|record| raw(record)).collect();
        let intact: Vec<&String> = originals.iter().filter(|original| page.contains(&***original)).collect();
        // Garbage beside a record makes both one malformed record; but never does one contain two records.
        for record in &invalid {
            assert!(
                intact.iter().filter(|original| raw(record).contains(&***original)).count() <= 1,
                "{number}: {page}"
            );
        }
        for original in &intact {
            let is_kept = || invalid.iter().any(|record| raw(record).contains(&***original));
            assert!(found.contains(&***original) || is_kept(), "page {number} lost {original}\n{page}");
            beside_garbage += usize::from(!found.contains(&***original));
        }
        payments += valid.len();
        malformed += invalid.len();
    }
    println!("{payments} payments, {malformed} malformed records, {unreadable} unreadable pages");
    assert!(beside_garbage < PAGES / 100, "{beside_garbage} records are lost in garbage");
    assert!(payments > PAGES && malformed > PAGES / 4, "most damage costs one record");
    assert!(unreadable > PAGES / 10 && unreadable < PAGES / 2, "truncated pages are errors, and few others");
}
