//! The calls of Vima: there is one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDate;
use reqwest::{Client, RequestBuilder, Url};

use super::wire::{OperationsPage, read_page};
use crate::domain::secret::Secret;
use crate::domain::version::SequenceId;
use crate::providers::error::ProviderError;
use crate::providers::http::HttpClient;
use crate::providers::redaction::Redactor;

/// Where Vima is, and how it knows us.
#[derive(Debug, Clone)]
pub struct VimaSettings {
    /// Up to and without `/operation` (`VIMA_BASE_URL`; there is no default: it is part of the account).
    pub base_url: Url,
    /// What we show.
    pub credentials: Credentials,
}

/// How Vima knows us.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `VIMA_API_KEY`. Vima wants it in the address, so no address may be shown.
    ApiKey(Secret),
    /// HTTP Basic.
    Basic {
        /// `VIMA_USERNAME`.
        username: String,
        /// `VIMA_PASSWORD`.
        password: Secret,
    },
}

/// Which operations are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationsQuery {
    /// Only those created on this UTC day.
    pub day: Option<NaiveDate>,
    /// Only those after (or from, it is unknown which) a place in one of the two orders; a lower bound even where the
    /// newest come first.
    pub after: Option<Cursor>,
    /// How many at most; Vima knows no more than 100, and has sent more than it was asked for.
    pub count: u32,
    /// The newest first.
    pub descending: bool,
}

impl Default for OperationsQuery {
    fn default() -> Self {
        Self { day: None, after: None, count: 100, descending: false }
    }
}

/// A place in one of Vima's two orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// In the order of creation.
    Creations(SequenceId),
    /// In the order of the last change.
    Updates(SequenceId),
}

/// Asks Vima.
pub struct VimaClient {
    http: HttpClient,
    operations: Url,
    credentials: Credentials,
    redactor: Redactor,
}

impl VimaClient {
    /// A client of the account in `settings`.
    #[must_use]
    pub fn new(http: HttpClient, settings: VimaSettings) -> Self {
        let mut operations = settings.base_url;
        operations.set_path(&format!("{}/operation", operations.path().trim_end_matches('/')));
        let redactor = redactor(&settings.credentials);
        Self { http, operations, credentials: settings.credentials, redactor }
    }

    /// One page of operations, the oldest first unless asked otherwise.
    ///
    /// # Errors
    /// [`ProviderError`], once the request has been tried as often as it may be. A record that cannot be read is none:
    /// it is in the page, as malformed.
    pub async fn operations(&self, query: &OperationsQuery) -> Result<OperationsPage, ProviderError> {
        self.http.fetch(&self.redactor, |client| self.request(client, query), read_page).await
    }

    fn request(&self, client: &Client, query: &OperationsQuery) -> RequestBuilder {
        let request = client.get(self.operations.clone()).query(&parameters(query));
        match &self.credentials {
            Credentials::ApiKey(key) => request.query(&[("apikey", key.expose())]),
            Credentials::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
        }
    }
}

/// Vima's names for what is asked.
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
