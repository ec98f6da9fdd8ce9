//! The Vima API, which has one call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDate;
use reqwest::{Client, RequestBuilder, Url};

use super::page::{OperationsPage, read_page};
use crate::domain::secret::Secret;
use crate::domain::version::SequenceId;
use crate::providers::endpoint::Endpoint;
use crate::providers::error::ProviderError;
use crate::providers::http::HttpClient;
use crate::providers::redaction::Redactor;

#[derive(Debug, Clone)]
pub struct VimaSettings {
    /// Without the trailing `/operation` (`VIMA_BASE_URL`; no default, because it depends on the account).
    pub base_url: Url,
    pub credentials: Credentials,
}

#[derive(Debug, Clone)]
pub enum Credentials {
    /// `VIMA_API_KEY`. It is sent in the URL, so no URL may be shown.
    ApiKey(Secret),
    /// HTTP Basic.
    Basic {
        /// `VIMA_USERNAME`.
        username: String,
        /// `VIMA_PASSWORD`.
        password: Secret,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationsQuery {
    /// Only operations created on this UTC day.
    pub day: Option<NaiveDate>,
    /// A lower bound in one of the two orders, also if the newest come first. Whether it is inclusive is unknown.
    pub after: Option<Cursor>,
    /// The page size; at most 100. Vima has sent more than requested.
    pub count: u32,
    pub descending: bool,
}

impl Default for OperationsQuery {
    fn default() -> Self {
        Self { day: None, after: None, count: 100, descending: false }
    }
}

/// A position in one of the two orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    Creations(SequenceId),
    Updates(SequenceId),
}

pub struct VimaClient {
    http: HttpClient,
    operations: Url,
    credentials: Credentials,
    redactor: Redactor,
}

impl VimaClient {
    #[must_use]
    pub fn new(http: HttpClient, settings: VimaSettings) -> Self {
        let mut operations = settings.base_url;
        operations.set_path(&format!("{}/operation", operations.path().trim_end_matches('/')));
        let redactor = redactor(&settings.credentials);
        Self { http, operations, credentials: settings.credentials, redactor }
    }

    /// Fetches one page. A record that cannot be parsed is not an error: the page contains it as malformed.
    pub async fn operations(&self, query: &OperationsQuery) -> Result<OperationsPage, ProviderError> {
        self.http.fetch(Endpoint::Operations, &self.redactor, |client| self.request(client, query), read_page).await
    }

    fn request(&self, client: &Client, query: &OperationsQuery) -> RequestBuilder {
        let request = client.get(self.operations.clone()).query(&parameters(query));
        match &self.credentials {
            Credentials::ApiKey(key) => request.query(&[("apikey", key.expose())]),
            Credentials::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
        }
    }
}

fn parameters(query: &OperationsQuery) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("count", query.count.to_string()), ("descending", query.descending.to_string())];
    parameters.extend(query.day.map(|day| ("date", day.to_string())));
    parameters.extend(query.after.map(|cursor| match cursor {
        Cursor::Creations(id) => ("from_operation_create_id", id.to_string()),
        Cursor::Updates(id) => ("from_operation_update_id", id.to_string()),
    }));
    parameters
}

fn redactor(credentials: &Credentials) -> Redactor {
    match credentials {
        Credentials::ApiKey(key) => Redactor::new(&[key]),
        Credentials::Basic { username, password } => {
            let header = Secret::new(STANDARD.encode(format!("{username}:{}", password.expose())));
            Redactor::new(&[password, &header])
        }
    }
}

#[cfg(test)]
mod tests;
