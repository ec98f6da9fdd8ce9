use proptest::prelude::*;

use super::*;

#[test]
fn value_ends_where_its_brackets_balance() {
    for value in [
        "1",
        "NaN",
        "-Infinity",
        "0123",
        "undefined",
        "12 34",
        r#""a""#,
        r#""a\"},{\"b""#,
        r#""D\'S""#,
        "\"a\tb\u{1}\"",
        "[]",
        "{ }",
        "[1,[],{}]",
        r#"{"a":{"b":[1,NaN,"]"]},"c":x}"#,
    ] {
        for (after, blanks) in [("", ""), (",1", " "), ("]", "\n"), ("}", "\t")] {
            let text = format!("{blanks}{value}{after}");
            assert_eq!(value_end(&text, 0), Ok(blanks.len() + value.len()), "{text}");
        }
    }
}

#[test]
fn wrong_structure_is_an_error() {
    for text in ["", " ", "[", "[1", "[1,", r#"{"a""#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":1,"#] {
        assert_eq!(value_end(text, 0), Err(StructureError::Truncated), "{text}");
    }
    for text in ["\"", "\"a", "\"a\\\"", r#"{"a"#, r#"[1,"]}"#] {
        assert_eq!(value_end(text, 0), Err(StructureError::OpenString), "{text}");
    }
    for (text, at) in [
        (",", 0),
        ("]", 0),
        ("[1}", 2),
        (r#"{"a":1]"#, 6),
        ("[,1]", 1),
        ("[1,]", 3),
        (r#"{"a":1,}"#, 7),
        ("{a:1}", 1),
        (r#"{"a" 1}"#, 5),
        (r#"{"name":"D"Souza"}"#, 11),
        (r#"{"name":Dx","x":1}"#, 10),
    ] {
        assert_eq!(value_end(text, 0), Err(StructureError::Unexpected { at }), "{text}");
    }
    assert_eq!(value_end(&"[".repeat(1_000_000), 0), Err(StructureError::TooDeep));
}

#[test]
fn mended_json_has_nulls_for_invalid_values() {
    for (text, expected) in [
        (r#" {"a":NaN,"b":[01,1.0,-],"c":"\q"} "#, r#"{"a":null,"b":[null,1.0,null],"c":null}"#),
        ("{\"a\":\"x\ty\",\"b\\\"\":true}", r#"{"a":null,"b\"":true}"#),
        ("Infinity", "null"),
        ("100.00000000", "100.00000000"),
    ] {
        assert_eq!(repair(text, &[]).map(|repaired| repaired.json), Ok(expected.to_owned()), "{text}");
    }
    assert_eq!(repair("[] []", &[]), Err(StructureError::Unexpected { at: 3 }));
}

proptest! {
    #[test]
    fn valid_json_has_its_own_end(value in ".*", number in any::<f64>()) {
        let json = serde_json::json!([{"a": value, "b": [number, value], &*value: null}, value]).to_string();
        prop_assert_eq!(value_end(&json, 0), Ok(json.len()));
        let repaired = repair(&json, &[]).expect("valid JSON");
        let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("JSON");
        prop_assert_eq!(parsed(&repaired.json), parsed(&json));
    }

    #[test]
    fn any_text_is_handled(text in "\\PC*|[\\[\\]{}\",:\\\\a1 é]{0,40}") {
        if let Ok(end) = value_end(&text, 0) {
            prop_assert!(text.is_char_boundary(end));
        }
        if let Ok(repaired) = repair(&text, &["a"]) {
            prop_assert!(is_valid(&repaired.json), "{}", repaired.json);
        }
    }
}
