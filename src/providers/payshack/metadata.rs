//! `PayShack`'s lists of who takes part: the JSON of their rows, which name one thing by several names.
//!
//! A row without an id, or whose figures are there and no exact numbers, is unreadable, and the others are read all the
//! same. Whatever else is odd in a row counts as absent.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::read_data;
use crate::domain::metadata::{Client, Listing, Reseller, ServiceProvider, UnreadableRow};
use crate::providers::field::{Field, FieldError, found};
use crate::providers::http::Rejection;

/// Reads the list of clients.
pub(super) fn read_clients(answer: &str) -> Result<Listing<Client>, Rejection> {
    read_list::<ClientJson<'_>>(answer)
}

/// Reads the list of resellers.
pub(super) fn read_resellers(answer: &str) -> Result<Listing<Reseller>, Rejection> {
    read_list::<ResellerJson<'_>>(answer)
}

/// Reads the list of service providers.
pub(super) fn read_service_providers(answer: &str) -> Result<Listing<ServiceProvider>, Rejection> {
    read_list::<ServiceProviderJson<'_>>(answer)
}

/// A row as it comes.
trait RowJson<'a>: Deserialize<'a> {
    /// What it is read as.
    type Row;

    /// Its id, by whichever name.
    fn id(&self) -> Result<String, FieldError>;

    /// All of it.
    fn read(&self) -> Result<Self::Row, FieldError>;
}

fn read_list<'a, J: RowJson<'a>>(answer: &'a str) -> Result<Listing<J::Row>, Rejection> {
    let data = read_data(answer)?;
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
        return Err(unreadable(None, format!("the row is {}, not an object", found(text))));
    }
    let json: J =
        serde_json::from_str(text).map_err(|error| unreadable(None, format!("the row cannot be read: {error}")))?;
    json.read().map_err(|error| unreadable(json.id().ok(), error.to_string()))
}

/// The first of `names` that is there.
fn first_id(names: [(&'static str, Field<'_>); 3]) -> Result<String, FieldError> {
    for (name, field) in names {
        if let Some(id) = field.identity(name)? {
            return Ok(id);
        }
    }
    Err(FieldError::Missing { field: names[0].0 })
}

/// A client.
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
            is_active: self.is_active.truth(),
            balance: self.balance.decimal("balance")?,
            wallet_balance: self.wallet_balance.decimal("walletBalance")?,
            commission_rate: self.commission_rate.decimal("commissionRate")?,
            reseller_id: self.reseller_id.text("resellerId"),
        })
    }
}

/// A reseller.
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
            is_active: self.is_active.truth(),
            balance: self.balance.decimal("balance")?,
        })
    }
}

/// A service provider.
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
            is_active: self.is_active.truth(),
            supports_payin: self.supports_payin.truth(),
            supports_payout: self.supports_payout.truth(),
        })
    }
}

#[cfg(test)]
mod tests;
