//! The PayShack API. Each call uses the shared session, and a new one, once, if it is rejected.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use reqwest::{Client, RequestBuilder, Url};
use sha2::{Digest, Sha256};

use super::login::Login;
use super::metadata::{read_clients, read_resellers, read_service_providers};
use super::session::{Session, SharedSession};
use super::wire::{Projects, TransactionsPage, read_page, read_payin, read_payout, read_single};
use crate::clock::SharedClock;
use crate::domain::metadata::{Client as Merchant, Listing, Reseller, ServiceProvider};
use crate::domain::record::Record;
use crate::domain::secret::Secret;
use crate::providers::endpoint::Endpoint;
use crate::providers::error::ProviderError;
use crate::providers::http::{HttpClient, Rejection};
use crate::providers::redaction::Redactor;

const LOGIN: &str = "/indigate-user-svc/api/v1/auth/login";
const PAYINS: &str = "/indigate-payin-svc/api/v1/payin/transaction/fetch";
const PAYOUTS: &str = "/indigate-payout-svc/api/v1/wallet/transactions";
const CLIENTS: &str = "/indigate-core-svc/api/v1/client/fetch-all-client";
const RESELLERS: &str = "/indigate-core-svc/api/v1/reseller/fetch-all-reseller";
const SERVICE_PROVIDERS: &str = "/indigate-core-svc/api/v1/service-provider/fetch-all-sp";

/// A session that is older may have expired when a request fails, whatever the message says.
const DOUBTFUL_AGE: TimeDelta = TimeDelta::minutes(1);

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
    /// `PAYSHACK_LOGIN_PAUSE_SECONDS`: no process logs in for this long after a refused login. A minute is short enough for
    /// the next tick to use corrected credentials, and long enough that a restart loop does not lock the account.
    pub pause_after_refusal: Duration,
}

impl PayshackSettings {
    /// A digest of the address and the credentials. What is remembered of a login belongs to it: corrected credentials log in
    /// at once, and those of another account do not use this one's session.
    #[must_use]
    pub fn account(&self) -> String {
        let parts = [self.base_url.as_str(), &self.email, self.password.expose()];
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hex::encode(hasher.finalize())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// From 1.
    pub page: u32,
    /// The page size; at most 100.
    pub limit: u32,
    /// Inclusive. Which date of a transaction it filters is unknown.
    pub date_from: Option<NaiveDate>,
    /// Inclusive.
    pub date_to: Option<NaiveDate>,
    /// The list was announced to end before this page: a refusal says that it does.
    pub beyond_last: bool,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { page: 1, limit: 100, date_from: None, date_to: None, beyond_last: false }
    }
}

pub struct PayshackClient {
    http: HttpClient,
    base_url: Url,
    projects: Projects,
    redactor: Redactor,
    login: Login,
}

impl PayshackClient {
    #[must_use]
    pub fn new(
        http: HttpClient,
        settings: PayshackSettings,
        shared: Arc<dyn SharedSession>,
        clock: SharedClock,
    ) -> Self {
        let redactor = Redactor::new(&[&settings.password]);
        let login = Login {
            url: url_of(&settings.base_url, LOGIN),
            email: settings.email,
            password: settings.password,
            pause_after_refusal: settings.pause_after_refusal,
            shared,
            clock,
        };
        Self { http, base_url: settings.base_url, projects: settings.projects, redactor, login }
    }

    #[must_use]
    pub fn projects(&self) -> &Projects {
        &self.projects
    }

    /// Fetches one page of pay-ins. A record that cannot be parsed is not an error: the page contains it as malformed.
    pub async fn payins(&self, query: &PageQuery) -> Result<TransactionsPage, ProviderError> {
        self.list((Endpoint::Payins, PAYINS), query, read_payin).await
    }

    pub async fn payouts(&self, query: &PageQuery) -> Result<TransactionsPage, ProviderError> {
        self.list((Endpoint::Payouts, PAYOUTS), query, read_payout).await
    }

    /// Fetches the pay-in with this `txnId`: a page with one record or none. If PayShack ignores the parameter, the page has
    /// other records, which are valid too. A payment that PayShack does not know is [`ProviderError::Refused`] or an empty
    /// page; either way the session stays.
    pub async fn payin_by_transaction_id(&self, id: &str) -> Result<TransactionsPage, ProviderError> {
        let url = url_of(&self.base_url, PAYINS);
        let request = |client: &Client| client.get(url.clone()).query(&[("transactionId", id)]);
        let read = |response: &str| read_single(response, |record| read_payin(record, &self.projects));
        self.fetch(Endpoint::Payins, request, read, Failure::OfTheRequest).await
    }

    /// Fetches all clients. A row that cannot be parsed is not an error: the listing contains it as unreadable.
    pub async fn clients(&self) -> Result<Listing<Merchant>, ProviderError> {
        self.listing(Endpoint::Clients, CLIENTS, read_clients).await
    }

    pub async fn resellers(&self) -> Result<Listing<Reseller>, ProviderError> {
        self.listing(Endpoint::Resellers, RESELLERS, read_resellers).await
    }

    pub async fn service_providers(&self) -> Result<Listing<ServiceProvider>, ProviderError> {
        self.listing(Endpoint::ServiceProviders, SERVICE_PROVIDERS, read_service_providers).await
    }

    async fn listing<Row>(
        &self,
        endpoint: Endpoint,
        path: &str,
        read: impl Fn(&str) -> Result<Listing<Row>, Rejection>,
    ) -> Result<Listing<Row>, ProviderError> {
        let url = url_of(&self.base_url, path);
        self.fetch(endpoint, |client| client.get(url.clone()), read, Failure::PerhapsOfTheSession).await
    }

    async fn list(
        &self,
        (endpoint, path): (Endpoint, &str),
        query: &PageQuery,
        read: impl Fn(&str, &Projects) -> Record,
    ) -> Result<TransactionsPage, ProviderError> {
        let (url, parameters) = (url_of(&self.base_url, path), parameters(query));
        let request = |client: &Client| client.get(url.clone()).query(&parameters);
        let read = |response: &str| match read_page(response, |record| read(record, &self.projects)) {
            Err(Rejection::Failed(_)) if query.beyond_last => Ok(TransactionsPage::default()),
            outcome => outcome,
        };
        match self.fetch(endpoint, request, read, Failure::PerhapsOfTheSession).await {
            Err(ProviderError::Refused { status: 400 | 404, .. }) if query.beyond_last => {
                Ok(TransactionsPage::default())
            }
            outcome => outcome,
        }
    }

    /// Sends the request with the shared session; if an older session is rejected, once more with a new one. A new session
    /// that is rejected is kept: it may be valid for other calls, and another login would not help.
    async fn fetch<T>(
        &self,
        endpoint: Endpoint,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&str) -> Result<T, Rejection>,
        failure: Failure,
    ) -> Result<T, ProviderError> {
        let mut current = self.login.session(&self.http).await?;
        let doubtful = failure == Failure::PerhapsOfTheSession && !current.fresh && self.is_doubtful(&current.session);
        let read_in_doubt = |response: &str| read(response).map_err(|rejection| in_doubt(rejection, doubtful));
        let mut outcome = self.send(endpoint, &current.session, &request, &read_in_doubt).await;
        if !current.fresh && matches!(outcome, Err(ProviderError::Unauthenticated { .. })) {
            current = self.login.replace(&current.session, &self.http).await?;
            outcome = self.send(endpoint, &current.session, &request, &read).await;
        }
        outcome.map_err(|error| match error {
            ProviderError::Unauthenticated { provider, message } => {
                ProviderError::Unauthenticated { provider, message: format!("right after a login: {message}") }
            }
            other => other,
        })
    }

    fn is_doubtful(&self, session: &Session) -> bool {
        self.login.clock.now() - session.created_at > DOUBTFUL_AGE
    }

    async fn send<T>(
        &self,
        endpoint: Endpoint,
        session: &Session,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        let redactor = self.redactor.with(&[&session.token]);
        let with_session = |client: &Client| {
            request(client).bearer_auth(session.token.expose()).header("reseller-id", &session.client_id)
        };
        self.http.fetch(endpoint, &redactor, with_session, read).await
    }
}

/// What `success: false` with an older session may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// An expired session is reported in many words, so a login is tried before the failure is believed.
    PerhapsOfTheSession,
    /// The payment does not exist: no reason to discard the session.
    OfTheRequest,
}

fn in_doubt(rejection: Rejection, doubtful: bool) -> Rejection {
    match rejection {
        Rejection::Failed(message) | Rejection::Refused(message) if doubtful => Rejection::Unauthenticated(message),
        other => other,
    }
}

fn url_of(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    url
}

fn parameters(query: &PageQuery) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("page", query.page.to_string()), ("limit", query.limit.to_string())];
    parameters.extend(query.date_from.map(|day| ("dateFrom", day.to_string())));
    parameters.extend(query.date_to.map(|day| ("dateTo", day.to_string())));
    parameters
}

#[cfg(test)]
mod tests;
