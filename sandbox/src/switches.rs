//! Behaviour that the providers' documents leave open. Each question is a switch, so that a client can be tested with
//! every possible behaviour.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether a page begins after the record that the cursor names (exclusive) or with it (inclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CursorMode {
    Exclusive,
    Inclusive,
    /// Every page is the first page.
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PageEnvelope {
    Array,
    Wrapped,
}

/// How Vima represents the merchant's own id of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyFormat {
    /// Mostly a string, sometimes a number, sometimes only in `identifiers.c_id`.
    Mixed,
    String,
    Number,
    /// Only in `identifiers.c_id`.
    CId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AmountFormat {
    Number,
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListOrder {
    Newest,
    Oldest,
}

/// The timestamp that `dateFrom` and `dateTo` filter on, and that a list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DateFilter {
    Created,
    Modified,
}

/// The field that contains a single pay-in requested by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SingleEnvelope {
    Transactions,
    Transaction,
}

/// How Vima represents a list without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VimaEmptyList {
    /// As `vima_envelope` says.
    List,
    Null,
    OperationsNull,
    DataList,
    #[serde(rename = "204")]
    NoContent,
}

/// How PayShack represents a list without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PayshackEmptyList {
    /// With the totals.
    List,
    DataNull,
    DataList,
    TransactionsNull,
    #[serde(rename = "204")]
    NoContent,
    /// The next ones only beyond the last page; page 1 is a `list`.
    #[serde(rename = "404")]
    NotFound,
    #[serde(rename = "400")]
    BadRequest,
    SuccessFalse,
}

/// How PayShack answers a request by id for a pay-in that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UnknownPayment {
    List,
    DataNull,
    DataList,
    TransactionNull,
    #[serde(rename = "404")]
    NotFound,
    #[serde(rename = "410")]
    Gone,
    #[serde(rename = "422")]
    Unprocessable,
    SuccessFalse,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switches {
    pub(crate) vima_cursor: CursorMode,
    pub(crate) vima_envelope: PageEnvelope,
    /// The share of operations that become visible only some time after they are created or changed.
    pub(crate) vima_late_visible_share: f64,
    pub(crate) vima_late_visible_seconds: u32,
    /// How many records a page contains beyond `count`.
    pub(crate) vima_page_overrun: usize,
    /// New cursor ids exceed 64 bits.
    pub(crate) vima_wide_ids: bool,
    pub(crate) vima_key_form: KeyFormat,
    pub(crate) vima_amounts: AmountFormat,
    /// The HTTP status for wrong credentials.
    pub(crate) vima_refusal_status: u16,
    pub(crate) vima_empty_list: VimaEmptyList,
    pub(crate) payshack_order: ListOrder,
    pub(crate) payshack_date_filter: DateFilter,
    pub(crate) payshack_token_seconds: u32,
    pub(crate) payshack_single_envelope: SingleEnvelope,
    /// A login invalidates all earlier sessions.
    pub(crate) payshack_single_session: bool,
    pub(crate) payshack_amounts: AmountFormat,
    /// The HTTP status for an invalid token; with 200 only `success` is false, and the message does not say why.
    pub(crate) payshack_refusal_status: u16,
    pub(crate) payshack_empty_list: PayshackEmptyList,
    pub(crate) payshack_unknown_payment: UnknownPayment,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            vima_cursor: CursorMode::Exclusive,
            vima_envelope: PageEnvelope::Array,
            vima_late_visible_share: 0.0,
            vima_late_visible_seconds: 600,
            vima_page_overrun: 0,
            vima_wide_ids: false,
            vima_key_form: KeyFormat::Mixed,
            vima_amounts: AmountFormat::Number,
            vima_refusal_status: 401,
            vima_empty_list: VimaEmptyList::List,
            payshack_order: ListOrder::Newest,
            payshack_date_filter: DateFilter::Created,
            payshack_token_seconds: 1800,
            payshack_single_envelope: SingleEnvelope::Transaction,
            payshack_single_session: false,
            payshack_amounts: AmountFormat::Number,
            payshack_refusal_status: 401,
            payshack_empty_list: PayshackEmptyList::List,
            payshack_unknown_payment: UnknownPayment::List,
        }
    }
}

impl Switches {
    /// Sets switches by name, or none if one of them is invalid.
    pub(crate) fn set(&mut self, values: &Map<String, Value>) -> Result<(), String> {
        let Ok(Value::Object(mut all)) = serde_json::to_value(&*self) else {
            return Err("cannot serialize the switches".into());
        };
        all.extend(values.clone());
        let changed: Self = serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())?;
        if !(0.0..=1.0).contains(&changed.vima_late_visible_share) {
            return Err("vima_late_visible_share must be between 0 and 1".into());
        }
        if !matches!(changed.vima_refusal_status, 401 | 403) {
            return Err("vima_refusal_status must be 401 or 403".into());
        }
        if !matches!(changed.payshack_refusal_status, 200 | 401 | 403) {
            return Err("payshack_refusal_status must be 200, 401 or 403".into());
        }
        *self = changed;
        Ok(())
    }

    /// Sets one switch from the command line, where strings are written without quotes, also those that look like a number.
    pub(crate) fn set_from_text(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mut set = |value| self.set(&Map::from_iter([(name.to_owned(), value)]));
        let set = match serde_json::from_str(value) {
            Ok(typed @ (Value::Bool(_) | Value::Number(_))) => {
                set(typed).or_else(|reason| set(Value::from(value)).map_err(|_| reason))
            }
            _ => set(Value::from(value)),
        };
        set.map_err(|reason| format!("{name}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_set_by_name_and_invalid_values_rejected() {
        let mut switches = Switches::default();
        switches.set_from_text("vima_cursor", "inclusive").unwrap();
        switches.set_from_text("vima_page_overrun", "3").unwrap();
        assert_eq!((switches.vima_cursor, switches.vima_page_overrun), (CursorMode::Inclusive, 3));
        switches.set_from_text("payshack_empty_list", "404").unwrap();
        assert_eq!(switches.payshack_empty_list, PayshackEmptyList::NotFound);
        assert!(switches.set_from_text("vima_cursor", "sideways").unwrap_err().contains("inclusive"));
        assert!(switches.set_from_text("no_such_switch", "1").unwrap_err().contains("no_such_switch"));
        assert!(switches.set_from_text("vima_late_visible_share", "2").is_err());
    }
}
