//! The one call of a feed.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use super::wire::{LatestRates, read_rates};
use crate::domain::secret::Secret;
use crate::providers::error::ProviderError;
use crate::providers::http::HttpClient;
use crate::providers::redaction::Redactor;

/// What is shorter in a query is no key but a currency or a number.
const SHORTEST_KEY_IN_QUERY: usize = 4;
/// What is shorter in a path is no key but a word of the feed's.
const SHORTEST_KEY_IN_PATH: usize = 16;

/// Where a feed is (`FX_RATES_URL`). Its query, or its path, may hold a key, so it is shown without either.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedUrl(Url);

impl FeedUrl {
    /// Whatever in it may be a key or a password.
    fn secrets(&self) -> Vec<Secret> {
        let query = self.0.query_pairs().filter(|(_, value)| value.len() >= SHORTEST_KEY_IN_QUERY);
        let path = self.0.path().split('/').filter(|segment| segment.len() >= SHORTEST_KEY_IN_PATH);
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
            _ => Err("must be an http or https address"),
        }
    }
}

impl fmt::Debug for FeedUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FeedUrl({})", self.0.host_str().unwrap_or_default())
    }
}

/// Asks a feed.
pub struct ExchangeRatesClient {
    http: HttpClient,
    url: FeedUrl,
    redactor: Redactor,
}

impl ExchangeRatesClient {
    /// A client of the feed at `url`.
    #[must_use]
    pub fn new(http: HttpClient, url: FeedUrl) -> Self {
        let secrets = url.secrets();
        let redactor = Redactor::new(&secrets.iter().collect::<Vec<_>>());
        Self { http, url, redactor }
    }

    /// The rates as they are now.
    ///
    /// # Errors
    /// [`ProviderError`], once the request has been tried as often as it may be: also where nothing of the answer can be
    /// said in US dollars.
    pub async fn latest(&self) -> Result<LatestRates, ProviderError> {
        self.http.fetch(&self.redactor, |client| client.get(self.url.0.clone()), read_rates).await
    }
}

#[cfg(test)]
mod tests;
