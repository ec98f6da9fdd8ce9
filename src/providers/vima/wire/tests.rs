//! Each case is the documented example with one thing changed, so that a case shows the rule and nothing else.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::page::read_page;
use super::*;
use crate::domain::money::format_decimal;
use crate::providers::http::Rejection;

mod damaged;

const EXAMPLE: &str = include_str!("example.json");

/// The example with the values at these JSON pointers replaced; `null` there is what it is.
fn changed(changes: &[(&str, Value)]) -> String {
    let mut example: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    for (pointer, value) in changes {
        *example.pointer_mut(pointer).expect(pointer) = value.clone();
    }
    example.to_string()
}

fn payment(raw: &str) -> Transaction {
    match read_operation(raw).record {
        Record::Payment(payment) => *payment,
        Record::Malformed(malformed) => panic!("{}: {raw}", malformed.reason),
    }
}

fn reason(raw: &str) -> String {
    match read_operation(raw).record {
        Record::Malformed(malformed) => {
            assert_eq!(malformed.raw, raw, "kept to the letter");
            malformed.reason
        }
        Record::Payment(_) => panic!("not malformed: {raw}"),
    }
}

const REQUESTED: &str = "/create_params/params/payment/amount";

#[test]
fn documented_example_is_parsed_completely() {
    let operation = read_operation(EXAMPLE);
    assert_eq!(operation.create_id, Some(SequenceId(1_067_250_934_146_775_040)));
    assert_eq!(operation.update_id, Some(SequenceId(1_067_251_098_160_838_656)));
    let payment = payment(EXAMPLE);
    assert_eq!(payment.raw, EXAMPLE, "kept to the letter");
    insta::assert_json_snapshot!(payment);
}

#[test]
fn completed_amount_is_preferred_to_the_requested_one() {
    let none = Value::Null;
    for (changes, amount, currency) in [
        (vec![("/complete_amount", json!("99.5"))], "99.50", "INR"),
        (vec![("/complete_currency", none.clone())], "100.00", "INR"),
        (vec![("/complete_amount", none.clone()), ("/complete_currency", none.clone())], "100.00", "INR"),
        (vec![("/complete_amount", none.clone()), ("/complete_currency", json!("EUR"))], "100.00", "INR"),
        (
            vec![("/complete_amount", none.clone()), (REQUESTED, json!({"value": "12345", "currency": "usd"}))],
            "123.45",
            "USD",
        ),
        (
            vec![("/complete_amount", none.clone()), (REQUESTED, json!({"value": 12345, "currency": "JPY"}))],
            "12345.00",
            "JPY",
        ),
        (
            vec![("/complete_amount", none.clone()), (REQUESTED, json!({"value": 12345, "currency": "KRW"}))],
            "12345.00",
            "KRW",
        ),
        (vec![("/complete_amount", none), (REQUESTED, json!({"value": 12345, "currency": "EUR"}))], "123.45", "EUR"),
    ] {
        let payment = payment(&changed(&changes));
        assert_eq!(
            (format_decimal(payment.amount).as_str(), payment.currency.as_str()),
            (amount, currency),
            "{changes:?}"
        );
    }
    let exact = EXAMPLE.replace("\"complete_amount\": 100.00000000", "\"complete_amount\": 123456789012345.12345678");
    assert_eq!(format_decimal(payment(&exact).amount), "123456789012345.12345678");
}

#[test]
fn missing_required_fields_are_named() {
    let incomplete = ("/complete_amount", Value::Null);
    for (changes, expected) in [
        (vec![("/operation_id", json!(null))], "operation_id is missing"),
        (vec![("/operation_id", json!(" "))], "operation_id is missing"),
        (vec![("/operation_id", json!({"x": 1}))], "operation_id is missing"),
        (vec![("/operation_created_at", json!(null))], "operation_created_at is missing"),
        (
            vec![("/operation_created_at", json!("soon"))],
            "operation_created_at should be a time but is a text of 4 characters",
        ),
        (vec![("/operation_created_at", json!(17))], "operation_created_at should be a time but is \"17\""),
        (
            vec![("/complete_amount", json!("Asha"))],
            "complete_amount should be an exact amount but is a text of 4 characters",
        ),
        (vec![("/complete_amount", json!([1]))], "complete_amount should be an exact amount but is a list"),
        (
            vec![("/complete_currency", json!("₹"))],
            "complete_currency should be a currency code but is a text of 1 characters",
        ),
        (vec![("/complete_currency", json!(null)), ("/create_params", json!("none"))], "complete_currency is missing"),
        (vec![incomplete.clone(), (REQUESTED, json!(7))], "create_params.params.payment.amount.value is missing"),
        (
            vec![incomplete.clone(), (REQUESTED, json!({"value": true, "currency": "INR"}))],
            "create_params.params.payment.amount.value should be an exact amount but is true",
        ),
        (vec![incomplete, (REQUESTED, json!({"value": 1}))], "create_params.params.payment.amount.currency is missing"),
    ] {
        assert_eq!(reason(&changed(&changes)), expected, "{changes:?}");
    }
    for (raw, expected) in [
        ("17", "the record is \"17\", not an object"),
        ("null", "the record is null, not an object"),
        (r#""payer@example.com""#, "the record is a text of 17 characters, not an object"),
        (r#"["operation_id", 1]"#, "the record is a list, not an object"),
        ("{}", "operation_id is missing"),
    ] {
        assert_eq!(reason(raw), expected, "{raw}");
    }
}

#[test]
fn malformed_record_has_its_cursor_ids_and_source_id() {
    let operation = read_operation(&changed(&[("/operation_created_at", json!("soon"))]));
    assert_eq!(operation.update_id, Some(SequenceId(1_067_251_098_160_838_656)));
    let Record::Malformed(malformed) = operation.record else { panic!("not malformed") };
    assert_eq!(malformed.source_id.as_deref(), Some("1067250921664811008"));
}

#[test]
fn optional_fields_may_be_missing_null_or_of_another_type() {
    let example: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    let needed = [
        "operation_id",
        "operation_created_at",
        "complete_amount",
        "complete_currency",
        // They decide about money.
        "rates",
        "card_finish",
    ];
    for field in example.as_object().expect("an object").keys().filter(|field| !needed.contains(&field.as_str())) {
        let pointer = format!("/{field}");
        for other in [json!(null), json!({"x": [1]}), json!(["x"]), json!(true), json!(7), json!(1.5), json!("x")] {
            payment(&changed(&[(&pointer, other)]));
        }
        let mut without = example.clone();
        without.as_object_mut().expect("an object").remove(field);
        payment(&without.to_string());
    }
    let least = r#"{"operation_id": 7, "operation_created_at": "2026-01-15T15:46:20Z", "complete_amount": "1", "complete_currency": "INR"}"#;
    let payment = payment(least);
    assert_eq!((payment.key.source_id.as_str(), payment.status, payment.original_status), ("7", Status::Unknown, None));
    assert_eq!(payment.version, Version { sequence: None, modified_at: None });
}

#[test]
fn text_fields_are_read_from_their_documented_places() {
    type Read = fn(Transaction) -> Option<String>;
    type Changes = Vec<(&'static str, Value)>;
    let cases: [(Changes, Read, Option<&str>); 14] = [
        (vec![("/client_operation_id", json!(42))], |p| p.client_operation_id, Some("42")),
        (vec![("/client_operation_id", json!(null))], |p| p.client_operation_id, Some("1768491979464")),
        (vec![("/client_operation_id", json!("")), ("/create_params", json!(1))], |p| p.client_operation_id, None),
        (vec![("/project", json!({"name": "91game"}))], |p| p.project, None),
        (vec![("/project", json!(91))], |p| p.project, Some("91")),
        (vec![("/project", json!("a\0b"))], |p| p.project, Some("a\u{fffd}b")),
        (vec![("/create_params", json!(null))], |p| p.user_email, Some("payer@example.com")),
        (vec![("/create_params", json!(null)), ("/contact", json!("9000000001"))], |p| p.user_email, None),
        (vec![("/create_params/params/payment/payer/person/last_name", json!(null))], |p| p.user_name, Some("Asha")),
        (vec![("/create_params/params/payment/payer/person", json!("Asha"))], |p| p.user_name, None),
        (
            vec![("/create_params/params/payment/payer/phone", json!(9_000_000_001_u64))],
            |p| p.user_phone,
            Some("9000000001"),
        ),
        (
            vec![("/user_id", json!(null)), ("/create_params/params/payment/payer/customer_account/id", json!("c1"))],
            |p| p.user_id,
            Some("c1"),
        ),
        (vec![("/create_params/params/payment/client", json!(null))], |p| p.country, None),
        (vec![("/payment_method_code", json!([]))], |p| p.payment_method, None),
    ];
    for (changes, read, expected) in cases {
        assert_eq!(read(payment(&changed(&changes))).as_deref(), expected, "{changes:?}");
    }
}

#[test]
fn nul_stays_escaped_in_the_raw_text() {
    let raw = changed(&[("/project", json!("a\0b"))]);
    assert!(raw.contains(r"a\u0000b") && !raw.contains('\0'));
    assert_eq!(payment(&raw).raw, raw);
}

#[test]
fn status_is_payment_status_or_else_current_status() {
    for (payment_status, current_status, expected, original) in [
        (json!("fail"), json!("success"), Status::Failed, Some("fail")),
        (json!(null), json!("in_process"), Status::Pending, Some("in_process")),
        (json!(""), json!("user_input_required"), Status::Pending, Some("user_input_required")),
        (json!("chargeback"), json!("success"), Status::Unknown, Some("chargeback")),
        (json!({}), json!([]), Status::Unknown, None),
    ] {
        let payment = payment(&changed(&[("/payment_status", payment_status), ("/current_status", current_status)]));
        assert_eq!((payment.status, payment.original_status.as_deref()), (expected, original));
        assert_eq!(payment.completed_at.is_some(), expected.is_final(), "open payments have no end");
    }
}

#[test]
fn usd_amounts_use_only_the_records_own_rate() {
    for (rates, currency, rate, dollars) in [
        (json!({"INR-USD": 0.01201}), "INR", Some("0.01201"), Some("1.201")),
        (json!({"INR-USD": "0.01201", "EUR-USD": 2}), "EUR", Some("2"), Some("200")),
        (json!({"USD-INR": 83}), "INR", None, None),
        (json!({"INR-USD": 0}), "INR", None, None),
        (json!({"INR-USD": null, "EUR-USD": "x"}), "INR", None, None),
        (json!([]), "INR", None, None),
        (json!(" "), "INR", None, None),
        (json!(null), "USD", Some("1"), Some("100")),
    ] {
        let payment = payment(&changed(&[("/rates", rates.clone()), ("/complete_currency", json!(currency))]));
        assert_eq!(payment.exchange_rate.map(|rate| rate.to_string()).as_deref(), rate, "{rates} {currency}");
        assert_eq!(payment.amount_usd.map(|amount| amount.to_string()).as_deref(), dollars, "{rates} {currency}");
    }
}

#[test]
fn fee_is_that_of_the_last_charge_with_a_fee() {
    for (card_finish, fee, dollars) in [
        (
            json!([{"charged_fee": 1}, {"charged_fee": "2.5", "charged_currency": "INR"}, {"charged_fee": null}]),
            Some("2.5"),
            Some("0.030025"),
        ),
        (json!([7, {"charged_fee": "x"}, {"charged_fee": 1}, null, {}]), Some("1"), Some("0.01201")),
        (json!({"charged_fee": 1}), Some("1"), Some("0.01201")),
        (json!([{"charged_fee": 1, "charged_currency": "USD"}]), None, None),
        (json!([]), None, None),
        (json!(""), None, None),
    ] {
        let payment = payment(&changed(&[("/card_finish", card_finish.clone())]));
        assert_eq!(payment.fee.map(|fee| fee.to_string()).as_deref(), fee, "{card_finish}");
        assert_eq!(payment.fee_usd.map(|fee| fee.to_string()).as_deref(), dollars, "{card_finish}");
    }
}

#[test]
fn page_is_an_array_or_an_object_with_operations() {
    let ids = |answer: &str| {
        let page = read_page(answer).ok().expect("a page");
        (page.operations.len(), page.create_ids().max(), page.update_ids().max(), page.is_empty())
    };
    let records = r#"[{"operation_create_id": "99999999999999999999", "operation_update_id": 5}, 7, {"operation_update_id": "40"}]"#;
    let expected = (3, Some(SequenceId(99_999_999_999_999_999_999)), Some(SequenceId(40)), false);
    assert_eq!(ids(records), expected);
    assert_eq!(ids(&format!("\n{{\"total\": 3, \"operations\": {records}}}")), expected);
    assert_eq!(ids("[]"), (0, None, None, true));
    assert_eq!(ids(&format!("{{\"data\": {records}}}")), expected);
    for end in ["null", r#"{"operations": []}"#, r#"{"operations": null}"#, r#"{"data": [], "error": null}"#] {
        assert_eq!(ids(end), (0, None, None, true), "{end}");
    }
}

#[test]
fn response_without_a_page_is_rejected() {
    for answer in ["", "7", "<html>", r#"[{"operation_id""#, r#"{"data": null}"#, r#"{"data": {}}"#, "[] []"] {
        assert!(matches!(read_page(answer), Err(Rejection::Unreadable(_))), "{answer}");
    }
    assert!(
        matches!(read_page(r#"{"error": "no such day"}"#), Err(Rejection::Refused(message)) if message == "no such day")
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
        Just(json!("INR")),
    ];
    let names = "operation_id|create_params|params|payment|payer|person|amount|value|currency|complete_amount\
                 |complete_currency|operation_created_at|rates|card_finish|charged_fee|[a-z]{0,3}";
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_record_is_either_parsed_or_malformed(records in prop::collection::vec(any_json(), 0..6)) {
        let page = read_page(&Value::from(records.clone()).to_string()).ok().expect("a page");
        prop_assert_eq!(page.operations.len(), records.len());
        for (operation, record) in page.operations.iter().zip(&records) {
            let raw = match &operation.record {
                Record::Payment(payment) => &payment.raw,
                Record::Malformed(malformed) => &malformed.raw,
            };
            prop_assert_eq!(raw, &record.to_string());
        }
    }

    #[test]
    fn any_response_is_handled(answer in "\\PC*|[\\[{\"a-z:0-9,}\\]]{0,60}", cut in 0..EXAMPLE.len()) {
        let _ = read_page(&answer);
        let _ = read_operation(&answer);
        let _ = read_operation(&EXAMPLE[..cut]);
    }
}
