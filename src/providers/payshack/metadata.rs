//! The JSON of PayShack's directory lists, whose rows have several names for the same field.
//!
//! A row without an id, or with an amount that is not an exact number, is unreadable; the other rows are still read. Any
//! other invalid field counts as absent.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::read_data;
use crate::domain::metadata::{Client, Listing, Reseller, ServiceProvider, UnreadableRow};
use crate::providers::field::{Field, FieldError, describe};
use crate::providers::http::Rejection;

pub(super) fn read_clients(response: &str) -> Result<Listing<Client>, Rejection> {
    read_list::<ClientJson<'_>>(response)
}

pub(super) fn read_resellers(response: &str) -> Result<Listing<Reseller>, Rejection> {
    read_list::<ResellerJson<'_>>(response)
}

pub(super) fn read_service_providers(response: &str) -> Result<Listing<ServiceProvider>, Rejection> {
    read_list::<ServiceProviderJson<'_>>(response)
}

trait RowJson<'a>: Deserialize<'a> {
    type Row;

    fn id(&self) -> Result<String, FieldError>;

    fn read(&self) -> Result<Self::Row, FieldError>;
}

fn read_list<'a, J: RowJson<'a>>(response: &'a str) -> Result<Listing<J::Row>, Rejection> {
    let data = read_data(response)?;
    if !data.starts_with('[') {
        return Err(Rejection::Unreadable("data is not a list".to_owned()));
    }
    let texts: Vec<&'a RawValue> =
        serde_json::from_str(data).map_err(|error| Rejection::Unreadable(error.to_string()))?;
    let mut listing = Listing { rows: vec![], unreadable: vec![] };
    for text in texts {
        match read_row::<J>(text.get()) {
            Ok(row) => listing.rows.push(row),
            Err(unreadable) => listing.unreadable.push(unreadable),
        }
    }
    Ok(listing)
}

fn read_row<'a, J: RowJson<'a>>(text: &'a str) -> Result<J::Row, UnreadableRow> {
    let unreadable = |id, reason| UnreadableRow { id, reason };
    if !text.starts_with('{') {
        return Err(unreadable(None, format!("the row is {}, not an object", describe(text))));
    }
    let json: J =
        serde_json::from_str(text).map_err(|error| unreadable(None, format!("the row cannot be parsed: {error}")))?;
    json.read().map_err(|error| unreadable(json.id().ok(), error.to_string()))
}

/// The first field that is present.
fn first_id(names: [(&'static str, Field<'_>); 3]) -> Result<String, FieldError> {
    for (name, field) in names {
        if let Some(id) = field.identity(name)? {
            return Ok(id);
        }
    }
    Err(FieldError::Missing { field: names[0].0 })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct ClientJson<'a> {
    client_id: Field<'a>,
    id: Field<'a>,
    #[serde(rename = "_id")]
    underscored_id: Field<'a>,
    name: Field<'a>,
    company_name: Field<'a>,
    email: Field<'a>,
    status: Field<'a>,
    is_active: Field<'a>,
    balance: Field<'a>,
    wallet_balance: Field<'a>,
    commission_rate: Field<'a>,
    reseller_id: Field<'a>,
}

impl<'a> RowJson<'a> for ClientJson<'a> {
    type Row = Client;

    fn id(&self) -> Result<String, FieldError> {
        first_id([("clientId", self.client_id), ("id", self.id), ("_id", self.underscored_id)])
    }

    fn read(&self) -> Result<Client, FieldError> {
        Ok(Client {
            client_id: self.id()?,
            name: self.name.text("name").or_else(|| self.company_name.text("companyName")),
            email: self.email.text("email"),
            status: self.status.text("status"),
            is_active: self.is_active.boolean(),
            balance: self.balance.decimal("balance")?,
            wallet_balance: self.wallet_balance.decimal("walletBalance")?,
            commission_rate: self.commission_rate.decimal("commissionRate")?,
            reseller_id: self.reseller_id.text("resellerId"),
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct ResellerJson<'a> {
    reseller_id: Field<'a>,
    client_id: Field<'a>,
    id: Field<'a>,
    user_id: Field<'a>,
    name: Field<'a>,
    email: Field<'a>,
    role: Field<'a>,
    status: Field<'a>,
    is_active: Field<'a>,
    balance: Field<'a>,
}

impl<'a> RowJson<'a> for ResellerJson<'a> {
    type Row = Reseller;

    fn id(&self) -> Result<String, FieldError> {
        first_id([("resellerId", self.reseller_id), ("clientId", self.client_id), ("id", self.id)])
    }

    fn read(&self) -> Result<Reseller, FieldError> {
        Ok(Reseller {
            reseller_id: self.id()?,
            user_id: self.user_id.text("userId"),
            name: self.name.text("name"),
            email: self.email.text("email"),
            role: self.role.text("role"),
            status: self.status.text("status"),
            is_active: self.is_active.boolean(),
            balance: self.balance.decimal("balance")?,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct ServiceProviderJson<'a> {
    sp_id: Field<'a>,
    id: Field<'a>,
    #[serde(rename = "_id")]
    underscored_id: Field<'a>,
    name: Field<'a>,
    code: Field<'a>,
    status: Field<'a>,
    is_active: Field<'a>,
    supports_payin: Field<'a>,
    supports_payout: Field<'a>,
}

impl<'a> RowJson<'a> for ServiceProviderJson<'a> {
    type Row = ServiceProvider;

    fn id(&self) -> Result<String, FieldError> {
        first_id([("spId", self.sp_id), ("id", self.id), ("_id", self.underscored_id)])
    }

    fn read(&self) -> Result<ServiceProvider, FieldError> {
        Ok(ServiceProvider {
            service_provider_id: self.id()?,
            name: self.name.text("name"),
            code: self.code.text("code"),
            status: self.status.text("status"),
            is_active: self.is_active.boolean(),
            supports_payin: self.supports_payin.boolean(),
            supports_payout: self.supports_payout.boolean(),
        })
    }
}

#[cfg(test)]
mod tests;
