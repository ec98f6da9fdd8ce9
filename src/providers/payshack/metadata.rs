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
use crate::providers::page_split::{PageShape, split};
use crate::providers::rescue::{RecordNames, rescue, structural_problem};

const LIST: PageShape = PageShape { lists: &[&["data"]], single: None, ids: NAMES.ids };

const NAMES: RecordNames = RecordNames {
    once: &["clientId", "resellerId", "spId", "id", "_id", "balance", "walletBalance", "commissionRate"],
    ids: &["clientId", "resellerId", "spId", "id", "_id"],
};

pub(super) fn read_clients(response: &str) -> Result<Listing<Client>, Rejection> {
    read_list::<Clients>(response)
}

pub(super) fn read_resellers(response: &str) -> Result<Listing<Reseller>, Rejection> {
    read_list::<Resellers>(response)
}

pub(super) fn read_service_providers(response: &str) -> Result<Listing<ServiceProvider>, Rejection> {
    read_list::<ServiceProviders>(response)
}

trait List {
    type Row;
    type Json<'a>: RowJson<'a, Row = Self::Row>;
}

trait RowJson<'a>: Deserialize<'a> {
    type Row;

    fn id(&self) -> Result<String, FieldError>;

    fn read(&self) -> Result<Self::Row, FieldError>;
}

fn read_list<L: List>(response: &str) -> Result<Listing<L::Row>, Rejection> {
    let rows: Vec<_> = match valid_list(response) {
        Ok(texts) => texts.into_iter().map(|text| read_row::<L>(text.get())).collect(),
        Err(Rejection::Unreadable(reason)) => {
            let parts = split(response, &LIST).map_err(|error| Rejection::Unreadable(format!("{reason}; {error}")))?;
            // The damaged list may belong to a refusal.
            read_data(&parts.envelope)?;
            parts.records.into_iter().map(read_row::<L>).collect()
        }
        Err(rejection) => return Err(rejection),
    };
    let mut listing = Listing { rows: vec![], unreadable: vec![] };
    for row in rows {
        match row {
            Ok(row) => listing.rows.push(row),
            Err(unreadable) => listing.unreadable.push(unreadable),
        }
    }
    Ok(listing)
}

fn valid_list(response: &str) -> Result<Vec<&RawValue>, Rejection> {
    let data = read_data(response)?;
    if !data.starts_with('[') {
        return Err(Rejection::Unreadable("data is not a list".to_owned()));
    }
    serde_json::from_str(data).map_err(|error| Rejection::Unreadable(error.to_string()))
}

fn read_row<L: List>(text: &str) -> Result<L::Row, UnreadableRow> {
    let unreadable = |id, reason| UnreadableRow { id, reason };
    if !text.starts_with('{') {
        return Err(unreadable(None, format!("the row is {}, not an object", describe(text))));
    }
    let evaluated = |json: &L::Json<'_>, problem: Option<String>| {
        let row = problem.map_or_else(|| json.read().map_err(|error| error.to_string()), Err);
        row.map_err(|reason| unreadable(json.id().ok(), reason))
    };
    let error = match serde_json::from_str(text) {
        Ok(json) => return evaluated(&json, structural_problem(text)),
        Err(error) => error,
    };
    let rescued = rescue(text, &error, NAMES);
    match serde_json::from_str(&rescued.json) {
        Ok(json) => evaluated(&json, rescued.problem),
        Err(error) => Err(unreadable(None, format!("the row cannot be parsed: {error}"))),
    }
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

struct Clients;

impl List for Clients {
    type Row = Client;
    type Json<'a> = ClientJson<'a>;
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

struct Resellers;

impl List for Resellers {
    type Row = Reseller;
    type Json<'a> = ResellerJson<'a>;
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

struct ServiceProviders;

impl List for ServiceProviders {
    type Row = ServiceProvider;
    type Json<'a> = ServiceProviderJson<'a>;
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
