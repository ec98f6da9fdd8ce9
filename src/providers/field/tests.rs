use super::*;
use crate::domain::explanation::quarantine_cause::QuarantineCause;

/// The field of a JSON text.
fn field(json: &str) -> Field<'_> {
    serde_json::from_str(json).expect(json)
}

#[test]
fn a_text_is_a_string_or_a_number() {
    for (json, expected) in [
        (r#""91game""#, Some("91game")),
        (r#"" 91game\n""#, Some("91game")),
        ("1768491979464", Some("1768491979464")),
        ("12345678901234567890123", Some("12345678901234567890123")),
        ("-1.50", Some("-1.50")),
        ("1768491979464.0", Some("1768491979464")),
        (r#""1768491979464.0""#, Some("1768491979464.0")),
        (r#""A\u015ba \"R\"""#, Some("Aśa \"R\"")),
        (r#""""#, None),
        (r#""  ""#, None),
        ("null", None),
        ("true", None),
        ("{}", None),
        (r#"["91game"]"#, None),
        // What the database cannot hold, and half an emoji.
        (r#""a\u0000b""#, Some("a\u{fffd}b")),
        (r#""a\ud83d""#, Some("a\u{fffd}\u{fffd}\u{fffd}")),
        (r#""\ud83d\ude00""#, Some("😀")),
    ] {
        assert_eq!(field(json).text("project").as_deref(), expected, "{json}");
    }
}

#[test]
fn a_text_is_cut_where_it_would_break_an_index_but_an_identity_is_not() {
    let json = format!("\"{}\"", "ß".repeat(MAX_TEXT));
    assert_eq!(field(&json).text("project").expect("a text").len(), MAX_TEXT);
    assert_eq!(
        field(&json).identity("operation_id").expect_err("too long").to_string(),
        "operation_id should be an id but is a text of 1024 characters"
    );
    assert_eq!(field("7").identity("operation_id"), Ok(Some("7".to_owned())));
}

#[test]
fn an_amount_is_exact() {
    for (json, expected) in [
        ("100.00000000", "100"),
        ("0.1", "0.1"),
        (r#""2.50""#, "2.5"),
        (r#"" 7 ""#, "7"),
        ("1e2", "100"),
        ("99999999999999999999.12345678", "99999999999999999999.12345678"),
        ("0.30000000000000004", "0.30000000000000004"),
    ] {
        let amount = field(json).decimal("amount").expect(json).expect(json);
        assert_eq!(amount.to_string(), expected, "{json}");
    }
    for json in ["null", r#""""#] {
        assert_eq!(field(json).decimal("amount"), Ok(None), "{json}");
    }
}

#[test]
fn what_is_no_amount_is_said_without_repeating_what_may_be_personal() {
    for (json, found) in [
        (r#""1,000""#, r#""1,000""#),
        (r#""payer@example.com""#, "a text of 17 characters"),
        ("true", "true"),
        ("{}", "an object"),
        ("[1]", "a list"),
        ("1e400", r#""1e400""#),
        ("123456789012345678901234567890123456789", "a number of 39 characters"),
    ] {
        let error = field(json).decimal("amount").expect_err(json).to_string();
        assert_eq!(error, format!("amount should be an exact amount but is {found}"));
    }
}

#[test]
fn a_time_is_read_in_the_ways_providers_write_it() {
    for (text, expected) in [
        ("2026-01-15T15:46:20.195Z", "2026-01-15T15:46:20.195Z"),
        ("2026-01-15 15:46:20.195000", "2026-01-15T15:46:20.195Z"),
        ("2026-01-15T15:46:20", "2026-01-15T15:46:20Z"),
        ("2026-01-15 15:46:20Z", "2026-01-15T15:46:20Z"),
        ("2026-01-15T21:16:20+05:30", "2026-01-15T15:46:20Z"),
        ("2026-01-15 21:16:20+0530", "2026-01-15T15:46:20Z"),
        ("2026-01-15 21:16:20 +05:30", "2026-01-15T15:46:20Z"),
        ("2026-01-15T15:46:20.123456789Z", "2026-01-15T15:46:20.123456Z"),
        ("2026-01-15T15:14:60Z", "2026-01-15T15:15:00Z"),
        ("2026-12-31 23:59:60.500", "2027-01-01T00:00:00.5Z"),
        ("2026-01-15T20:44:60.123456789+05:30", "2026-01-15T15:15:00.123456Z"),
    ] {
        let json = format!("\"{text}\"");
        let time = field(&json).time("createdAt").expect(text).expect(text);
        assert_eq!(time, expected.parse::<DateTime<Utc>>().expect(expected), "{text}");
    }
    for json in [
        r#""yesterday""#,
        r#""2026-13-01T00:00:00Z""#,
        r#""0001-01-01T00:00:00Z""#,
        r#""0000-00-00 00:00:00""#,
        r#""+262142-01-01T00:00:00Z""#,
        "1768491980195",
        "false",
        "{}",
    ] {
        assert!(field(json).time("createdAt").is_err(), "{json}");
    }
    assert_eq!(field("null").time("createdAt"), Ok(None));
}

#[test]
fn counts_and_flags_are_read_from_texts_too() {
    for (json, expected) in [("1410", Some(1410)), (r#""1410""#, Some(1410)), ("-1", None), ("1.5", None), ("{}", None)]
    {
        assert_eq!(field(json).count(), expected, "{json}");
    }
    for (json, expected) in [("false", true), (r#""False""#, true), ("true", false), ("null", false), ("0", false)] {
        assert_eq!(field(json).is_false(), expected, "{json}");
    }
    for (json, expected) in
        [("true", Some(true)), (r#""FALSE""#, Some(false)), ("1", Some(true)), (r#""0""#, Some(false))]
    {
        assert_eq!(field(json).boolean(), expected, "{json}");
    }
    for json in ["null", r#""yes""#, r#""""#, "2", "1.0", "{}", "[true]"] {
        assert_eq!(field(json).boolean(), None, "{json}");
    }
}

#[test]
fn what_is_no_object_is_an_empty_one() {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Inner<'a> {
        x: Field<'a>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Outer<'a> {
        inner: Object<Inner<'a>>,
        after: Field<'a>,
    }
    for (inner, expected) in [
        (r#"{"x": 1.50, "y": {}}"#, Some("1.50")),
        ("null", None),
        ("[1, [2], {}]", None),
        ("true", None),
        ("-7", None),
        ("7", None),
        ("7.5", None),
        (r#""text""#, None),
    ] {
        let json = format!(r#"{{"inner": {inner}, "after": "kept"}}"#);
        let outer: Outer<'_> = serde_json::from_str(&json).expect(&json);
        assert_eq!(outer.inner.0.x.text("x").as_deref(), expected, "{json}");
        assert_eq!(outer.after.text("after").as_deref(), Some("kept"), "{json}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd(text in "\\PC*|[0-9eE.+-]{1,40}|[0-9T :.Z+-]{1,40}") {
        let json = serde_json::to_string(&text).expect("a string");
        let field = field(&json);
        let _ = (field.text("f"), field.decimal("f"), field.time("f"), field.currency("f"), field.count());
    }
}

/// A new kind of error does not compile here until its cause in quarantine is known.
#[test]
fn every_error_has_a_cause_in_quarantine() {
    let unreadable = field("\"a hundred\"").amount("amount").expect_err("no amount");
    let implausible = field("7e28").amount("amount").expect_err("too much");
    for error in
        [unreadable, implausible, FieldError::Missing { field: "amount" }, FieldError::Repeated { field: "amount" }]
    {
        let expected = match &error {
            FieldError::Missing { .. } => QuarantineCause::MissingField,
            FieldError::Unreadable { expected, .. } if expected.contains("at most 10^15") => {
                QuarantineCause::ImplausibleAmount
            }
            FieldError::Unreadable { .. } => QuarantineCause::UnreadableField,
            FieldError::Repeated { .. } => QuarantineCause::RepeatedField,
        };
        assert_eq!(QuarantineCause::from_sentence(&error.to_string()), expected, "{error}");
    }
}
