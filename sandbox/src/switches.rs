//! The unknowns of the providers' documents: each is a switch, so that a client can be shown right either way.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether a Vima cursor names the first record wanted or the last one already seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cursor {
    Exclusive,
    Inclusive,
    /// It names nothing: every page is the first.
    Ignored,
}

/// The outer shape of a Vima page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Envelope {
    Array,
    Wrapped,
}

/// Where Vima puts the merchant's own id of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyForm {
    /// Mostly a string; now and then a number, or only in `identifiers.c_id`.
    Mixed,
    String,
    Number,
    /// Only in `identifiers.c_id`.
    CId,
}

/// How amounts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Amounts {
    Number,
    String,
}

/// The order of `PayShack`'s lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListOrder {
    Newest,
    Oldest,
}

/// The time that `dateFrom` and `dateTo` look at, and that a list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DateFilter {
    Created,
    Modified,
}

/// What a single pay-in asked for by its id comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SingleEnvelope {
    Transactions,
    Transaction,
}

/// How both providers behave where their documents leave it open.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switches {
    pub(crate) vima_cursor: Cursor,
    pub(crate) vima_envelope: Envelope,
    /// The share of operations that show up only some time after they were made or changed.
    pub(crate) vima_late_visible_share: f64,
    pub(crate) vima_late_visible_seconds: u32,
    /// How many records a page holds beyond `count`.
    pub(crate) vima_page_overrun: usize,
    /// Cursor ids beyond 64 bits, for ids made from now on.
    pub(crate) vima_wide_ids: bool,
    pub(crate) vima_key_form: KeyForm,
    pub(crate) vima_amounts: Amounts,
    /// The HTTP status of wrong credentials.
    pub(crate) vima_refusal_status: u16,
    pub(crate) payshack_order: ListOrder,
    pub(crate) payshack_date_filter: DateFilter,
    pub(crate) payshack_token_seconds: u32,
    pub(crate) payshack_single_envelope: SingleEnvelope,
    /// A login ends every earlier session.
    pub(crate) payshack_single_session: bool,
    pub(crate) payshack_amounts: Amounts,
    /// The HTTP status of an invalid token.
    pub(crate) payshack_refusal_status: u16,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            vima_cursor: Cursor::Exclusive,
            vima_envelope: Envelope::Array,
            vima_late_visible_share: 0.0,
            vima_late_visible_seconds: 600,
            vima_page_overrun: 0,
            vima_wide_ids: false,
            vima_key_form: KeyForm::Mixed,
            vima_amounts: Amounts::Number,
            vima_refusal_status: 401,
            payshack_order: ListOrder::Newest,
            payshack_date_filter: DateFilter::Created,
            payshack_token_seconds: 1800,
            payshack_single_envelope: SingleEnvelope::Transaction,
            payshack_single_session: false,
            payshack_amounts: Amounts::Number,
            payshack_refusal_status: 401,
        }
    }
}

impl Switches {
    /// Sets some switches by name; nothing changes when one of them is refused.
    pub(crate) fn set(&mut self, values: &Map<String, Value>) -> Result<(), String> {
        let Ok(Value::Object(mut all)) = serde_json::to_value(&*self) else {
            return Err("the switches cannot be read".into());
        };
        all.extend(values.clone());
        let changed: Self = serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())?;
        if !(0.0..=1.0).contains(&changed.vima_late_visible_share) {
            return Err("vima_late_visible_share must be between 0 and 1".into());
        }
        for status in [changed.vima_refusal_status, changed.payshack_refusal_status] {
            if !matches!(status, 401 | 403) {
                return Err(format!("a refusal is 401 or 403, not {status}"));
            }
        }
        *self = changed;
        Ok(())
    }

    /// Sets one switch from the command line, where `true` and `5` are written without quotes like any word.
    pub(crate) fn set_text(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = match serde_json::from_str(value) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::from(value),
        };
        self.set(&Map::from_iter([(name.to_owned(), value)])).map_err(|why| format!("{name}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_set_by_name_or_refused_whole() {
        let mut switches = Switches::default();
        switches.set_text("vima_cursor", "inclusive").unwrap();
        switches.set_text("vima_page_overrun", "3").unwrap();
        assert_eq!((switches.vima_cursor, switches.vima_page_overrun), (Cursor::Inclusive, 3));
        assert!(switches.set_text("vima_cursor", "sideways").unwrap_err().contains("inclusive"));
        assert!(switches.set_text("no_such_switch", "1").unwrap_err().contains("no_such_switch"));
        assert!(switches.set_text("vima_late_visible_share", "2").is_err());
    }
}
