//! The fields of a request, of its query and its JSON body alike.
//!
//! Reading continues after an error, so that a client learns about every invalid field at once. poem-openapi's own
//! parameters were rejected: they stop at the first error, do not support comma-separated lists, and turn a filter into a
//! signature of twenty arguments.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use poem_openapi::types::MaybeUndefined;
use serde_json::Value;

use super::parse_field::ParseField;
use super::problem::{FieldError, Problem};

/// The most items of an array, if the field says nothing else.
const MAX_ITEMS: usize = 1_000;

/// An object within the JSON object of a body.
pub(in crate::web) type Object = BTreeMap<String, Value>;

/// A type that is read from the fields of a request; implemented by [`request_fields!`].
pub(in crate::web) trait FromFields: Sized {
    fn names() -> Vec<&'static str>;

    /// Records every error in `fields`; a field with an error gets its default value.
    fn read(fields: &mut Fields) -> Self;
}

/// Declares a struct that is read from the fields of a request. The type of a field says how it is read: `Option<T>` is a
/// single value, `Vec<T>` a list, `MaybeUndefined<T>` a value that may also be null or empty, and a plain `T` is required.
/// `check: function` is called with the struct and the [`Fields`] to record errors that concern several fields.
macro_rules! request_fields {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty,)*
        }
        $(check: $check:path)?
    ) => {
        #[derive(Debug, Clone, Default, poem_openapi::Object)]
        $(#[$meta])*
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type,)*
        }

        impl $crate::web::http::fields::FromFields for $name {
            fn names() -> Vec<&'static str> {
                vec![$(stringify!($field).trim_start_matches("r#")),*]
            }

            fn read(fields: &mut $crate::web::http::fields::Fields) -> Self {
                let read = Self {
                    $($field: fields.read(stringify!($field).trim_start_matches("r#")),)*
                };
                $($check(&read, fields);)?
                read
            }
        }
    };
}
pub(in crate::web) use request_fields;

/// The type of a field in [`request_fields!`].
pub(in crate::web) trait Field {
    fn read(fields: &mut Fields, name: &str) -> Self;
}

impl<T: ParseField> Field for Option<T> {
    fn read(fields: &mut Fields, name: &str) -> Self {
        fields.optional(name)
    }
}

impl<T: ParseField> Field for Vec<T> {
    fn read(fields: &mut Fields, name: &str) -> Self {
        fields.list(name)
    }
}

impl Field for Option<Object> {
    fn read(fields: &mut Fields, name: &str) -> Self {
        fields.object(name)
    }
}

impl<T: ParseField> Field for MaybeUndefined<T> {
    fn read(fields: &mut Fields, name: &str) -> Self {
        match fields.optional(name) {
            Some(value) => Self::Value(value),
            None if fields.blanks.iter().any(|blank| blank == name) => Self::Null,
            None => Self::Undefined,
        }
    }
}

impl<T: ParseField + Default> Field for T {
    fn read(fields: &mut Fields, name: &str) -> Self {
        if !fields.has_value(name) {
            let expected = T::parse_field("").err().map_or_else(String::new, |expected| format!(": {expected}"));
            fields.error(name, format!("is required{expected}"));
        }
        fields.optional(name).unwrap_or_default()
    }
}

/// The fields of a request, and the errors found in them.
#[derive(Debug, Default)]
pub(in crate::web) struct Fields {
    values: Vec<(String, String)>,
    /// Lists; only a JSON object has them.
    arrays: Vec<(String, Vec<Value>)>,
    /// Objects within a JSON object.
    objects: Vec<(String, Object)>,
    /// Fields that are null or empty.
    blanks: Vec<String>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Empty values count as absent.
    pub(in crate::web) fn from_query(query: Vec<(String, String)>) -> Self {
        let mut fields = Self::default();
        for (name, text) in query {
            fields.add(name, &text);
        }
        fields
    }

    /// Nulls count as absent.
    pub(in crate::web) fn from_object(object: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut fields = Self::default();
        for (name, value) in object {
            match value {
                Value::Null => fields.blanks.push(name),
                Value::Array(items) => fields.arrays.push((name, items)),
                Value::Object(object) => fields.objects.push((name, object.into_iter().collect())),
                value => match text_of(&value) {
                    Ok(text) => fields.add(name, &text),
                    Err(message) => fields.error(&name, message),
                },
            }
        }
        fields
    }

    pub(in crate::web) fn add(&mut self, name: String, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            self.blanks.push(name);
        } else {
            self.values.push((name, text.to_owned()));
        }
    }

    /// Whether the field is present and neither null nor empty.
    pub(in crate::web) fn has_value(&self, name: &str) -> bool {
        self.texts(name).next().is_some() || self.has_array(name) || self.has_object(name)
    }

    fn has_array(&self, name: &str) -> bool {
        self.arrays.iter().any(|(known, _)| known == name)
    }

    fn has_object(&self, name: &str) -> bool {
        self.objects.iter().any(|(known, _)| known == name)
    }

    pub(in crate::web) fn error(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Records an error if `from_date` is after `to_date`.
    pub(in crate::web) fn check_days(&mut self, from_date: Option<NaiveDate>, to_date: Option<NaiveDate>) {
        if let (Some(from), Some(to)) = (from_date, to_date)
            && from > to
        {
            self.error("from_date", format!("{from} is after to_date {to}: swap them"));
        }
    }

    pub(in crate::web) fn read<T: Field>(&mut self, name: &str) -> T {
        T::read(self, name)
    }

    /// The value of a field; `None` if it is absent, or has an error, which is recorded.
    fn optional<T: ParseField>(&mut self, name: &str) -> Option<T> {
        if self.has_array(name) || self.has_object(name) {
            self.error(name, "must be a single value");
            return None;
        }
        let mut texts: Vec<String> = self.texts(name).map(str::to_owned).collect();
        let text = texts.pop()?;
        if !texts.is_empty() {
            self.error(name, "is given more than once");
            return None;
        }
        self.parse(name, &text)
    }

    /// The values of a field: separated by commas, given one by one, or the items of an array.
    fn list<T: ParseField>(&mut self, name: &str) -> Vec<T> {
        if self.has_array(name) {
            return self.array(name, 0..=MAX_ITEMS);
        }
        if self.has_object(name) {
            self.error(name, "must be a value or a list of values");
        }
        let parts: Vec<String> = self
            .texts(name)
            .flat_map(|text| text.split(','))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect();
        parts.iter().filter_map(|part| self.parse(name, part)).collect()
    }

    /// The items of an array of a JSON object.
    pub(in crate::web) fn array<T: ParseField>(&mut self, name: &str, length: RangeInclusive<usize>) -> Vec<T> {
        let items = self.arrays.iter().find(|(known, _)| known == name).map(|(_, items)| items.clone());
        let items = items.unwrap_or_default();
        if !length.contains(&items.len()) {
            let (least, most) = (length.start(), length.end());
            self.error(name, format!("must be a list of {least} to {most} values, and has {}", items.len()));
            return vec![];
        }
        let values = items.iter().enumerate().filter_map(|(index, item)| {
            let name = format!("{name}[{index}]");
            match text_of(item) {
                Ok(text) => self.parse(&name, &text),
                Err(message) => {
                    self.error(&name, message);
                    None
                }
            }
        });
        values.collect()
    }

    /// An object within a JSON object.
    fn object(&mut self, name: &str) -> Option<Object> {
        if !self.has_object(name) && self.has_value(name) {
            self.error(name, "must be an object");
        }
        self.objects.iter().find(|(known, _)| known == name).map(|(_, object)| object.clone())
    }

    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    fn parse<T: ParseField>(&mut self, name: &str, text: &str) -> Option<T> {
        T::parse_field(text).map_err(|message| self.error(name, message)).ok()
    }

    /// Records an error for every field that is not among `known`: a misspelt field must not count as absent.
    pub(in crate::web) fn refuse_others(&mut self, known: &[&str]) {
        let values = self.values.iter().map(|(name, _)| name);
        let arrays = self.arrays.iter().map(|(name, _)| name);
        let objects = self.objects.iter().map(|(name, _)| name);
        let given = values.chain(arrays).chain(objects).chain(&self.blanks);
        let others: Vec<String> = given.filter(|name| !known.contains(&name.as_str())).cloned().collect();
        for name in others {
            self.error(&name, format!("is not known here; known are {}", known.join(", ")));
        }
    }

    /// `value` if there are no errors.
    pub(in crate::web) fn finish<T>(self, value: T) -> Result<T, Problem> {
        if self.errors.is_empty() { Ok(value) } else { Err(Problem::validation(self.errors)) }
    }
}

fn text_of(value: &Value) -> Result<String, &'static str> {
    match value {
        // PostgreSQL cannot store it in a text.
        Value::String(text) if text.contains('\0') => Err("must not contain a NUL character"),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("must be a single value"),
    }
}

#[cfg(test)]
mod tests {
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
}
