use serde_json::json;

use super::*;
use crate::domain::status::Status;

request_fields! {
    struct Request {
        status: Vec<Status>,
        limit: Option<u32>,
        r#type: Option<bool>,
        note: MaybeUndefined<String>,
    }
    check: Request::check
}

impl Request {
    fn check(&self, fields: &mut Fields) {
        if self.limit == Some(0) {
            fields.error("limit", "must be at least 1");
        }
    }
}

fn query(pairs: &[(&str, &str)]) -> Fields {
    Fields::from_query(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
}

fn body(object: &Value) -> Fields {
    Fields::from_object(object.as_object().expect("an object").clone())
}

#[test]
fn lists_are_separated_by_commas_or_repeated() {
    use Status::{Failed, Success};
    for (pairs, expected) in [
        (&[][..], vec![]),
        (&[("status", "")], vec![]),
        (&[("status", ",")], vec![]),
        (&[("status", "success")], vec![Success]),
        (&[("status", " success , failed,")], vec![Success, Failed]),
        (&[("status", "success"), ("status", "failed")], vec![Success, Failed]),
    ] {
        let mut fields = query(pairs);
        let read = fields.list::<Status>("status");
        assert_eq!(fields.finish(read).expect("a list"), expected, "{pairs:?}");
    }
}

#[test]
fn repeated_values_may_contain_commas() {
    for (pairs, expected) in [
        (&[("project", "a,b")][..], &["a", "b"][..]),
        (&[("project", "a,b"), ("project", "c")], &["a,b", "c"]),
        (&[("project", "a,b"), ("project", "")], &["a,b"]),
        (&[("project", ""), ("project", " a, b ")], &["a, b"]),
        (&[("project", "a,b"), ("project", "a,b")], &["a,b", "a,b"]),
        (&[("project", "a,b"), ("country", "")], &["a", "b"]),
        (&[("project", ""), ("project", "")], &[]),
    ] {
        let mut fields = query(pairs);
        let read = fields.list::<String>("project");
        assert_eq!(fields.finish(read).expect("a list"), expected, "{pairs:?}");
    }
}

#[test]
fn arrays_of_a_body_are_lists_whose_items_are_not_split() {
    for (project, expected) in [
        (json!(["a,b", 7]), Ok(vec!["a,b".to_owned(), "7".to_owned()])),
        (json!([]), Ok(vec![])),
        (json!(["a\0"]), Err("project[0]: must not contain a NUL character")),
        (json!({"a": 1}), Err("project: must be a value or a list of values")),
    ] {
        let mut fields = body(&json!({"project": project}));
        let read = fields.list::<String>("project");
        let read = fields.finish(read).map_err(|problem| problem.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{project}");
    }
}

#[test]
fn objects_are_read_as_they_are() {
    for (filters, expected) in [
        (json!({"kind": "payin"}), Ok(Some(Object::from([("kind".to_owned(), json!("payin"))])))),
        (json!(null), Ok(None)),
        (json!("kind=payin"), Err("filters: must be an object")),
        (json!(["kind"]), Err("filters: must be an object")),
    ] {
        let mut fields = body(&json!({"filters": filters}));
        let read = fields.object("filters");
        let read = fields.finish(read).map_err(|problem| problem.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{filters}");
    }
    let mut fields = body(&json!({"force": {"a": 1}}));
    let read = fields.optional::<bool>("force");
    assert_eq!(fields.finish(read).expect_err("an object").to_string(), "force: must be a single value");
}

#[test]
fn every_error_is_reported_at_once_with_the_allowed_values() {
    let mut fields = query(&[("status", "done,won"), ("limit", "0"), ("type", "x"), ("note", "a"), ("note", "b")]);
    let read = Request::read(&mut fields);
    let message = fields.finish(read).expect_err("four errors").to_string();
    for part in [
        "status: must be one of success, failed",
        "limit: must be at least 1",
        "type: must be true or false",
        "note: is given more than once",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn misspelt_field_is_refused_with_the_known_names() {
    let mut fields = body(&json!({"stauts": "success", "type": true, "note": null}));
    fields.refuse_others(&Request::names());
    assert_eq!(Request::read(&mut fields).r#type, Some(true));
    let message = fields.finish(()).expect_err("an error").to_string();
    assert_eq!(message, "stauts: is not known here; known are status, limit, type, note");
    let mut fields = body(&json!({"nota": null}));
    fields.refuse_others(&Request::names());
    assert!(fields.finish(()).is_err());
}

#[test]
fn null_differs_from_absent() {
    for (object, expected) in [
        (json!({"note": null}), MaybeUndefined::Null),
        (json!({"note": " "}), MaybeUndefined::Null),
        (json!({}), MaybeUndefined::Undefined),
        (json!({"note": "a"}), MaybeUndefined::Value("a".to_owned())),
    ] {
        assert_eq!(Request::read(&mut body(&object)).note, expected, "{object}");
    }
    assert!(body(&json!({"note": "a\0b"})).finish(()).is_err());
}

#[test]
fn plain_field_is_required() {
    let mut fields = query(&[]);
    let _none: String = fields.read("name");
    assert_eq!(fields.finish(()).expect_err("an error").to_string(), "name: is required");
}

#[test]
fn arrays_are_read_value_by_value() {
    for (ids, expected) in [
        (json!([true, "false"]), None),
        (json!([]), Some("ids: must be a list of 1 to 2 values, and has 0")),
        (json!(null), Some("ids: must be a list of 1 to 2 values, and has 0")),
        (json!([true, true, true]), Some("ids: must be a list of 1 to 2 values, and has 3")),
        (json!([true, "maybe"]), Some("ids[1]: must be true or false")),
        (json!([null, [true]]), Some("ids[0]: must be a single value; ids[1]: must be a single value")),
    ] {
        let mut fields = body(&json!({"ids": ids}));
        let read = fields.array::<bool>("ids", 1..=2);
        let problem = fields.finish(read).err().map(|problem| problem.to_string());
        assert_eq!(problem.as_deref(), expected, "{ids}");
    }
    let mut single = body(&json!({"force": [true]}));
    let read = single.optional::<bool>("force");
    assert_eq!(single.finish(read).expect_err("a list").to_string(), "force: must be a single value");
}
