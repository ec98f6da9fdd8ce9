//! Records inserted by tests. They are served byte for byte; fields are read only for the indexes and the ground truth.

use serde_json::{Value, value::RawValue};

use crate::{
    ground_truth::NormalizedRecord,
    raw_json,
    status::{OriginalStatus, Status},
    timestamp::Timestamp,
};

use super::{client::project_of, transaction::TransactionKind};

const IDS: [&[&str]; 3] = [&["txnId"], &["transactionId"], &["_id"]];

#[derive(Clone, Debug)]
pub(crate) struct FixtureRecord {
    pub(crate) raw: Box<RawValue>,
    kind: TransactionKind,
    pub(crate) id: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) original_status: String,
    /// `None` if the record is malformed.
    pub(crate) normalized: Option<NormalizedRecord>,
}

impl FixtureRecord {
    /// `now` replaces missing timestamps.
    pub(crate) fn parse(raw: Box<RawValue>, kind: TransactionKind, now: Timestamp) -> Self {
        let created = raw_json::timestamp(&raw, &["createdAt"]);
        let normalized = created.and_then(|created| normalize(&raw, kind, created));
        Self {
            kind,
            id: id(&raw, kind),
            order_id: raw_json::text(&raw, &["orderId"]),
            created: created.unwrap_or(now),
            modified: raw_json::timestamp(&raw, &["modifiedAt"]).or(created).unwrap_or(now),
            original_status: original_status(&raw),
            normalized,
            raw,
        }
    }

    /// The record with a new status and the modification time `now`.
    pub(crate) fn changed(&self, original_status: &str, now: Timestamp) -> Result<Self, String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(self.raw.get()) else {
            return Err("the status can only be changed if the record is a JSON object".into());
        };
        let name = if fields.contains_key("txnStatus") { "txnStatus" } else { "status" };
        fields.insert(name.into(), original_status.into());
        fields.insert("modifiedAt".into(), now.iso().into());
        let raw = serde_json::value::to_raw_value(&fields).map_err(|error| error.to_string())?;
        Ok(Self::parse(raw, self.kind, now))
    }
}

/// A pay-in has its id only in `txnId`.
fn id(raw: &RawValue, kind: TransactionKind) -> Option<String> {
    raw_json::first_text(raw, if kind == TransactionKind::Payin { &IDS[..1] } else { &IDS })
}

fn original_status(raw: &RawValue) -> String {
    raw_json::first_text(raw, &[&["txnStatus"], &["status"]]).unwrap_or_default()
}

/// `None` without an id or a valid amount.
fn normalize(record: &RawValue, kind: TransactionKind, created: Timestamp) -> Option<NormalizedRecord> {
    let original_status = original_status(record);
    Some(NormalizedRecord {
        source_id: id(record, kind)?,
        key: raw_json::first_text(record, &[&["orderId"]]).map(|key| key.trim().into()),
        project: project_of(&raw_json::text(record, &["clientName"]).unwrap_or_default()),
        amount: raw_json::decimal(record, &["amount"])?,
        paid: raw_json::decimal(record, &["paidAmount"]),
        currency: "INR".into(),
        status: Status::from_payshack(&original_status),
        original_status: OriginalStatus::Owned(original_status),
        created,
        updated: raw_json::timestamp(record, &["modifiedAt"]),
        version: None,
    })
}
