use proptest::prelude::*;

use super::*;

const ARRAY: PageShape = PageShape { lists: &[&[], &["operations"]], single: None, ids: &["id"] };
const NESTED: PageShape = PageShape {
    lists: &[&["data", "transactions"], &["data", "transaction"]],
    single: Some(&["data", "transaction"]),
    ids: &["txnId", "_id"],
};

fn records<'a>(page: &'a str, shape: &PageShape) -> Vec<&'a str> {
    split(page, shape).unwrap_or_else(|error| panic!("{error}: {page}")).records
}

#[test]
fn invalid_record_costs_one_record() {
    for broken in [
        r#"{"id":2,"amount":NaN}"#,
        r#"{"id":2,"amount":-Infinity}"#,
        "{\"id\":2,\"name\":\"a\u{1}\tb\"}",
        r#"{"id":2,"name":"D\'S"}"#,
        r#"{"id":2,"amount":007}"#,
        r#"{"id":2,"cards":[{"a":1},{"a":NaN}]}"#,
        "undefined",
        "01",
        // Unbalanced quotes and brackets.
        r#"{"id":2,"name":"D"Souza"}"#,
        r#"{"id":2,"name":"Souza}"#,
        r#"{"id":2,"name":Souza"}"#,
        r#"{"id":2,"name":"C:\"}"#,
        r#"{"id":2,"name":"a"b"c"d"}"#,
        r#"{"id":2,"cards":[{"a":1},{"b":"x"y"}]}"#,
        r#"{"id":2,"cards":[{"a":1},{"b":2]}"#,
        r#"{"id":2,"a":{"b":1}"#,
        r#"{"id":2}}"#,
        r#"{"id":2,}"#,
        "{id:2}",
        "{'id':2}",
    ] {
        let (one, three) = (r#"{"id":1,"x":[{"y":"},{"}]}"#, r#"{"id":3}"#);
        for page in [
            format!("[{one} , {broken} ,\n{three}]"),
            format!("{{\"total\":3,\"operations\":[{one},{broken},{three}],\"next\":[]}}"),
        ] {
            assert_eq!(records(&page, &ARRAY), [one, broken, three]);
        }
        assert_eq!(records(&format!("[{broken},{one},{three}]"), &ARRAY), [broken, one, three]);
        assert_eq!(records(&format!("[{one},{broken}]"), &ARRAY), [one, broken]);
        assert_eq!(records(&format!("{{\"operations\":[{one},{broken}],\"next\":[]}}"), &ARRAY), [one, broken]);
    }
}

#[test]
fn consecutive_invalid_records_cost_one_each() {
    for (one, two) in [
        (r#"{"id":1,"name":"D"S"}"#, r#"{"id":2,"name":"D"S"}"#),
        (r#"{"x":1,"id":1,"name":"D"S"}"#, r#"{"x":1,"id":2,"name":NaN}"#),
        (
            r#"{"x":1,"id":1,"name":"D"S","cards":[{"a":1},{"a":2}]}"#,
            r#"{"id":2,"name":"D'S","cards":[{"a":1},{"a":2]}"#,
        ),
    ] {
        let three = r#"{"id":3}"#;
        assert_eq!(records(&format!("[{one},{two},{three}]"), &ARRAY), [one, two, three]);
        assert_eq!(records(&format!("[{three},{one}, {two}]"), &ARRAY), [three, one, two]);
    }
}

#[test]
fn envelope_is_the_page_without_its_records() {
    let (good, broken) = (r#"{"txnId":"A"}"#, r#"{"txnId":"B","amount":NaN}"#);
    for (data, records, envelope) in [
        (
            format!(r#"{{"transactions":[{good},{broken}],"totalRecords":2,"perPage":NaN}}"#),
            vec![good, broken],
            r#"{"data":{"perPage":null,"totalRecords":2,"transactions":[]},"success":true}"#,
        ),
        (format!(r#"{{"transaction":[{broken}]}}"#), vec![broken], r#"{"data":{"transaction":[]},"success":true}"#),
        (format!(r#"{{"transaction":{broken}}}"#), vec![broken], r#"{"data":{"transaction":[]},"success":true}"#),
        (
            r#"{"x":[{"y":1}],"transactions":[ ],"transaction":null}"#.to_owned(),
            vec![],
            r#"{"data":{"transaction":null,"transactions":[],"x":[{"y":1}]},"success":true}"#,
        ),
    ] {
        let page = format!(r#"{{"success":true,"message":"a","message":"b","data":{data}}}"#);
        let expected = envelope.replacen(",\"success\"", ",\"message\":\"b\",\"success\"", 1);
        assert_eq!(split(&page, &NESTED), Ok(SplitPage { envelope: expected, records }), "{page}");
    }
}

#[test]
fn page_that_is_truncated_or_ambiguous_is_an_error() {
    let page = r#"[{"id":1,"cards":[{"a":1}]},{"id":2,"amount":NaN},{"id":3}]"#;
    for length in 0..page.len() {
        assert!(split(&page[..length], &ARRAY).is_err(), "{}", &page[..length]);
    }
    let two_broken = r#"{"x":1,"id":1,"name":"D"S"},{"x":1,"id":2,"name":"D"S"}"#;
    for page in [
        format!("[{two_broken}]"),
        format!(r#"[{{"id":0}},{two_broken},{{"id":3}}]"#),
        r#"[{"id":1} {"id":2}]"#.to_owned(),
        r#"[{"id":1}] []"#.to_owned(),
        r#"[{"id":1,"a":"x"y"},{"id":2"#.to_owned(),
        r#"{"operations":[{"id":1}],"operations":[]}"#.to_owned(),
        r#"{"other":[NaN]}"#.to_owned(),
        r#"{"operations":null,"x":NaN}"#.to_owned(),
        "<html>".to_owned(),
        String::new(),
    ] {
        assert!(split(&page, &ARRAY).is_err(), "{page}");
    }
}

#[test]
fn hostile_page_is_given_up_quickly() {
    let page = format!("[{{\"id\":1\"{}]", ",{[[[[".repeat(100_000));
    assert!(split(&page, &ARRAY).is_err());
    let page = format!("[{{\"id\":1\"{}", "]".repeat(100_000));
    assert!(split(&page, &ARRAY).is_err());
}

proptest! {
    /// Whatever happens to one byte of a record, the other records are found, or the page is an error.
    #[test]
    fn damaged_byte_never_loses_other_records(at in 0_usize..80, byte in "[\\x00-\\x7f]") {
        let all: Vec<String> =
            (0..5).map(|id| format!(r#"{{"id":{id},"name":"Asha","cards":[{{"fee":1.5}}],"last":{{"a":[1]}}}}"#)).collect();
        let mut damaged = all.clone();
        let at = at % all[2].len();
        damaged[2].replace_range(at..=at, &byte);
        let page = format!("[{}]", damaged.join(","));
        if let Ok(split) = split(&page, &ARRAY) {
            let found = |record: &String| split.records.contains(&record.as_str());
            prop_assert!([0, 1, 3, 4].iter().all(|id| found(&all[*id])), "{page}\n{:?}", split.records);
        }
    }

    #[test]
    fn any_text_is_handled(text in "\\PC*|[\\[\\]{}\",:\\\\a1 é]{0,60}") {
        let _ = split(&text, &ARRAY);
        let _ = split(&format!("[{{\"id\":1}},{text}"), &ARRAY);
        let _ = split(&format!("{{\"data\":{{\"transactions\":[{text}]}}}}"), &NESTED);
    }
}
