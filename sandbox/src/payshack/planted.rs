//! A record planted by a test: served as it came, read only for the indexes and the truth.

use serde_json::{Value, value::RawValue};

use crate::{
    moment::Moment,
    raw,
    status::{Status, Word},
    truth::Row,
};

use super::{client::project_of, transaction::Kind};

const IDS: [&[&str]; 3] = [&["txnId"], &["transactionId"], &["_id"]];

/// A planted record and where it stands in the lists.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) raw: Box<RawValue>,
    kind: Kind,
    pub(crate) id: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) created: Moment,
    pub(crate) modified: Moment,
    pub(crate) word: String,
    /// `None` for a malformed record.
    pub(crate) row: Option<Row>,
}

impl Planted {
    /// Reads a record; one without a time of its own stands at `now`.
    pub(crate) fn read(raw: Box<RawValue>, kind: Kind, now: Moment) -> Self {
        let created = raw::moment(&raw, &["createdAt"]);
        let row = created.and_then(|created| row(&raw, kind, created));
        Self {
            kind,
            id: id(&raw, kind),
            order_id: raw::text(&raw, &["orderId"]),
            created: created.unwrap_or(now),
            modified: raw::moment(&raw, &["modifiedAt"]).or(created).unwrap_or(now),
            word: word(&raw),
            row,
            raw,
        }
    }

    /// The record with another status, as changed at `now`.
    pub(crate) fn changed(&self, word: &str, now: Moment) -> Result<Self, String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(self.raw.get()) else {
            return Err("only an object has a status to change".into());
        };
        let name = if fields.contains_key("txnStatus") { "txnStatus" } else { "status" };
        fields.insert(name.into(), word.into());
        fields.insert("modifiedAt".into(), now.iso().into());
        let raw = serde_json::value::to_raw_value(&fields).map_err(|error| error.to_string())?;
        Ok(Self::read(raw, self.kind, now))
    }
}

/// Of a pay-in only `txnId` is its id.
fn id(raw: &RawValue, kind: Kind) -> Option<String> {
    raw::first_text(raw, if kind == Kind::Payin { &IDS[..1] } else { &IDS })
}

fn word(raw: &RawValue) -> String {
    raw::first_text(raw, &[&["txnStatus"], &["status"]]).unwrap_or_default()
}

/// What a correct reader makes of it; `None` without an id or a readable amount.
fn row(record: &RawValue, kind: Kind, created: Moment) -> Option<Row> {
    let word = word(record);
    Some(Row {
        source_id: id(record, kind)?,
        key: raw::first_text(record, &[&["orderId"]]).map(|key| key.trim().into()),
        project: project_of(&raw::text(record, &["clientName"]).unwrap_or_default()),
        amount: raw::decimal(record, &["amount"])?,
        paid: raw::decimal(record, &["paidAmount"]),
        currency: "INR".into(),
        status: Status::of_payshack(&word),
        original_status: Word::Owned(word),
        created,
        updated: raw::moment(record, &["modifiedAt"]),
        version: None,
    })
}
