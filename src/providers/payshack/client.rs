//! The calls of `PayShack`. Each takes the shared session, and a new one, once, where that one is refused.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use reqwest::{Client, RequestBuilder, Url};

use super::login::Login;
use super::session::{Session, SharedSession};
use super::wire::{Projects, TransactionsPage, read_page, read_payin, read_payout};
use crate::clock::SharedClock;
use crate::domain::record::Record;
use crate::domain::secret::Secret;
use crate::providers::error::ProviderError;
use crate::providers::http::{HttpClient, Rejection};
use crate::providers::redaction::Redactor;

const LOGIN: &str = "/indigate-user-svc/api/v1/auth/login";
const PAYINS: &str = "/indigate-payin-svc/api/v1/payin/transaction/fetch";
const PAYOUTS: &str = "/indigate-payout-svc/api/v1/wallet/transactions";

/// Where `PayShack` is, how it knows us, and what it calls our projects.
#[derive(Debug, Clone)]
pub struct PayshackSettings {
    /// `PAYSHACK_API_URL`.
    pub base_url: Url,
    /// `PAYSHACK_EMAIL`.
    pub email: String,
    /// `PAYSHACK_PASSWORD`.
    pub password: Secret,
    /// `PAYSHACK_PROJECTS`.
    pub projects: Projects,
    /// `PAYSHACK_LOGIN_PAUSE_SECONDS`: how long no process logs in after a refused login; a minute is short enough for the next tick to find mended
    /// credentials, and long enough that a restart in a loop does not get the account locked.
    pub pause_after_refusal: Duration,
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// From 1.
    pub page: u32,
    /// How many at most; `PayShack` knows no more than 100.
    pub limit: u32,
    /// The first day, included. Which of a transaction's dates it means is unknown.
    pub date_from: Option<NaiveDate>,
    /// The last day, included.
    pub date_to: Option<NaiveDate>,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { page: 1, limit: 100, date_from: None, date_to: None }
    }
}

/// Asks `PayShack`.
pub struct PayshackClient {
    http: HttpClient,
    base_url: Url,
    projects: Projects,
    redactor: Redactor,
    login: Login,
}

impl PayshackClient {
    /// A client of the account in `settings`, whose session is kept in `shared`.
    #[must_use]
    pub fn new(
        http: HttpClient,
        settings: PayshackSettings,
        shared: Arc<dyn SharedSession>,
        clock: SharedClock,
    ) -> Self {
        let redactor = Redactor::new(&[&settings.password]);
        let login = Login {
            address: endpoint(&settings.base_url, LOGIN),
            email: settings.email,
            password: settings.password,
            pause_after_refusal: settings.pause_after_refusal,
            shared,
            clock,
        };
        Self { http, base_url: settings.base_url, projects: settings.projects, redactor, login }
    }

    /// One page of pay-ins.
    ///
    /// # Errors
    /// [`ProviderError`], once the request has been tried as often as it may be. A record that cannot be read is none:
    /// it is in the page, as malformed.
    pub async fn payins(&self, query: &PageQuery) -> Result<TransactionsPage, ProviderError> {
        self.list(PAYINS, &parameters(query), read_payin).await
    }

    /// One page of pay-outs.
    ///
    /// # Errors
    /// As [`Self::payins`].
    pub async fn payouts(&self, query: &PageQuery) -> Result<TransactionsPage, ProviderError> {
        self.list(PAYOUTS, &parameters(query), read_payout).await
    }

    /// The pay-in of this `txnId`: a page with one record, or none. A provider that ignores the parameter answers with
    /// other records, which are as true as any.
    ///
    /// # Errors
    /// As [`Self::payins`].
    pub async fn payin_by_transaction_id(&self, id: &str) -> Result<TransactionsPage, ProviderError> {
        self.list(PAYINS, &[("transactionId", id.to_owned())], read_payin).await
    }

    async fn list(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        read: impl Fn(&str, &Projects) -> Record,
    ) -> Result<TransactionsPage, ProviderError> {
        let address = endpoint(&self.base_url, path);
        self.fetch(
            |client| client.get(address.clone()).query(parameters),
            |answer| read_page(answer, |record| read(record, &self.projects)),
        )
        .await
    }

    /// Asks with the shared session; where an older one is refused, once more with a fresh one. A fresh one that is
    /// refused stays in place: it may be good for other calls, and another login would mend nothing.
    async fn fetch<T>(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        let mut held = self.login.session(&self.http).await?;
        let mut outcome = self.ask(&held.session, &request, &read).await;
        if !held.fresh && matches!(outcome, Err(ProviderError::Unauthenticated { .. })) {
            held = self.login.instead_of(&held.session, &self.http).await?;
            outcome = self.ask(&held.session, &request, &read).await;
        }
        outcome.map_err(|error| match error {
            ProviderError::Unauthenticated { provider, message } => {
                ProviderError::Unauthenticated { provider, message: format!("right after a login: {message}") }
            }
            other => other,
        })
    }

    async fn ask<T>(
        &self,
        session: &Session,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        let redactor = self.redactor.with(&[&session.token]);
        let with_session = |client: &Client| {
            request(client).bearer_auth(session.token.expose()).header("reseller-id", &session.client_id)
        };
        self.http.fetch(&redactor, with_session, read).await
    }
}

fn endpoint(base_url: &Url, path: &str) -> Url {
    let mut address = base_url.clone();
    address.set_path(&format!("{}{path}", address.path().trim_end_matches('/')));
    address
}

/// `PayShack`'s names for what is asked.
fn parameters(query: &PageQuery) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("page", query.page.to_string()), ("limit", query.limit.to_string())];
    parameters.extend(query.date_from.map(|day| ("dateFrom", day.to_string())));
    parameters.extend(query.date_to.map(|day| ("dateTo", day.to_string())));
    parameters
}

#[cfg(test)]
mod tests;
