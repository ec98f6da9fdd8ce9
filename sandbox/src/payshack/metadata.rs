//! The three lists of who takes part: clients, resellers, service providers.
//!
//! The documents know the id of a row by several names, so the rows take turns. A row is kept as the text it is served as:
//! a test may plant any JSON value, and change one field without touching the digits of the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue, value::to_raw_value};

use crate::raw;

use super::{
    client::{Client, RESELLER_ID},
    session::CLIENT_ID,
};

/// Which of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum List {
    Clients,
    Resellers,
    ServiceProviders,
}

impl List {
    /// The names a row's id may have, the first that is there counts.
    fn ids(self) -> [&'static [&'static str]; 3] {
        match self {
            Self::Clients => [&["clientId"], &["id"], &["_id"]],
            Self::Resellers => [&["resellerId"], &["clientId"], &["id"]],
            Self::ServiceProviders => [&["spId"], &["id"], &["_id"]],
        }
    }
}

/// The fields of a row that are to be others.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// The rows of all lists.
#[derive(Debug)]
pub(crate) struct Metadata {
    clients: Rows,
    resellers: Rows,
    service_providers: Rows,
}

impl Metadata {
    /// The lists as they are before a test has its hand on them.
    pub(crate) fn made() -> Self {
        Self {
            clients: Rows::of(&clients()),
            resellers: Rows::of(&resellers()),
            service_providers: Rows::of(&service_providers()),
        }
    }

    /// The rows of a list as they are served.
    pub(crate) fn rows(&self, list: List) -> &Rows {
        match list {
            List::Clients => &self.clients,
            List::Resellers => &self.resellers,
            List::ServiceProviders => &self.service_providers,
        }
    }

    /// Adds any JSON value at the end of a list.
    pub(crate) fn plant(&mut self, list: List, row: Box<RawValue>) {
        self.rows_mut(list).0.push(row);
    }

    /// Puts `fields` in place of those of the row with this id; `None` where there is none.
    pub(crate) fn change(&mut self, list: List, id: &str, fields: Fields) -> Option<&RawValue> {
        let row = self.rows_mut(list).0.iter_mut().find(|row| id_of(list, row).as_deref() == Some(id))?;
        let mut changed: Fields = serde_json::from_str(row.get()).ok()?;
        changed.extend(fields);
        *row = to_raw_value(&changed).ok()?;
        Some(row)
    }

    /// Takes the row with this id away, and says whether there was one.
    pub(crate) fn remove(&mut self, list: List, id: &str) -> bool {
        let rows = &mut self.rows_mut(list).0;
        let before = rows.len();
        rows.retain(|row| id_of(list, row).as_deref() != Some(id));
        rows.len() < before
    }

    fn rows_mut(&mut self, list: List) -> &mut Rows {
        match list {
            List::Clients => &mut self.clients,
            List::Resellers => &mut self.resellers,
            List::ServiceProviders => &mut self.service_providers,
        }
    }
}

/// The rows of one list.
#[derive(Debug, Serialize)]
pub(crate) struct Rows(Vec<Box<RawValue>>);

impl Rows {
    fn of(rows: &[Value]) -> Self {
        Self(rows.iter().map(|row| to_raw_value(row).expect("a value is JSON")).collect())
    }
}

fn id_of(list: List, row: &RawValue) -> Option<String> {
    raw::first_text(row, &list.ids())
}

fn clients() -> Vec<Value> {
    let rows = Client::ALL.iter().enumerate().map(|(place, client)| {
        let mut row = json!({
            "email": format!("client{place}@example.com"), "status": "Active", "isActive": true,
            "balance": 125_000.5, "walletBalance": "98000.25", "commissionRate": 2.5, "resellerId": RESELLER_ID,
        });
        row[["clientId", "id", "_id"][place % 3]] = client.id().into();
        row[["name", "companyName"][place % 2]] = client.name().into();
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
