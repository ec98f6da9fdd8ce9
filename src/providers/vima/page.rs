//! The JSON of Vima's pages.
//!
//! A page is first split into the texts of its records, so that each is stored verbatim and a malformed record affects no
//! other.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{Operation, read_operation};
use crate::domain::version::SequenceId;
use crate::providers::http::{Rejection, message_of};
use crate::providers::page_split::{PageShape, split};
use crate::providers::present::present;

const PAGE: PageShape = PageShape { lists: &[&[], &["operations"], &["data"]], single: None, ids: &["operation_id"] };

/// Operations in the order of the response, including malformed ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperationsPage {
    pub operations: Vec<Operation>,
}

impl OperationsPage {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Every `operation_create_id` of the page, which is not necessarily sorted.
    pub fn create_ids(&self) -> impl Iterator<Item = SequenceId> {
        self.operations.iter().filter_map(|operation| operation.create_id)
    }

    /// Every `operation_update_id` of the page.
    pub fn update_ids(&self) -> impl Iterator<Item = SequenceId> {
        self.operations.iter().filter_map(|operation| operation.update_id)
    }
}

/// Parses a page: an array, or an object with the array in `operations` or `data`. Null in place of the array is an empty
/// page, the end of the list.
pub(in crate::providers) fn read_page(response: &str) -> Result<OperationsPage, Rejection> {
    let operations = match valid_page(response) {
        Ok(records) => records.into_iter().map(|record| read_operation(record.get())).collect(),
        Err(Rejection::Unreadable(reason)) => match split(response, &PAGE) {
            Ok(page) => page.records.into_iter().map(read_operation).collect(),
            Err(error) => return Err(Rejection::Unreadable(format!("{reason}; {error}"))),
        },
        Err(rejection) => return Err(rejection),
    };
    Ok(OperationsPage { operations })
}

fn valid_page(response: &str) -> Result<Vec<&RawValue>, Rejection> {
    let unreadable = |error: serde_json::Error| Rejection::Unreadable(error.to_string());
    let list = if response.trim_start().starts_with('{') {
        let wrapped: Wrapped<'_> = serde_json::from_str(response).map_err(unreadable)?;
        wrapped.list().ok_or_else(|| without_operations(response))?
    } else {
        response
    };
    let records: Option<Vec<&RawValue>> = serde_json::from_str(list).map_err(unreadable)?;
    Ok(records.unwrap_or_default())
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    operations: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

impl<'a> Wrapped<'a> {
    /// A failure may have `data` too, as null or as an object.
    fn list(&self) -> Option<&'a str> {
        let data = self.data.map(RawValue::get).filter(|data| data.starts_with('['));
        self.operations.map(RawValue::get).or(data)
    }
}

/// An object that is not a page: its message, if it has one.
fn without_operations(response: &str) -> Rejection {
    message_of(response).map_or_else(
        || Rejection::Unreadable("neither an array nor an object with operations".to_owned()),
        Rejection::Refused,
    )
}
