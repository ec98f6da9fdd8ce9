//! The feed's API, which has one call.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use super::wire::{LatestRates, read_rates};
use crate::domain::secret::Secret;
use crate::providers::endpoint::Endpoint;
use crate::providers::error::ProviderError;
use crate::providers::http::HttpClient;
use crate::providers::redaction::Redactor;

/// A shorter query value is a currency or a number, not a key.
const MIN_QUERY_KEY: usize = 4;
/// A shorter path segment is a word, not a key.
const MIN_PATH_KEY: usize = 16;

/// `FX_RATES_URL`. Its query or path may contain a key, so neither is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedUrl(Url);

impl FeedUrl {
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// Every part that may be a key or a password.
    fn secrets(&self) -> Vec<Secret> {
        let query = self.0.query_pairs().filter(|(_, value)| value.len() >= MIN_QUERY_KEY);
        let path = self.0.path().split('/').filter(|segment| segment.len() >= MIN_PATH_KEY);
        let password = self.0.password().into_iter();
        let texts = query.map(|(_, value)| value.into_owned()).chain(path.chain(password).map(str::to_owned));
        texts.map(Secret::new).collect()
    }
}

impl FromStr for FeedUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self(url)),
            _ => Err("must be an http or https URL"),
        }
    }
}

impl fmt::Debug for FeedUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FeedUrl({})", self.0.host_str().unwrap_or_default())
    }
}

pub struct ExchangeRatesClient {
    http: HttpClient,
    url: FeedUrl,
    redactor: Redactor,
}

impl ExchangeRatesClient {
    #[must_use]
    pub fn new(http: HttpClient, url: FeedUrl) -> Self {
        let secrets = url.secrets();
        let redactor = Redactor::new(&secrets.iter().collect::<Vec<_>>());
        Self { http, url, redactor }
    }

    /// Fetches the current rates. A response from which no USD rate can be computed is an error.
    pub async fn latest(&self) -> Result<LatestRates, ProviderError> {
        self.http.fetch(Endpoint::Rates, &self.redactor, |client| client.get(self.url.0.clone()), read_rates).await
    }
}

#[cfg(test)]
mod tests;
