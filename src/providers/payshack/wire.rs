//! PayShack's JSON: the envelope of every response, the lists, and the two shapes of a transaction.
//!
//! The rules follow real responses. Amounts are in rupees, in major units; the country is always India. PayShack has no
//! exchange rates, so no USD amounts are computed here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::domain::money::Currency;
use crate::domain::record::{Malformed, Record};
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source, Transaction, TransactionKey};
use crate::domain::version::Version;
use crate::providers::field::{Field, FieldError, describe};
use crate::providers::http::Rejection;
use crate::providers::page_split::{PageShape, split};
use crate::providers::present::present;
use crate::providers::rescue::{RecordNames, rescue, structural_problem};

const PAGE: PageShape = PageShape {
    lists: &[&["data", "transactions"], &["data", "transaction"], &["data"]],
    single: Some(&["data", "transaction"]),
    ids: &["txnId", "transactionId", "_id"],
};

const NAMES: RecordNames = RecordNames {
    once: &[
        "txnId",
        "transactionId",
        "_id",
        "orderId",
        "amount",
        "paidAmount",
        "totalCommissionAmount",
        "txnCharges",
        "netAmount",
        "txnStatus",
        "status",
    ],
    ids: &["txnId", "transactionId", "_id"],
};

/// Records in the order of the response, including malformed ones. The totals are the provider's and change between pages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransactionsPage {
    pub records: Vec<Record>,
    /// Of the whole list.
    pub total_records: Option<u64>,
    /// Of the whole list.
    pub total_pages: Option<u64>,
    /// The number of this page, from 1.
    pub page: Option<u64>,
}

/// Client names mapped to projects (`PAYSHACK_PROJECTS`). A client without an entry keeps its own name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Projects(BTreeMap<String, String>);

impl Projects {
    #[must_use]
    pub fn new(by_client: BTreeMap<String, String>) -> Self {
        Self(by_client)
    }

    #[must_use]
    pub fn of_client(&self, name: &str) -> String {
        self.0.get(name).map_or(name, String::as_str).to_owned()
    }
}

impl Projects {
    /// A digest of all entries.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for text in self.0.iter().flat_map(|(client, project)| [client, project]) {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        hex::encode(&hasher.finalize()[..16])
    }
}

impl Default for Projects {
    fn default() -> Self {
        let known = [
            ("91G_TECH_PVT_LTD", "91game"),
            ("IG Indigate P_Out", "indigate_payout"),
            ("MNCL_M5_Pvt_Ltd", "mncl_m5"),
            ("Mn CL THREE_PVT_LTD", "mncl_three"),
        ];
        Self(known.map(|(client, project)| (client.to_owned(), project.to_owned())).into())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Envelope<'a> {
    success: Field<'a>,
    status_code: Field<'a>,
    message: Field<'a>,
    #[serde(borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn rejects_session(&self) -> bool {
        matches!(self.status_code.count(), Some(401 | 403))
    }
}

/// The data of a successful response; `None` if it is null.
fn find_data(response: &str) -> Result<Option<&str>, Rejection> {
    if !response.trim_start().starts_with('{') {
        return Err(Rejection::Unreadable("not an object".to_owned()));
    }
    let envelope: Envelope<'_> = serde_json::from_str(response).map_err(|error| unreadable(&error))?;
    if envelope.success.is_false() {
        return Err(refused(&envelope));
    }
    let data = envelope.data.ok_or_else(|| Rejection::Unreadable("data is missing".to_owned()))?;
    Ok((data.get() != "null").then(|| data.get()))
}

/// The data of a successful response that must have some.
pub(super) fn read_data(response: &str) -> Result<&str, Rejection> {
    find_data(response)?.ok_or_else(|| Rejection::Unreadable("data is missing".to_owned()))
}

/// A refusal with HTTP 200. There is no code for an expired session, so the words of the message decide: an unnecessary
/// login is cheaper than a run that fails because of an expired token.
fn refused(envelope: &Envelope<'_>) -> Rejection {
    let message = envelope.message.text("message").unwrap_or_else(|| "success is false, without a message".to_owned());
    let words = message.to_lowercase();
    let logged_out = envelope.rejects_session()
        || ["token", "session", "unauthor", "unauthen", "jwt"].iter().any(|word| words.contains(word));
    if logged_out { Rejection::Unauthenticated(message) } else { Rejection::Refused(message) }
}

/// A list, or a single transaction (`transaction`, as some calls by id return).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct ListJson<'a> {
    #[serde(borrow, deserialize_with = "present")]
    transactions: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    transaction: Option<&'a RawValue>,
    total_records: Field<'a>,
    total_pages: Field<'a>,
    current_page_no: Field<'a>,
}

impl<'a> ListJson<'a> {
    /// The texts of the records; `None` if there is no field for them.
    fn records(&self) -> Result<Option<Vec<&'a RawValue>>, Rejection> {
        match (self.transactions, self.transaction) {
            (list, Some(one)) if list.is_none_or(|list| list.get() == "null") => match one.get() {
                list if list == "null" || list.starts_with('[') => read_array(list).map(Some),
                _ => Ok(Some(vec![one])),
            },
            (Some(list), _) => read_array(list.get()).map(Some),
            (None, _) => Ok(None),
        }
    }
}

/// A refused read may be temporary and is retried; a refused login is not.
fn retryable(rejection: Rejection) -> Rejection {
    match rejection {
        Rejection::Refused(message) => Rejection::Failed(message),
        other => other,
    }
}

/// Parses a page with `read` for each record. A list that is null, alone or as the data, is an empty page: its end.
pub(in crate::providers) fn read_page(
    response: &str,
    read: impl Fn(&str) -> Record,
) -> Result<TransactionsPage, Rejection> {
    match valid_page(response) {
        Ok((list, texts)) => Ok(page(&list, texts.into_iter().map(|text| read(text.get())).collect())),
        Err(Rejection::Unreadable(reason)) => {
            let parts = split(response, &PAGE).map_err(|error| Rejection::Unreadable(format!("{reason}; {error}")))?;
            let (list, _) = valid_page(&parts.envelope)?;
            Ok(page(&list, parts.records.into_iter().map(read).collect()))
        }
        Err(rejection) => Err(rejection),
    }
}

fn page(list: &ListJson<'_>, records: Vec<Record>) -> TransactionsPage {
    TransactionsPage {
        records,
        total_records: list.total_records.count(),
        total_pages: list.total_pages.count(),
        page: list.current_page_no.count(),
    }
}

/// The list of a page, and the texts of its records.
fn valid_page(response: &str) -> Result<(ListJson<'_>, Vec<&RawValue>), Rejection> {
    let data = match response.trim() {
        list if list == "null" || list.starts_with('[') => list,
        _ => find_data(response).map_err(retryable)?.unwrap_or("null"),
    };
    let list: ListJson<'_> = if data.starts_with('{') {
        serde_json::from_str(data).map_err(|error| unreadable(&error))?
    } else {
        ListJson {
            transactions: Some(serde_json::from_str(data).map_err(|error| unreadable(&error))?),
            ..ListJson::default()
        }
    };
    let texts = list.records()?.ok_or_else(|| Rejection::Unreadable("data.transactions is missing".to_owned()))?;
    Ok((list, texts))
}

/// A response to a request for one pay-in. `success: false` says that there is none: it is neither retried nor, whatever its
/// words, the end of the session, which is reported by a status.
pub(super) fn read_single(response: &str, read: impl Fn(&str) -> Record) -> Result<TransactionsPage, Rejection> {
    match read_page(response, read) {
        Err(Rejection::Failed(message) | Rejection::Unauthenticated(message)) if !has_refusal_status(response) => {
            Err(Rejection::Refused(message))
        }
        outcome => outcome,
    }
}

/// Whether the response's own `statusCode` rejects the session.
fn has_refusal_status(response: &str) -> bool {
    serde_json::from_str::<Envelope<'_>>(response).is_ok_and(|envelope| envelope.rejects_session())
}

/// The elements of an array, or none if it is null.
fn read_array(json: &str) -> Result<Vec<&RawValue>, Rejection> {
    let texts: Option<Vec<&RawValue>> = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    Ok(texts.unwrap_or_default())
}

fn unreadable(error: &serde_json::Error) -> Rejection {
    Rejection::Unreadable(error.to_string())
}

/// A pay-in or a pay-out. Fields that are not named here are only in the raw text.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct TransactionJson<'a> {
    #[serde(rename = "_id")]
    id: Field<'a>,
    txn_id: Field<'a>,
    transaction_id: Field<'a>,
    sp_txn_id: Field<'a>,
    order_id: Field<'a>,
    amount: Field<'a>,
    paid_amount: Field<'a>,
    total_commission_amount: Field<'a>,
    txn_charges: Field<'a>,
    net_amount: Field<'a>,
    utr: Field<'a>,
    txn_status: Field<'a>,
    status: Field<'a>,
    client_name: Field<'a>,
    client_id: Field<'a>,
    transaction_type: Field<'a>,
    payment_mode: Field<'a>,
    payer_name: Field<'a>,
    payer_phone: Field<'a>,
    bene_name: Field<'a>,
    bene_email: Field<'a>,
    bene_phone: Field<'a>,
    created_at: Field<'a>,
    modified_at: Field<'a>,
    completed_at: Field<'a>,
}

/// Parses one pay-in; the result contains the JSON text.
#[must_use]
pub fn read_payin(raw: &str, projects: &Projects) -> Record {
    read_record(raw, Kind::Payin, projects)
}

/// Parses one pay-out; the result contains the JSON text.
#[must_use]
pub fn read_payout(raw: &str, projects: &Projects) -> Record {
    read_record(raw, Kind::Payout, projects)
}

fn read_record(raw: &str, kind: Kind, projects: &Projects) -> Record {
    let malformed = |source_id, reason| {
        Record::Malformed(Malformed { source: Source::Payshack, kind, source_id, reason, raw: raw.to_owned() })
    };
    if !raw.starts_with('{') {
        return malformed(None, format!("the record is {}, not an object", describe(raw)));
    }
    let evaluated = |json: &TransactionJson<'_>, problem: Option<String>| {
        let payment = problem
            .map_or_else(|| transaction(json, kind, projects, raw).map_err(|error: FieldError| error.to_string()), Err);
        payment.map_or_else(
            |reason| malformed(source_id(json, kind).ok().flatten(), reason),
            |payment| Record::Payment(Box::new(payment)),
        )
    };
    let error = match serde_json::from_str(raw) {
        Ok(json) => return evaluated(&json, structural_problem(raw)),
        Err(error) => error,
    };
    let rescued = rescue(raw, &error, NAMES);
    match serde_json::from_str(&rescued.json) {
        Ok(json) => evaluated(&json, rescued.problem),
        Err(error) => malformed(None, format!("the record cannot be parsed: {error}")),
    }
}

fn transaction(
    json: &TransactionJson<'_>,
    kind: Kind,
    projects: &Projects,
    raw: &str,
) -> Result<Transaction, FieldError> {
    let source_id = source_id(json, kind)?.ok_or(FieldError::Missing { field: "txnId" })?;
    let amount = json.amount.amount("amount")?.ok_or(FieldError::Missing { field: "amount" })?;
    let created_at = json.created_at.time("createdAt")?.ok_or(FieldError::Missing { field: "createdAt" })?;
    let updated_at = json.modified_at.time("modifiedAt").ok().flatten();
    let original_status = json.txn_status.text("txnStatus").or_else(|| json.status.text("status"));
    let paid_amount = json.paid_amount.amount("paidAmount")?;
    // The net amount is not stored, but one that is unreadable casts doubt on the others.
    json.net_amount.amount("netAmount")?;
    let fee = match kind {
        Kind::Payin => json.total_commission_amount.amount("totalCommissionAmount")?,
        Kind::Payout => json.txn_charges.amount("txnCharges")?,
    };
    let (user_name, user_phone) = match kind {
        Kind::Payin => (json.payer_name.text("payerName"), json.payer_phone.text("payerPhone")),
        Kind::Payout => (json.bene_name.text("beneName"), json.bene_phone.text("benePhone")),
    };
    Ok(Transaction {
        key: TransactionKey { source: Source::Payshack, kind, source_id },
        version: Version { sequence: None, modified_at: updated_at },
        reference_id: json.sp_txn_id.key("spTxnId"),
        client_operation_id: None,
        order_id: json.order_id.key("orderId"),
        project: json.client_name.text("clientName").map(|name| projects.of_client(&name)),
        merchant_id: json.client_id.text("clientId"),
        amount,
        paid_amount,
        currency: Currency::inr(),
        amount_usd: None,
        fee,
        fee_usd: None,
        exchange_rate: None,
        status: original_status.as_deref().map_or(Status::Unknown, Status::from_payshack),
        original_status,
        user_id: None,
        user_email: json.bene_email.text("beneEmail"),
        user_phone,
        user_name,
        country: Some("IN".to_owned()),
        utr: json.utr.key("utr"),
        payment_method: json.payment_mode.text("paymentMode"),
        payment_product: json.transaction_type.text("transactionType"),
        created_at,
        updated_at,
        completed_at: json.completed_at.time("completedAt").ok().flatten(),
        raw: raw.to_owned(),
    })
}

/// `txnId`, or for a pay-out `transactionId`, or `_id`.
fn source_id(json: &TransactionJson<'_>, kind: Kind) -> Result<Option<String>, FieldError> {
    if let Some(id) = json.txn_id.identity("txnId")? {
        return Ok(Some(id));
    }
    if kind == Kind::Payout
        && let Some(id) = json.transaction_id.identity("transactionId")?
    {
        return Ok(Some(id));
    }
    json.id.identity("_id")
}

#[cfg(test)]
mod tests;
