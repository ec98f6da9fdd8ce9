//! A record planted by a test: served as it came, read only for the indexes and the truth.

use serde_json::{Value, value::RawValue};

use crate::{
    moment::Moment,
    money::decimals_of,
    raw,
    status::{Status, Word},
    truth::Row,
};
use rust_decimal::Decimal;

const REQUESTED: [&str; 4] = ["create_params", "params", "payment", "amount"];

/// A planted record and where it stands in the lists.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) raw: Box<RawValue>,
    pub(crate) id: Option<String>,
    pub(crate) create_id: u128,
    pub(crate) update_id: u128,
    pub(crate) created: Moment,
    pub(crate) modified: Moment,
    pub(crate) project: String,
    pub(crate) word: String,
    /// `None` for a malformed record.
    pub(crate) row: Option<Row>,
}

impl Planted {
    /// Reads a record; where it has no ids or times of its own the given ones place it.
    pub(crate) fn read(raw: Box<RawValue>, next_ids: (u128, u128), now: Moment) -> Self {
        let own = |name: &'static str| raw::number(&raw, &[name]);
        let created = raw::moment(&raw, &["operation_created_at"]);
        let update_id = own("operation_update_id");
        let row = created.and_then(|created| row(&raw, created, update_id));
        Self {
            id: raw::first_text(&raw, &[&["operation_id"]]),
            create_id: own("operation_create_id").unwrap_or(next_ids.0),
            update_id: update_id.unwrap_or(next_ids.1),
            created: created.unwrap_or(now),
            modified: raw::moment(&raw, &["operation_modified_at"]).or(created).unwrap_or(now),
            project: raw::text(&raw, &["project"]).unwrap_or_default(),
            word: word(&raw),
            row,
            raw,
        }
    }

    /// The record with another status, as changed at `now`.
    pub(crate) fn changed(&self, word: &str, update_id: u128, now: Moment) -> Result<Self, String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(self.raw.get()) else {
            return Err("only an object has a status to change".into());
        };
        for name in ["payment_status", "current_status"] {
            fields.insert(name.into(), word.into());
        }
        fields.insert("operation_update_id".into(), update_id.to_string().into());
        fields.insert("operation_modified_at".into(), now.iso().into());
        let raw = serde_json::value::to_raw_value(&fields).map_err(|error| error.to_string())?;
        Ok(Self::read(raw, (self.create_id, update_id), now))
    }
}

fn word(raw: &RawValue) -> String {
    raw::first_text(raw, &[&["payment_status"], &["current_status"]]).unwrap_or_default()
}

/// What a correct reader makes of it; `None` without an id or a readable amount.
fn row(record: &RawValue, created: Moment, version: Option<u128>) -> Option<Row> {
    let word = word(record);
    let (amount, currency) = amount(record)?;
    let keys: [&[&str]; 2] = [&["client_operation_id"], &["create_params", "params", "payment", "identifiers", "c_id"]];
    Some(Row {
        source_id: raw::first_text(record, &[&["operation_id"]])?,
        key: raw::first_text(record, &keys).map(|key| key.trim().into()),
        project: raw::text(record, &["project"]).unwrap_or_default().into(),
        amount,
        paid: None,
        currency: currency.into(),
        status: Status::of_vima(&word),
        original_status: Word::Owned(word),
        created,
        updated: raw::moment(record, &["operation_modified_at"]),
        version,
    })
}

fn amount(record: &RawValue) -> Option<(Decimal, String)> {
    let [first, second, third, fourth] = REQUESTED;
    let requested_currency = raw::text(record, &[first, second, third, fourth, "currency"]);
    if raw::at(record, &["complete_amount"]).is_some() {
        let currency = raw::text(record, &["complete_currency"]).or(requested_currency);
        return Some((raw::decimal(record, &["complete_amount"])?, currency.unwrap_or_default()));
    }
    let currency = requested_currency.unwrap_or_default();
    let minor = raw::decimal(record, &[first, second, third, fourth, "value"])?;
    let units = Decimal::from(10_i64.pow(decimals_of(&currency)));
    Some((minor.checked_div(units)?, currency))
}
