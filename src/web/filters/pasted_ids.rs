//! Ids that someone pasted, as one text or as a list, for the lookup and for its export.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use crate::domain::pasted_ids::{clean_id, split_pasted};
use crate::operations::look_up_transactions::MAX_IDS;
use crate::web::http::fields::{Field, Fields};
use crate::web::http::schema::plain_type;

/// One to [`MAX_IDS`] ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::web) struct PastedIds(pub(in crate::web) Vec<String>);

impl Field for Option<PastedIds> {
    fn read(fields: &mut Fields, name: &str) -> Self {
        if !fields.has_value(name) {
            return None;
        }
        let ids: Vec<String> = if fields.has_array(name) {
            let items: Vec<String> = fields.array(name, 1..=MAX_IDS);
            items.iter().map(|item| clean_id(item)).filter(|id| !id.is_empty()).collect()
        } else {
            split_pasted(&fields.read::<Option<String>>(name).unwrap_or_default())
        };
        if ids.len() > MAX_IDS {
            let count = ids.len();
            fields.error(name, format!("has {count} ids, and at most {MAX_IDS} are looked up at once: split the list"));
        } else if ids.is_empty() && !fields.has_error(name) {
            fields.error(name, "has no id");
        }
        Some(PastedIds(ids))
    }
}

impl Field for PastedIds {
    fn read(fields: &mut Fields, name: &str) -> Self {
        let ids: Option<Self> = fields.read(name);
        if ids.is_none() {
            fields.error(name, format!("is required: 1 to {MAX_IDS} ids, as a text or as a list"));
        }
        ids.unwrap_or_default()
    }
}

impl Type for PastedIds {
    plain_type!(
        "pasted_ids",
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            one_of: vec![
                MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
                MetaSchemaRef::Inline(Box::new(MetaSchema {
                    items: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))))),
                    min_items: Some(1),
                    max_items: Some(MAX_IDS),
                    ..MetaSchema::new("array")
                })),
            ],
            ..MetaSchema::ANY
        }))
    );
}

impl ToJSON for PastedIds {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone().into())
    }
}

/// Required by the derived schemas; requests are read by [`Field`].
impl ParseFromJSON for PastedIds {
    fn parse_from_json(_value: Option<Value>) -> ParseResult<Self> {
        Err(ParseError::expected_input())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(ids: Value) -> Result<Vec<String>, String> {
        let mut fields = Fields::from_object([("ids".to_owned(), ids)]);
        let read: PastedIds = fields.read("ids");
        fields.finish(read.0).map_err(|problem| problem.to_string())
    }

    #[test]
    fn ids_are_a_text_or_a_list() {
        let many = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        for (ids, expected) in [
            (json!("a\n'b, \"c\""), Ok(vec!["a", "b", "c"])),
            (json!([" a ", "'b", "c,d", 402_118_868_194_u64, ""]), Ok(vec!["a", "b", "c,d", "402118868194"])),
            (json!(402_118_868_194_u64), Ok(vec!["402118868194"])),
            (json!("a\na"), Ok(vec!["a", "a"])),
            (json!(null), Err("ids: is required: 1 to 500 ids, as a text or as a list")),
            (json!(""), Err("ids: is required: 1 to 500 ids, as a text or as a list")),
            (json!("\u{feff} ,"), Err("ids: has no id")),
            (json!(["'", " "]), Err("ids: has no id")),
            (json!([]), Err("ids: must be a list of 1 to 500 values, and has 0")),
            (json!(many(501)), Err("ids: must be a list of 1 to 500 values, and has 501")),
            (
                json!(many(501).join("\n")),
                Err("ids: has 501 ids, and at most 500 are looked up at once: split the list"),
            ),
            (json!({"a": 1}), Err("ids: must be a single value")),
        ] {
            let expected = expected.map(|ids| ids.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
            assert_eq!(read(ids.clone()), expected, "{ids}");
        }
        assert_eq!(read(json!(many(500).join(";"))).map(|ids| ids.len()), Ok(500));
        assert_eq!(read(json!(many(500))).map(|ids| ids.len()), Ok(500));
    }
}
