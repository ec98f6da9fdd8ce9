//! Records inserted by tests. They are served byte for byte; fields are read only for the indexes and the ground truth.

use rust_decimal::Decimal;
use serde_json::{Value, value::RawValue};

use crate::{
    ground_truth::NormalizedRecord,
    money::decimals_of,
    raw_json,
    status::{OriginalStatus, Status},
    timestamp::Timestamp,
};

#[derive(Clone, Debug)]
pub(crate) struct FixtureRecord {
    pub(crate) raw: Box<RawValue>,
    pub(crate) id: Option<String>,
    pub(crate) create_id: u128,
    pub(crate) update_id: u128,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) project: String,
    pub(crate) original_status: String,
    /// `None` if the record is malformed.
    pub(crate) normalized: Option<NormalizedRecord>,
}

impl FixtureRecord {
    /// `next_ids` and `now` replace missing ids and timestamps.
    pub(crate) fn parse(raw: Box<RawValue>, next_ids: (u128, u128), now: Timestamp) -> Self {
        let own = |name: &'static str| raw_json::number(&raw, &[name]);
        let created = raw_json::timestamp(&raw, &["operation_created_at"]);
        let update_id = own("operation_update_id");
        let normalized = created.and_then(|created| normalize(&raw, created, update_id));
        Self {
            id: raw_json::first_text(&raw, &[&["operation_id"]]),
            create_id: own("operation_create_id").unwrap_or(next_ids.0),
            update_id: update_id.unwrap_or(next_ids.1),
            created: created.unwrap_or(now),
            modified: raw_json::timestamp(&raw, &["operation_modified_at"]).or(created).unwrap_or(now),
            project: raw_json::text(&raw, &["project"]).unwrap_or_default(),
            original_status: original_status(&raw),
            normalized,
            raw,
        }
    }

    /// The record with a new status and the modification time `now`.
    pub(crate) fn changed(&self, original_status: &str, update_id: u128, now: Timestamp) -> Result<Self, String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(self.raw.get()) else {
            return Err("the status can only be changed if the record is a JSON object".into());
        };
        for name in ["payment_status", "current_status"] {
            fields.insert(name.into(), original_status.into());
        }
        fields.insert("operation_update_id".into(), update_id.to_string().into());
        fields.insert("operation_modified_at".into(), now.iso().into());
        let raw = serde_json::value::to_raw_value(&fields).map_err(|error| error.to_string())?;
        Ok(Self::parse(raw, (self.create_id, update_id), now))
    }
}

fn original_status(raw: &RawValue) -> String {
    raw_json::first_text(raw, &[&["payment_status"], &["current_status"]]).unwrap_or_default()
}

/// `None` without an id or a valid amount.
fn normalize(record: &RawValue, created: Timestamp, version: Option<u128>) -> Option<NormalizedRecord> {
    let original_status = original_status(record);
    let (amount, currency) = amount(record)?;
    let keys: [&[&str]; 2] = [&["client_operation_id"], &["create_params", "params", "payment", "identifiers", "c_id"]];
    Some(NormalizedRecord {
        source_id: raw_json::first_text(record, &[&["operation_id"]])?,
        key: raw_json::first_text(record, &keys).map(|key| key.trim().into()),
        project: raw_json::text(record, &["project"]).unwrap_or_default().into(),
        amount,
        paid: None,
        currency: currency.into(),
        status: Status::from_vima(&original_status),
        original_status: OriginalStatus::Owned(original_status),
        created,
        updated: raw_json::timestamp(record, &["operation_modified_at"]),
        version,
    })
}

fn amount(record: &RawValue) -> Option<(Decimal, String)> {
    let requested = raw_json::at(record, &["create_params", "params", "payment", "amount"]);
    let requested_currency = requested.and_then(|amount| raw_json::text(amount, &["currency"]));
    if raw_json::at(record, &["complete_amount"]).is_some() {
        let currency = raw_json::text(record, &["complete_currency"]).or(requested_currency);
        return Some((raw_json::decimal(record, &["complete_amount"])?, currency.unwrap_or_default()));
    }
    let currency = requested_currency.unwrap_or_default();
    let minor = raw_json::decimal(requested?, &["value"])?;
    let units = Decimal::from(10_i64.pow(decimals_of(&currency)));
    Some((minor.checked_div(units)?, currency))
}
