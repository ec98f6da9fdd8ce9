//! Tables of rows: every name of a field, every kind of invalid row.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::metadata::ListedRow;
use crate::domain::money::format_decimal;

/// An answer that lists rows, each to the letter.
fn answer(rows: &[&str]) -> String {
    format!(r#"{{"success": true, "data": [{}]}}"#, rows.join(","))
}

fn answer_of(rows: &[Value]) -> String {
    json!({"success": true, "data": rows}).to_string()
}

fn clients(rows: &[Value]) -> Listing<Client> {
    read_clients(&answer_of(rows)).ok().expect("a list")
}

fn resellers(rows: &[Value]) -> Listing<Reseller> {
    read_resellers(&answer_of(rows)).ok().expect("a list")
}

fn service_providers(rows: &[Value]) -> Listing<ServiceProvider> {
    read_service_providers(&answer_of(rows)).ok().expect("a list")
}

fn client(row: Value) -> Client {
    let mut listing = clients(&[row]);
    assert_eq!(listing.unreadable, []);
    listing.rows.pop().expect("a client")
}

#[test]
fn documented_rows_are_parsed_completely() {
    let amount = |text: &str| Some(text.parse().expect("a decimal"));
    let text = |text: &str| Some(text.to_owned());
    let row = json!({"clientId": "c-1", "name": "Example Shop", "email": "shop@example.com", "status": "Active",
        "isActive": true, "balance": 125_000.5, "walletBalance": "98000.25", "commissionRate": 2.5, "resellerId": "r-1"});
    assert_eq!(
        client(row),
        Client {
            client_id: "c-1".to_owned(),
            name: text("Example Shop"),
            email: text("shop@example.com"),
            status: text("Active"),
            is_active: Some(true),
            balance: amount("125000.5"),
            wallet_balance: amount("98000.25"),
            commission_rate: amount("2.5"),
            reseller_id: text("r-1"),
        }
    );
    let row = json!({"resellerId": "r-1", "userId": "u-1", "name": "Example Reseller", "email": "we@example.com",
        "role": "Reseller", "status": "Active", "isActive": false, "balance": 450_000});
    assert_eq!(
        resellers(&[row]).rows,
        [Reseller {
            reseller_id: "r-1".to_owned(),
            user_id: text("u-1"),
            name: text("Example Reseller"),
            email: text("we@example.com"),
            role: text("Reseller"),
            status: text("Active"),
            is_active: Some(false),
            balance: amount("450000"),
        }]
    );
    let row = json!({"spId": "sp-1", "name": "Example Switch", "code": "EUS", "status": "Active", "isActive": true,
        "supportsPayin": true, "supportsPayout": false});
    assert_eq!(
        service_providers(&[row]).rows,
        [ServiceProvider {
            service_provider_id: "sp-1".to_owned(),
            name: text("Example Switch"),
            code: text("EUS"),
            status: text("Active"),
            is_active: Some(true),
            supports_payin: Some(true),
            supports_payout: Some(false),
        }]
    );
}

/// The ids that were read of rows, or why they were not.
fn ids<Row: ListedRow>(listing: &Listing<Row>) -> Vec<&str> {
    let readable = listing.rows.iter().map(ListedRow::id);
    readable.chain(listing.unreadable.iter().map(|row| row.reason.as_str())).collect()
}

#[test]
fn first_present_id_field_is_used() {
    for (row, expected) in [
        (json!({"clientId": "a", "id": "b", "_id": "c"}), "a"),
        (json!({"clientId": null, "id": "b", "_id": "c"}), "b"),
        (json!({"clientId": " ", "_id": "c"}), "c"),
        (json!({"_id": 1005}), "1005"),
        (json!({"resellerId": "r"}), "clientId is missing"),
        (json!({"id": {"oid": "b"}}), "clientId is missing"),
        (json!({"id": "9".repeat(2000)}), "id should be an id but is a text of 2000 characters"),
    ] {
        assert_eq!(ids(&clients(std::slice::from_ref(&row))), [expected], "{row}");
    }
    for (row, expected) in [
        (json!({"resellerId": "a", "clientId": "b", "id": "c"}), "a"),
        (json!({"clientId": "b", "id": "c", "userId": "u"}), "b"),
        (json!({"id": 7}), "7"),
        (json!({"_id": "d", "userId": "u"}), "resellerId is missing"),
    ] {
        assert_eq!(ids(&resellers(std::slice::from_ref(&row))), [expected], "{row}");
    }
    for (row, expected) in [
        (json!({"spId": "a", "id": "b", "_id": "c"}), "a"),
        (json!({"id": "b", "_id": "c"}), "b"),
        (json!({"_id": 1005}), "1005"),
        (json!({"name": "nobody"}), "spId is missing"),
    ] {
        assert_eq!(ids(&service_providers(std::slice::from_ref(&row))), [expected], "{row}");
    }
}

#[test]
fn client_name_falls_back_to_the_company_name() {
    for (row, expected) in [
        (json!({"id": 1, "name": "A", "companyName": "B"}), Some("A")),
        (json!({"id": 1, "name": "", "companyName": "B"}), Some("B")),
        (json!({"id": 1, "companyName": 91}), Some("91")),
        (json!({"id": 1, "name": ["A"]}), None),
    ] {
        assert_eq!(client(row.clone()).name.as_deref(), expected, "{row}");
    }
}

#[test]
fn amounts_are_exact_from_numbers_and_strings() {
    for (figure, expected) in [
        ("125000.5", Some("125000.50")),
        ("\"98000.25\"", Some("98000.25")),
        ("12345678901234567.07", Some("12345678901234567.07")),
        ("\" -3 \"", Some("-3.00")),
        ("1e2", Some("100.00")),
        ("0", Some("0.00")),
        ("\"\"", None),
        ("null", None),
    ] {
        let row = format!(r#"{{"id": 1, "balance": {figure}, "walletBalance": {figure}, "commissionRate": {figure}}}"#);
        let listing = read_clients(&answer(&[&row])).ok().expect("a list");
        let read = &listing.rows[0];
        for decimal in [read.balance, read.wallet_balance, read.commission_rate] {
            assert_eq!(decimal.map(format_decimal).as_deref(), expected, "{row}");
        }
        let row = format!(r#"{{"id": 1, "balance": {figure}}}"#);
        let balance = read_resellers(&answer(&[&row])).ok().expect("a list").rows[0].balance;
        assert_eq!(balance.map(format_decimal).as_deref(), expected, "{row}");
    }
}

#[test]
fn row_with_an_invalid_amount_is_unreadable_and_has_its_id() {
    for (row, reason) in [
        (json!({"_id": 5, "balance": "a lot"}), "balance should be an exact amount but is a text of 5 characters"),
        (json!({"_id": 5, "walletBalance": {}}), "walletBalance should be an exact amount but is an object"),
        (json!({"_id": 5, "commissionRate": true}), "commissionRate should be an exact amount but is true"),
    ] {
        let expected = [UnreadableRow { id: Some("5".to_owned()), reason: reason.to_owned() }];
        assert_eq!(clients(&[row]).unreadable, expected);
    }
    let reseller = resellers(&[json!({"id": "r", "balance": "1,000"})]);
    assert_eq!(reseller.unreadable[0].id.as_deref(), Some("r"));
}

#[test]
fn flags_are_parsed_from_strings_and_never_guessed() {
    for (flag, expected) in [
        (json!(true), Some(true)),
        (json!("FALSE"), Some(false)),
        (json!(1), Some(true)),
        (json!("0"), Some(false)),
        (json!("yes"), None),
        (json!(null), None),
        (json!({}), None),
    ] {
        assert_eq!(client(json!({"id": 1, "isActive": flag})).is_active, expected, "{flag}");
        let provider = json!({"id": 1, "isActive": flag, "supportsPayin": flag, "supportsPayout": flag});
        let provider = service_providers(&[provider]).rows.pop().expect("a service provider");
        assert_eq!([provider.is_active, provider.supports_payin, provider.supports_payout], [expected; 3], "{flag}");
    }
}

#[test]
fn unreadable_row_does_not_affect_other_rows() {
    let rows = [r#"{"id": 1}"#, "17", "null", r#"["x"]"#, r#"{"id": 2, "id": 3}"#, r#"{"name": "A"}"#, r#"{"id": 4}"#];
    let listing = read_clients(&answer(&rows)).ok().expect("a list");
    assert_eq!(listing.rows.iter().map(ListedRow::id).collect::<Vec<_>>(), ["1", "4"]);
    let reasons: Vec<&str> = listing.unreadable.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(
        reasons[..3],
        ["the row is \"17\", not an object", "the row is null, not an object", "the row is a list, not an object"]
    );
    assert_eq!(reasons[3..], ["id occurs twice", "clientId is missing"]);
}

#[test]
fn response_without_a_list_is_rejected_with_its_reason() {
    for answer in ["", "<html>", "[]", r#"{"success": true}"#, r#"{"data": null}"#, r#"{"data": {"clients": []}}"#] {
        assert!(matches!(read_clients(answer), Err(Rejection::Unreadable(_))), "{answer}");
    }
    let refused = r#"{"success": false, "message": "Not for you", "data": []}"#;
    let read = read_service_providers(refused);
    assert!(matches!(read, Err(Rejection::Refused(message)) if message == "Not for you"));
    let logged_out = r#"{"success": false, "message": "Token expired"}"#;
    assert!(matches!(read_resellers(logged_out), Err(Rejection::Unauthenticated(_))));
    assert!(clients(&[]).rows.is_empty(), "a list may be empty");
}

proptest! {
    #[test]
    fn every_row_is_either_parsed_or_unreadable(rows in prop::collection::vec("[0-9]{1,3}|null|\\{\"id\":[0-9]\\}|\\{\"balance\":\"x\"\\}", 0..9)) {
        let texts: Vec<&str> = rows.iter().map(String::as_str).filter(|text| serde_json::from_str::<Value>(text).is_ok()).collect();
        let listing = read_clients(&answer(&texts)).ok().expect("a list");
        prop_assert_eq!(listing.rows.len() + listing.unreadable.len(), texts.len());
    }
}

#[test]
fn invalid_row_costs_one_row() {
    let rows = [
        r#"{"clientId": "A", "name": "x", "name": "y"}"#,
        r#"{"clientId": "B", "balance": NaN}"#,
        r#"{"clientId": "C", "balance": 1, "balance": 2}"#,
        r#"{"clientId": "D", "name": "D"S"}"#,
        r#"{"clientId": 7.0}"#,
    ];
    let listing = read_clients(&answer(&rows)).ok().expect("a list");
    let read: Vec<_> = listing.rows.iter().map(|row| (row.client_id.as_str(), row.name.as_deref())).collect();
    assert_eq!(read, [("A", Some("y")), ("7", None)]);
    let unreadable: Vec<_> = listing.unreadable.iter().filter_map(|row| row.id.as_deref()).collect();
    assert_eq!(unreadable, ["B", "C", "D"], "listed, with the last content that was valid");
    assert!(read_clients(r#"{"success": false, "message": "no", "data": [NaN]}"#).is_err());
}
