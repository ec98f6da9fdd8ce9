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

/// `None` if the field is absent. An empty list is a list, so that it differs from an absent one.
impl<T: ParseField> Field for Option<Vec<T>> {
    fn read(fields: &mut Fields, name: &str) -> Self {
        let is_given = fields.has_value(name) || fields.is_blank(name);
        is_given.then(|| fields.list(name))
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
            None if fields.is_blank(name) => Self::Null,
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

    /// Whether the field is present, but null or empty.
    fn is_blank(&self, name: &str) -> bool {
        self.blanks.iter().any(|blank| blank == name)
    }

    pub(in crate::web) fn has_array(&self, name: &str) -> bool {
        self.arrays.iter().any(|(known, _)| known == name)
    }

    fn has_object(&self, name: &str) -> bool {
        self.objects.iter().any(|(known, _)| known == name)
    }

    pub(in crate::web) fn has_error(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.field.split('[').next() == Some(name))
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

    /// The values of a field: a single text separated by commas, repeated texts, or the items of an array. Repeated texts are
    /// not split, so that a value may contain a comma; a repetition that is empty counts, so that a client can send one such
    /// value alone.
    fn list<T: ParseField>(&mut self, name: &str) -> Vec<T> {
        if self.has_array(name) {
            return self.array(name, 0..=MAX_ITEMS);
        }
        if self.has_object(name) {
            self.error(name, "must be a value or a list of values");
        }
        let is_repeated = self.texts(name).count() + self.blanks.iter().filter(|blank| *blank == name).count() > 1;
        let separator = |letter| letter == ',' && !is_repeated;
        let parts = self.texts(name).flat_map(|text| text.split(separator)).map(str::trim);
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).map(str::to_owned).collect();
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
mod tests;
