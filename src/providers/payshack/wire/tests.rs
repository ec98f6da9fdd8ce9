//! Each case is the documented example with one thing changed, so that a case shows the rule and nothing else.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::money::format_decimal;

const PAYIN: &str = include_str!("payin.json");
const PAYOUT: &str = include_str!("payout.json");

/// An example with some of its fields replaced; `null` there is what it is.
fn changed(example: &str, changes: &[(&str, Value)]) -> String {
    let mut example: Value = serde_json::from_str(example).expect("the example is JSON");
    for (field, value) in changes {
        example[*field] = value.clone();
    }
    example.to_string()
}

fn read(kind: Kind, raw: &str) -> Record {
    match kind {
        Kind::Payin => read_payin(raw, &Projects::default()),
        Kind::Payout => read_payout(raw, &Projects::default()),
    }
}

fn payment(kind: Kind, raw: &str) -> Transaction {
    match read(kind, raw) {
        Record::Payment(payment) => *payment,
        Record::Malformed(malformed) => panic!("{}: {raw}", malformed.reason),
    }
}

fn payin(changes: &[(&str, Value)]) -> Transaction {
    payment(Kind::Payin, &changed(PAYIN, changes))
}

fn payout(changes: &[(&str, Value)]) -> Transaction {
    payment(Kind::Payout, &changed(PAYOUT, changes))
}

fn malformed(record: Record) -> Malformed {
    match record {
        Record::Malformed(malformed) => malformed,
        Record::Payment(payment) => panic!("not malformed: {}", payment.raw),
    }
}

#[test]
fn documented_examples_are_parsed_completely() {
    for (name, kind, raw) in [("payin", Kind::Payin, PAYIN), ("payout", Kind::Payout, PAYOUT)] {
        let payment = payment(kind, raw);
        assert_eq!(payment.raw, raw, "kept to the letter");
        insta::assert_json_snapshot!(name, payment);
    }
}

#[test]
fn source_id_is_the_first_present_id() {
    let none = Value::Null;
    for (payment, expected) in [
        (payin(&[("txnId", json!(12))]), "12"),
        (payin(&[("txnId", none.clone()), ("transactionId", json!("T9"))]), "15910368"),
        (payout(&[("txnId", json!("T1"))]), "T1"),
        (payout(&[("txnId", json!(" "))]), "PO-2026-7"),
        (payout(&[("transactionId", none)]), "77"),
    ] {
        assert_eq!(payment.key.source_id, expected);
    }
}

#[test]
fn amount_is_the_requested_amount_and_exact() {
    for (amount, expected) in
        [(json!(100), "100.00"), (json!("100.10"), "100.10"), (json!("0.125"), "0.125"), (json!(" 7.5 "), "7.50")]
    {
        let payment = payin(&[("amount", amount), ("paidAmount", json!("99.99"))]);
        assert_eq!(format_decimal(payment.amount), expected);
        assert_eq!(payment.paid_amount.map(format_decimal).as_deref(), Some("99.99"));
    }
    for absent in [json!(null), json!(" ")] {
        assert_eq!(payin(&[("paidAmount", absent.clone()), ("totalCommissionAmount", absent)]).paid_amount, None);
    }
    let exact = PAYIN.replace("\"amount\": 100", "\"amount\": 123456789012345.07");
    assert_eq!(format_decimal(payment(Kind::Payin, &exact).amount), "123456789012345.07");
}

#[test]
fn text_fields_are_read_from_their_documented_places() {
    type Read = fn(Transaction) -> Option<String>;
    let cases: [(Transaction, Read, Option<&str>); 12] = [
        (payin(&[("clientName", json!("MNCL_M5_Pvt_Ltd"))]), |p| p.project, Some("mncl_m5")),
        (payin(&[("clientName", json!("Mn CL THREE_PVT_LTD"))]), |p| p.project, Some("mncl_three")),
        (payin(&[("clientName", json!("New Client Ltd"))]), |p| p.project, Some("New Client Ltd")),
        (payin(&[("clientName", json!(null))]), |p| p.project, None),
        (payin(&[("payerName", json!(["Asha"]))]), |p| p.user_name, None),
        (payin(&[("payerName", json!("A\0B"))]), |p| p.user_name, Some("A\u{fffd}B")),
        (payin(&[("payerPhone", json!(9_000_000_001_u64))]), |p| p.user_phone, Some("9000000001")),
        (payin(&[("orderId", json!(42))]), |p| p.order_id, Some("42")),
        (payin(&[("utr", json!(983_991_008_838_u64))]), |p| p.utr, Some("983991008838")),
        (payin(&[("txnStatus", json!("Tampered"))]), |p| p.original_status, Some("Tampered")),
        (payout(&[("txnStatus", json!("Failed"))]), |p| p.original_status, Some("Failed")),
        (payout(&[("status", json!({}))]), |p| p.original_status, None),
    ];
    for (payment, read, expected) in cases {
        let raw = payment.raw.clone();
        assert_eq!(read(payment).as_deref(), expected, "{raw}");
    }
}

#[test]
fn invalid_optional_times_are_absent() {
    let payment = payin(&[("modifiedAt", json!("soon")), ("completedAt", json!(null))]);
    assert_eq!((payment.version.modified_at, payment.updated_at, payment.completed_at), (None, None, None));
    assert_eq!(payin(&[("completedAt", json!("0001-01-01T00:00:00Z"))]).completed_at, None);
}

#[test]
fn missing_required_fields_are_named() {
    let none = Value::Null;
    for (changes, expected) in [
        (vec![("txnId", none.clone()), ("_id", none.clone())], "txnId is missing"),
        (vec![("txnId", json!("9".repeat(2000)))], "txnId should be an id but is a text of 2000 characters"),
        (vec![("amount", none.clone())], "amount is missing"),
        (vec![("amount", json!("hundred"))], "amount should be an exact amount but is a text of 7 characters"),
        (vec![("amount", json!({}))], "amount should be an exact amount but is an object"),
        (vec![("createdAt", none)], "createdAt is missing"),
        (vec![("createdAt", json!("15-01-2026"))], "createdAt should be a time but is \"15-01-2026\""),
    ] {
        let raw = changed(PAYIN, &changes);
        let malformed = malformed(read(Kind::Payin, &raw));
        assert_eq!((malformed.reason.as_str(), malformed.raw), (expected, raw));
    }
    for raw in ["17", "null", "[]", "\"x\"", r#"{"amount": 1, "amount": 2}"#, r#"{"txnId": 1, "txnId": 1}"#] {
        for kind in Kind::ALL {
            let malformed = malformed(read(kind, raw));
            assert_eq!((malformed.kind, malformed.source_id, malformed.raw.as_str()), (kind, None, raw));
        }
    }
    let known = malformed(read(Kind::Payout, &changed(PAYOUT, &[("amount", json!([]))])));
    assert_eq!(known.source_id.as_deref(), Some("PO-2026-7"));
}

#[test]
fn optional_fields_may_be_missing_null_or_of_another_type() {
    for (kind, example) in [(Kind::Payin, PAYIN), (Kind::Payout, PAYOUT)] {
        let fields: Value = serde_json::from_str(example).expect("the example is JSON");
        for field in fields.as_object().expect("an object").keys() {
            let money = ["amount", "paidAmount", "totalCommissionAmount", "txnCharges", "netAmount"];
            if money.contains(&field.as_str()) || field == "createdAt" {
                continue;
            }
            for other in [json!(null), json!({"x": [1]}), json!(["x"]), json!(true), json!(7), json!(1.5), json!("x")] {
                payment(kind, &changed(example, &[(field, other)]));
            }
        }
    }
}

#[test]
fn unreadable_field_that_decides_about_money_is_malformed() {
    for (kind, field) in [
        (Kind::Payin, "paidAmount"),
        (Kind::Payin, "totalCommissionAmount"),
        (Kind::Payout, "txnCharges"),
        (Kind::Payout, "netAmount"),
        (Kind::Payout, "amount"),
    ] {
        let example = if kind == Kind::Payin { PAYIN } else { PAYOUT };
        for (value, expected) in [
            (json!("1,500.00"), "an exact amount but is \"1,500.00\""),
            (json!({}), "an exact amount but is an object"),
            (json!(false), "an exact amount but is false"),
            (
                json!("70000000000000000000000000000"),
                "an amount of at most 10^15 but is \"70000000000000000000000000000\"",
            ),
            (json!(-1_000_000_000_000_001_i64), "an amount of at most 10^15 but is \"-1000000000000001\""),
        ] {
            let malformed = malformed(read(kind, &changed(example, &[(field, value)])));
            assert_eq!(malformed.reason, format!("{field} should be {expected}"));
            assert!(malformed.source_id.is_some(), "the id is known");
        }
    }
}

#[test]
fn leap_second_is_the_next_second() {
    let payment =
        payin(&[("createdAt", json!("2026-01-15T15:14:60.250Z")), ("modifiedAt", json!("2026-01-15 15:14:60"))]);
    assert_eq!(payment.created_at.to_rfc3339(), "2026-01-15T15:15:00.250+00:00");
    assert_eq!(payment.version.modified_at.map(|time| time.to_rfc3339()).as_deref(), Some("2026-01-15T15:15:00+00:00"));
    let later = payin(&[("modifiedAt", json!("2026-01-15T15:15:00.001Z"))]);
    assert!(later.version.modified_at > payment.version.modified_at);
}

#[test]
fn keys_are_normalized() {
    for (id, expected) in [
        ("1768491979464.0", "1768491979464"),
        ("1.768491979464E12", "1768491979464"),
        ("\"\u{feff}AGQAMEBYUPHQ4\u{200d}\"", "AGQAMEBYUPHQ4"),
    ] {
        let raw = PAYIN.replace("\"orderId\": \"AGQAMEBYUPHQ4\"", &format!("\"orderId\": {id}"));
        assert_eq!(payment(Kind::Payin, &raw).order_id.as_deref(), Some(expected), "{id}");
    }
    assert_eq!(payin(&[("orderId", json!("\u{200b}"))]).order_id, None);
    let number = PAYIN.replace("\"Y7KY0V202611591646\"", "15910368.0");
    assert_eq!(payment(Kind::Payin, &number).key.source_id, "15910368");
}

#[test]
fn invalid_record_costs_one_record() {
    let broken = PAYIN.replace("\"amount\": 100", "\"amount\": Infinity").replace("Y7KY0V202611591646", "B");
    for (data, payments) in [
        (format!(r#"{{"transactions": [{PAYIN}, {broken}, {PAYIN}], "totalRecords": 3, "totalPages": 1}}"#), 2),
        (format!(r#"{{"totalRecords": 3, "perPage": NaN, "totalPages": 1, "transaction": {broken}}}"#), 0),
    ] {
        let page = page(&format!(r#"{{"success": true, "data": {data}}}"#)).ok().expect("a page");
        assert_eq!((page.records.len(), page.total_records, page.total_pages), (payments + 1, Some(3), Some(1)));
        let malformed: Vec<_> = page
            .records
            .iter()
            .filter(|record| matches!(record, Record::Malformed(_)))
            .cloned()
            .map(malformed)
            .collect();
        assert_eq!(malformed.len(), 1);
        assert_eq!((malformed[0].source_id.as_deref(), malformed[0].raw.as_str()), (Some("B"), broken.trim()));
    }
    let refused =
        format!(r#"{{"success": false, "message": "Token expired", "data": {{"transactions": [{broken}]}}}}"#);
    assert!(matches!(page(&refused), Err(Rejection::Unauthenticated(_))));
}

fn page(answer: &str) -> Result<TransactionsPage, Rejection> {
    read_page(answer, |raw| read_payin(raw, &Projects::default()))
}

#[test]
fn page_totals_are_optional() {
    let answer = r#"{"success": true, "data": {"transactions": [{}, 7], "totalRecords": 140980, "perPage": 100,
                     "totalPages": "1410", "currentPageNo": {}, "prevPage": 0, "nextPage": 2}}"#;
    let page = page(answer).ok().expect("a page");
    assert_eq!(
        (page.records.len(), page.total_records, page.total_pages, page.page),
        (2, Some(140_980), Some(1410), None)
    );
}

#[test]
fn single_transaction_is_a_page() {
    for (data, records) in [
        (format!(r#"{{"transaction": {PAYIN}}}"#), 1),
        (format!(r#"{{"transaction": [{PAYIN}]}}"#), 1),
        (format!(r#"{{"transactions": [{PAYIN}]}}"#), 1),
        (r#"{"transactions": []}"#.to_owned(), 0),
        (r#"{"transactions": [], "transaction": null}"#.to_owned(), 0),
        (format!(r#"{{"transactions": null, "transaction": {PAYIN}}}"#), 1),
        (format!("[{PAYIN}]"), 1),
    ] {
        let page = page(&format!(r#"{{"data": {data}}}"#)).ok().expect("a page");
        assert_eq!(page.records.len(), records, "{data}");
    }
}

#[test]
fn list_ends_in_many_forms() {
    for answer in [
        "[]",
        "null",
        r#"{"success": true, "data": null}"#,
        r#"{"data": []}"#,
        r#"{"data": {"transactions": null}}"#,
        r#"{"data": {"transaction": null}}"#,
        r#"{"data": {"transactions": null, "transaction": null, "totalRecords": 7}}"#,
    ] {
        assert!(page(answer).is_ok_and(|page| page.records.is_empty()), "{answer}");
    }
}

#[test]
fn failed_request_by_id_says_that_there_is_no_such_payment() {
    let single = |answer: &str| read_single(answer, |raw| read_payin(raw, &Projects::default()));
    for answer in [
        r#"{"success": false, "message": "not found"}"#,
        r#"{"success": false, "statusCode": 404, "message": "No token of this transaction"}"#,
    ] {
        assert!(matches!(single(answer), Err(Rejection::Refused(_))), "{answer}");
    }
    let expired = r#"{"success": false, "statusCode": 401, "message": "not found"}"#;
    assert!(matches!(single(expired), Err(Rejection::Unauthenticated(_))));
    assert!(matches!(single("<html>"), Err(Rejection::Unreadable(_))));
}

#[test]
fn response_without_a_page_is_rejected_with_its_reason() {
    for answer in [
        "",
        "<html>",
        r#"{"success": true"#,
        r#"{"success": true}"#,
        r#"{"data": {}}"#,
        r#"{"data": 7}"#,
        r#"{"data": {"transactions": {}}}"#,
    ] {
        assert!(matches!(page(answer), Err(Rejection::Unreadable(_))), "{answer}");
    }
    for (answer, expected) in [
        (r#"{"success": false, "message": "Too many days"}"#, "Too many days"),
        (r#"{"success": "false", "data": {"transactions": []}}"#, "success is false, without a message"),
    ] {
        assert!(matches!(page(answer), Err(Rejection::Failed(message)) if message == expected), "{answer}");
    }
    for answer in [
        r#"{"success": false, "message": "Token expired"}"#,
        r#"{"success": false, "message": "Your session has ended"}"#,
        r#"{"success": false, "message": "UNAUTHORIZED"}"#,
        r#"{"success": false, "statusCode": 401, "message": "no"}"#,
    ] {
        assert!(matches!(page(answer), Err(Rejection::Unauthenticated(_))), "{answer}");
    }
}

#[test]
fn projects_are_parsed_from_their_setting() {
    let projects: Projects = serde_json::from_str(r#"{"A Ltd": "a"}"#).expect("a map");
    assert_eq!(
        (projects.of_client("A Ltd"), projects.of_client("91G_TECH_PVT_LTD")),
        ("a".into(), "91G_TECH_PVT_LTD".into())
    );
}

/// Any JSON, with the names that mean something here among its names.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(json!("2026-01-15T15:46:20.195Z")),
    ];
    let names = "txnId|transactionId|_id|amount|createdAt|modifiedAt|paidAmount|clientName|[a-z]{0,3}";
    leaf.prop_recursive(3, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_record_is_either_parsed_or_malformed(records in prop::collection::vec(any_json(), 0..6)) {
        let page = page(&json!({"success": true, "data": {"transactions": records}}).to_string()).ok().expect("a page");
        prop_assert_eq!(page.records.len(), records.len());
        for (read, record) in page.records.iter().zip(&records) {
            let raw = match read {
                Record::Payment(payment) => &payment.raw,
                Record::Malformed(malformed) => &malformed.raw,
            };
            prop_assert_eq!(raw, &record.to_string());
        }
    }

    #[test]
    fn any_response_is_handled(answer in any_json(), text in "\\PC*|[\\[{\"a-z:0-9,}\\]]{0,60}", cut in 0..PAYIN.len()) {
        let _ = page(&answer.to_string());
        let _ = page(&text);
        let _ = read(Kind::Payout, &text);
        let _ = read(Kind::Payin, &PAYIN[..cut]);
    }
}
