//! Caches serialized responses until their data changes.
//!
//! Dashboards request the same page of transactions, or the same month by hour, again and again. Computing and serializing
//! it takes many times longer than checking whether its data has changed. Small responses are not cached: they are fast to
//! serialize.

use std::marker::PhantomData;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use poem::http::{Uri, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::db::metrics::data_version::DataVersion;
use crate::domain::access::{Principal, ProjectScope};
use crate::domain::day::DayRange;
use crate::domain::masking::PiiAccess;
use crate::operations::metrics_cache::MetricsAnswer;

const MAX_BYTES: u64 = 32 << 20;
const ESTIMATED_ENTRIES: usize = 500;

pub(crate) struct ResponseCache(Cache<Key, Bytes, Weight>);

/// The request, what the caller may see, and the version of the data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    request: String,
    pii_access: PiiAccess,
    scope: ProjectScope,
    version: CacheVersion,
}

/// What a response depends on besides its request and the access level: while it is the same, so is the response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::web) struct CacheVersion {
    /// The version of the transactions.
    data_version: DataVersion,
    /// How far each source has been read, if the response contains it.
    as_of: [Option<DateTime<Utc>>; 2],
    /// The days that it covers, if they follow from the current time: the same request means other days after midnight.
    days: Option<DayRange>,
    /// Where a period that has not ended is cut.
    until: Option<DateTime<Utc>>,
    /// What else it contains that may change.
    other: Option<String>,
}

impl CacheVersion {
    pub(in crate::web) fn of_metrics(answer: &MetricsAnswer, days: DayRange, other: Option<String>) -> Self {
        Self { data_version: answer.data_version, as_of: answer.as_of, days: Some(days), until: None, other }
    }

    /// For a page of transactions, which does not contain how far the sources have been read, and covers only days that its
    /// request names.
    pub(in crate::web) fn of_transactions(data_version: DataVersion) -> Self {
        Self { data_version, as_of: [None; 2], days: None, until: None, other: None }
    }

    /// For a period that ends at `until`, whose response needs the transactions of `data_version`.
    pub(in crate::web) fn of_period(
        data_version: DataVersion,
        as_of: [Option<DateTime<Utc>>; 2],
        days: DayRange,
        until: DateTime<Utc>,
    ) -> Self {
        Self { data_version, as_of, days: Some(days), until: Some(until), other: None }
    }

    /// The same with what else the response contains that may change.
    pub(in crate::web) fn with(self, other: Option<String>) -> Self {
        Self { other, ..self }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Bytes> for Weight {
    fn weight(&self, key: &Key, text: &Bytes) -> u64 {
        (size_of::<Key>() + key.request.len() + text.len()) as u64
    }
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self(Cache::with_weighter(ESTIMATED_ENTRIES, MAX_BYTES, Weight))
    }
}

impl ResponseCache {
    /// The cached response for the same request, access level and version, or else the result of `make`, for which concurrent
    /// requests wait.
    pub(in crate::web) async fn get_or_insert<T: ToJSON, Error>(
        &self,
        (request, principal): (&Uri, &Principal),
        version: CacheVersion,
        make: impl Future<Output = Result<T, Error>>,
    ) -> Result<CachedJson<T>, Error> {
        let (pii_access, scope) = (PiiAccess::for_role(principal.role), principal.scope.clone());
        let key = Key { request: request.to_string(), pii_access, scope, version };
        let serialized = async { Ok(Bytes::from(make.await?.to_json_string())) };
        let text = self.0.get_or_insert_async(&key, serialized).await?;
        Ok(CachedJson { text, of: PhantomData })
    }
}

/// A `T`, serialized as JSON.
pub(in crate::web) struct CachedJson<T> {
    text: Bytes,
    of: PhantomData<T>,
}

impl<T: Type> Payload for CachedJson<T> {
    const CONTENT_TYPE: &'static str = "application/json; charset=utf-8";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> IntoResponse for CachedJson<T> {
    fn into_response(self) -> Response {
        Response::builder().header(header::CONTENT_TYPE, Self::CONTENT_TYPE).body(self.text)
    }
}

impl<T: Type> ApiResponse for CachedJson<T> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }];
        let said = MetaResponse { description: "", status: Some(200), status_range: None, content, headers: vec![] };
        MetaResponses { responses: vec![said] }
    }

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::domain::access::Role;

    #[tokio::test]
    async fn cached_response_is_used_only_for_the_same_request_access_and_version() {
        let cache = ResponseCache::default();
        let principal = |role| Principal { role, ..Principal::anyone() };
        let uri = |query: &str| format!("/api/v1/transactions?{query}").parse::<Uri>().expect("a path");
        let days = |text: &str| Some(DayRange::single(text.parse().expect(text), Tz::UTC));
        let version =
            |as_of, days| CacheVersion { data_version: DataVersion::default(), as_of, days, until: None, other: None };
        let (none, later) = (version([None; 2], None), version([Some(DateTime::UNIX_EPOCH), None], None));
        let today = version([None; 2], days("2026-01-15"));
        let tomorrow = version([None; 2], days("2026-01-16"));
        let missing = CacheVersion { other: Some("missing".to_owned()), ..today.clone() };
        for (query, role, version, value, said) in [
            ("page=1", Role::Admin, &none, 1, "1"),
            ("page=1", Role::Operator, &none, 2, "1"),
            ("page=1", Role::Viewer, &none, 3, "3"),
            ("page=2", Role::Admin, &none, 4, "4"),
            ("page=1", Role::Admin, &later, 5, "5"),
            ("page=1", Role::Admin, &none, 6, "1"),
            ("page=1", Role::Viewer, &none, 7, "3"),
            ("page=1", Role::Admin, &today, 8, "8"),
            ("page=1", Role::Admin, &tomorrow, 9, "9"),
            ("page=1", Role::Admin, &today, 10, "8"),
            ("page=1", Role::Admin, &missing, 11, "11"),
        ] {
            let (request, principal) = (uri(query), principal(role));
            let response =
                cache.get_or_insert((&request, &principal), version.clone(), async { Ok::<_, ()>(value) }).await;
            assert_eq!(response.expect("a response").text, said, "{query} {role:?} {version:?}");
        }
    }

    #[tokio::test]
    async fn errors_are_not_cached() {
        let cache = ResponseCache::default();
        let (request, principal) = (Uri::from_static("/"), Principal::anyone());
        let version = CacheVersion::of_transactions(DataVersion::default());
        for (made, said) in [(Err("broken"), Err("broken")), (Ok(1), Ok("1")), (Err("broken again"), Ok("1"))] {
            let response = cache.get_or_insert::<i32, _>((&request, &principal), version.clone(), async { made }).await;
            assert_eq!(response.map(|answer| answer.text), said.map(Bytes::from));
        }
    }
}
