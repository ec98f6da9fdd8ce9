//! Any bytes as the response of a provider: each parser returns, and what it returns is complete enough to be stored or reported.

use super::http::Rejection;
use super::text::decode;
use super::{exchange_rates, payshack, vima};
use crate::domain::explanation::quarantine_cause::QuarantineCause;
use crate::domain::record::Record;
use crate::fuzzing::campaign;

const OPERATION: &str = include_str!("vima/wire/example.json");
const PAYIN: &str = include_str!("payshack/wire/payin.json");
const PAYOUT: &str = include_str!("payshack/wire/payout.json");

fn assert_reported(records: Result<Vec<Record>, Rejection>) {
    for record in records.into_iter().flatten() {
        if let Record::Malformed(malformed) = record {
            assert!(!malformed.raw.is_empty());
            assert_ne!(
                QuarantineCause::from_sentence(&malformed.reason),
                QuarantineCause::Other,
                "{}",
                malformed.reason
            );
        }
    }
}

#[test]
fn pages_of_vima() {
    let pages = [format!("[{OPERATION},{OPERATION}]"), format!("{{\"operations\":[{OPERATION}],\"total\":1}}")];
    campaign("Vima page", &pages.each_ref().map(String::as_bytes), |bytes| {
        let page = vima::read_page(&decode(bytes.to_vec(), Some("application/json; charset=utf-8")));
        assert_reported(page.map(|page| page.operations.into_iter().map(|operation| operation.record).collect()));
    });
}

#[test]
fn pages_of_payshack() {
    let page = |record: &str| {
        format!(
            r#"{{"success":true,"data":{{"transactions":[{record},{record}],"totalRecords":2,"currentPageNo":1}}}}"#
        )
    };
    let pages = [page(PAYIN), page(PAYOUT)];
    let projects = payshack::Projects::default();
    campaign("PayShack page", &pages.each_ref().map(String::as_bytes), |bytes| {
        let text = decode(bytes.to_vec(), None);
        for read in [payshack::read_payin, payshack::read_payout] {
            assert_reported(payshack::read_page(&text, |raw| read(raw, &projects)).map(|page| page.records));
        }
    });
}

#[test]
fn exchange_rates() {
    let examples = [r#"{"base":"USD","rates":{"INR":83.2,"EUR":0.9}}"#, r#"{"base":"EUR","rates":{"USD":1.1}}"#];
    campaign("exchange rates", &examples.map(str::as_bytes), |bytes| {
        // A rejection is as good as rates.
        let _ = exchange_rates::read_rates(&decode(bytes.to_vec(), None));
    });
}
