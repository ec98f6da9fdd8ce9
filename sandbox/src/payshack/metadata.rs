//! The three lists of who takes part: clients, resellers, service providers.
//!
//! The documents know the id of a row by several names, so the rows take turns.

use serde_json::{Value, json};

use super::{
    client::{Client, RESELLER_ID},
    session::CLIENT_ID,
};

pub(crate) fn clients() -> Value {
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

pub(crate) fn resellers() -> Value {
    json!([
        {"resellerId": RESELLER_ID, "userId": "3f2a9c44-7d15-4b0e-9a61-2c8d5e7f1a90", "name": "Sandbox Reseller",
         "email": "reseller@example.com", "role": "Reseller", "status": "Active", "isActive": true, "balance": 450_000},
        {"clientId": format!("{CLIENT_ID}-2"), "userId": "7a1b2c3d-0000-4000-8000-000000000002", "name": "Second Reseller",
         "email": "second@example.com", "role": "Reseller", "status": "Inactive", "isActive": false, "balance": "0"},
    ])
}

pub(crate) fn service_providers() -> Value {
    json!([
        {"spId": "sp-1003", "name": "Example UPI Switch", "code": "EUS", "status": "Active", "isActive": true,
         "supportsPayin": true, "supportsPayout": false},
        {"id": "sp-1004", "name": "Example IMPS Bank", "code": "EIB", "status": "Active", "isActive": true,
         "supportsPayin": false, "supportsPayout": true},
        {"_id": 1005, "name": "Example Collect", "code": "ECO", "status": "Inactive", "isActive": false,
         "supportsPayin": true, "supportsPayout": true},
    ])
}
