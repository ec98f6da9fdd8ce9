//! Records that are damaged, or unreadable where they decide about money, and keys in unusual forms.

use super::*;

#[test]
fn unreadable_field_that_decides_about_money_is_malformed() {
    let rates = "rates should be";
    for (field, value, expected) in [
        ("rates", json!({"INR-USD": "cheap"}), "rates should be an exact amount but is a text of 5 characters"),
        ("rates", json!({"INR-USD": {}}), "rates should be an exact amount but is an object"),
        ("rates", json!([1]), &*format!("{rates} an object but is a list")),
        ("rates", json!("none"), &*format!("{rates} a list or an object but is a text of 4 characters")),
        (
            "card_finish",
            json!([{"charged_fee": 1}, {"charged_fee": "1,5"}]),
            "card_finish.charged_fee should be an exact amount but is \"1,5\"",
        ),
        (
            "card_finish",
            json!([{"charged_fee": 1, "charged_currency": "₹"}]),
            "card_finish.charged_currency should be a currency code but is a text of 1 characters",
        ),
        (
            "card_finish",
            json!([{"charged_amount": "1,500.00"}]),
            "card_finish.charged_amount should be an exact amount but is \"1,500.00\"",
        ),
        ("card_finish", json!([7]), "card_finish should be a list of charges but is \"7\""),
        ("card_finish", json!("none"), "card_finish should be a list or an object but is a text of 4 characters"),
        (
            "complete_amount",
            json!("1000000000000000.01"),
            "complete_amount should be an amount of at most 10^15 but is \"1000000000000000.01\"",
        ),
        (
            "operation_update_id",
            json!("9".repeat(39)),
            "operation_update_id should be an id of at most 38 digits but is a text of 39 characters",
        ),
        (
            "operation_create_id",
            json!("9".repeat(39)),
            "operation_create_id should be an id of at most 38 digits but is a text of 39 characters",
        ),
        ("operation_id", json!("9".repeat(39)), "operation_id should be an id but is a text of 39 characters"),
    ] {
        assert_eq!(reason(&changed(&[(&format!("/{field}"), value)])), expected);
    }
    let requested =
        [("/complete_amount", json!(null)), (&format!("{REQUESTED}/value"), json!("70000000000000000000000000000"))];
    assert_eq!(
        reason(&changed(&requested)),
        "create_params.params.payment.amount.value should be an amount of at most 10^15 but is \"70000000000000000000000000000\""
    );
    let widest = payment(&changed(&[("/operation_update_id", json!("9".repeat(38)))]));
    assert_eq!(widest.version.sequence.map(|id| id.to_string()), Some("9".repeat(38)));
}

#[test]
fn repeated_name_is_malformed_only_if_it_matters() {
    let with = |member: &str| EXAMPLE.replacen('{', &format!("{{{member},"), 1);
    assert_eq!(payment(&with(r#""payment_product":"other""#)).payment_product.as_deref(), Some("multihub-api"));
    assert_eq!(payment(&with(r#""x":1,"x":2"#)).raw, with(r#""x":1,"x":2"#));
    for (member, name, id) in [
        (r#""complete_amount":100.00000000"#, "complete_amount", Some("1067250921664811008")),
        (r#""complete_currency":"USD""#, "complete_currency", Some("1067250921664811008")),
        (r#""payment_status":"fail""#, "payment_status", Some("1067250921664811008")),
        (r#""create_params":{}"#, "create_params", Some("1067250921664811008")),
        (r#""operation_id":"1""#, "operation_id", None),
    ] {
        let operation = read_operation(&with(member));
        let Record::Malformed(malformed) = operation.record else { panic!("{member} is accepted") };
        assert_eq!((malformed.reason, malformed.source_id.as_deref()), (format!("{name} occurs twice"), id));
        assert!(operation.create_id.is_some() && operation.update_id.is_some());
    }
    for (text, replacement, reason) in [
        ("\"INR-USD\": 0.01201", "\"INR-USD\": 0.01201, \"INR-USD\": 0.02", "rates occurs twice"),
        ("\"charged_fee\": 0.00000000", "\"charged_fee\": 0, \"charged_fee\": 1", "card_finish should be"),
    ] {
        let raw = EXAMPLE.replace(text, replacement);
        assert!(self::reason(&raw).starts_with(reason), "{raw}");
    }
}

#[test]
fn keys_are_normalized() {
    for (id, expected) in [
        ("1768491979464.0", "1768491979464"),
        ("1.768491979464E12", "1768491979464"),
        ("\"1768491979464.00\"", "1768491979464"),
        ("\"\u{200b}1768491979464\u{a0}\"", "1768491979464"),
        ("\"12E5\"", "12E5"),
    ] {
        let raw =
            EXAMPLE.replace("\"client_operation_id\": \"1768491979464\"", &format!("\"client_operation_id\": {id}"));
        assert_eq!(payment(&raw).client_operation_id.as_deref(), Some(expected), "{id}");
        let raw = EXAMPLE
            .replace("\"client_operation_id\": \"1768491979464\",", "")
            .replace("\"c_id\": 1768491979464", &format!("\"c_id\": {id}"));
        assert_eq!(payment(&raw).client_operation_id.as_deref(), Some(expected), "{id}");
    }
    let exponent = EXAMPLE.replace("\"1067251098160838656\"", "1.067251098160838656e18");
    assert_eq!(payment(&exponent).version.sequence, Some(SequenceId(1_067_251_098_160_838_656)));
}

#[test]
fn invalid_record_costs_one_record() {
    let second = EXAMPLE.replace("1067250921664811008", "2").replace("1067250934146775040", "1067250934146775041");
    for (text, replacement) in [
        ("\"complete_amount\": 100.00000000", "\"complete_amount\": NaN"),
        ("\"complete_amount\": 100.00000000", "\"complete_amount\": 0100"),
        ("\"Asha\"", "\"As\tha\""),
        ("\"Rao\"", "\"D\\'S\""),
        ("\"Rao\"", "\"R\"ao\""),
    ] {
        let broken = second.replace(text, replacement);
        for page in
            [format!("[{EXAMPLE},{broken},{EXAMPLE}]"), format!("{{\"operations\":[{EXAMPLE},{broken},{EXAMPLE}]}}")]
        {
            let page = read_page(&page).ok().expect("a page");
            let [first, damaged, last] = &*page.operations else { panic!("{replacement}: {page:?}") };
            assert!(matches!((&first.record, &last.record), (Record::Payment(_), Record::Payment(_))));
            let Record::Malformed(malformed) = &damaged.record else { panic!("{replacement} is accepted") };
            assert_eq!((malformed.source_id.as_deref(), malformed.raw.as_str()), (Some("2"), broken.trim()));
            assert!(malformed.reason.starts_with("the record is not valid JSON ("), "{}", malformed.reason);
            assert_eq!(damaged.create_id, Some(SequenceId(1_067_250_934_146_775_041)));
        }
    }
    let deep = changed(&[("/payment_custom_data", (0..200).fold(json!(1), |inner, _| json!([inner])))]);
    assert_eq!(reason(&deep), "the record is nested deeper than 100 levels");
}
