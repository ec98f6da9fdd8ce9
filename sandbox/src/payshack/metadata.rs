//! The metadata lists: clients, resellers, service providers.
//!
//! The documents give several names for the id of a row, so the rows use different ones. Rows are stored as JSON text,
//! because tests insert any JSON value and change one field without affecting the digits of the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue, value::to_raw_value};
use strum::VariantArray;

use crate::raw_json;

use super::{
    client::{Client, RESELLER_ID},
    session::CLIENT_ID,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MetadataList {
    Clients,
    Resellers,
    ServiceProviders,
}

impl MetadataList {
    /// The possible names of a row's id, in order of precedence.
    fn ids(self) -> [&'static [&'static str]; 3] {
        match self {
            Self::Clients => [&["clientId"], &["id"], &["_id"]],
            Self::Resellers => [&["resellerId"], &["clientId"], &["id"]],
            Self::ServiceProviders => [&["spId"], &["id"], &["_id"]],
        }
    }
}

pub(crate) type MetadataFields = BTreeMap<String, Box<RawValue>>;

#[derive(Debug)]
pub(crate) struct Metadata {
    clients: Rows,
    resellers: Rows,
    service_providers: Rows,
}

impl Metadata {
    pub(crate) fn generate() -> Self {
        Self {
            clients: Rows::from_values(&clients()),
            resellers: Rows::from_values(&resellers()),
            service_providers: Rows::from_values(&service_providers()),
        }
    }

    pub(crate) fn rows(&self, list: MetadataList) -> &Rows {
        match list {
            MetadataList::Clients => &self.clients,
            MetadataList::Resellers => &self.resellers,
            MetadataList::ServiceProviders => &self.service_providers,
        }
    }

    pub(crate) fn insert(&mut self, list: MetadataList, row: Box<RawValue>) {
        self.rows_mut(list).0.push(row);
    }

    /// Sets fields of the row with this id and returns the row; `None` if there is none.
    pub(crate) fn change(&mut self, list: MetadataList, id: &str, fields: MetadataFields) -> Option<&RawValue> {
        let row = self.rows_mut(list).0.iter_mut().find(|row| id_of(list, row).as_deref() == Some(id))?;
        let mut changed: MetadataFields = serde_json::from_str(row.get()).ok()?;
        changed.extend(fields);
        *row = to_raw_value(&changed).ok()?;
        Some(row)
    }

    /// Returns whether there was a row with this id.
    pub(crate) fn remove(&mut self, list: MetadataList, id: &str) -> bool {
        let rows = &mut self.rows_mut(list).0;
        let before = rows.len();
        rows.retain(|row| id_of(list, row).as_deref() != Some(id));
        rows.len() < before
    }

    fn rows_mut(&mut self, list: MetadataList) -> &mut Rows {
        match list {
            MetadataList::Clients => &mut self.clients,
            MetadataList::Resellers => &mut self.resellers,
            MetadataList::ServiceProviders => &mut self.service_providers,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Rows(Vec<Box<RawValue>>);

impl Rows {
    fn from_values(rows: &[Value]) -> Self {
        Self(rows.iter().map(|row| to_raw_value(row).expect("a value is JSON")).collect())
    }
}

fn id_of(list: MetadataList, row: &RawValue) -> Option<String> {
    raw_json::first_text(row, &list.ids())
}

fn clients() -> Vec<Value> {
    let rows = Client::VARIANTS.iter().enumerate().map(|(index, client)| {
        let mut row = json!({
            "email": format!("client{index}@example.com"), "status": "Active", "isActive": true,
            "balance": 125_000.5, "walletBalance": "98000.25", "commissionRate": 2.5, "resellerId": RESELLER_ID,
        });
        row[["clientId", "id", "_id"][index % 3]] = client.id().into();
        row[["name", "companyName"][index % 2]] = client.name().into();
        row
    });
    rows.collect()
}

fn resellers() -> Vec<Value> {
    vec![
        json!({"resellerId": RESELLER_ID, "userId": "3f2a9c44-7d15-4b0e-9a61-2c8d5e7f1a90", "name": "Sandbox Reseller",
            "email": "reseller@example.com", "role": "Reseller", "status": "Active", "isActive": true,
            "balance": 450_000}),
        json!({"clientId": format!("{CLIENT_ID}-2"), "userId": "7a1b2c3d-0000-4000-8000-000000000002",
            "name": "Second Reseller", "email": "second@example.com", "role": "Reseller", "status": "Inactive",
            "isActive": false, "balance": "0"}),
    ]
}

fn service_providers() -> Vec<Value> {
    vec![
        json!({"spId": "sp-1003", "name": "Example UPI Switch", "code": "EUS", "status": "Active", "isActive": true,
            "supportsPayin": true, "supportsPayout": false}),
        json!({"id": "sp-1004", "name": "Example IMPS Bank", "code": "EIB", "status": "Active", "isActive": true,
            "supportsPayin": false, "supportsPayout": true}),
        json!({"_id": 1005, "name": "Example Collect", "code": "ECO", "status": "Inactive", "isActive": false,
            "supportsPayin": true, "supportsPayout": true}),
    ]
}
