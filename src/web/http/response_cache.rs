//! Answers that are written once, for as long as what they say has not changed.
//!
//! Dashboards ask for the same page of payments, or the same month hour by hour, again and again. To find and write it takes
//! many times as long as to find out that nothing of what it is made of has changed. What is short is not kept: it is
//! written in no time.

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
use crate::domain::access::Principal;
use crate::domain::masking::PiiAccess;
use crate::operations::metrics_cache::MetricsAnswer;

const MOST_BYTES: u64 = 32 << 20;
const USUAL_ANSWERS: usize = 500;

/// The answers that are kept.
pub(crate) struct ResponseCache(Cache<Key, Bytes, Weight>);

/// What was asked for, by whom as far as it matters, and what the answer is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    asked: String,
    sight: PiiAccess,
    made_of: CacheVersion,
}

/// What an answer is made of: as long as that is the same, so is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::web) struct CacheVersion {
    /// The payments.
    edition: DataVersion,
    /// How far each source has been read, where the answer tells it.
    as_of: [Option<DateTime<Utc>>; 2],
}

impl From<&MetricsAnswer> for CacheVersion {
    fn from(answer: &MetricsAnswer) -> Self {
        Self { edition: answer.data_version, as_of: answer.as_of }
    }
}

/// A page of payments, which tells nothing of how far the sources have been read.
impl From<DataVersion> for CacheVersion {
    fn from(edition: DataVersion) -> Self {
        Self { edition, as_of: [None; 2] }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Bytes> for Weight {
    fn weight(&self, key: &Key, text: &Bytes) -> u64 {
        (size_of::<Key>() + key.asked.len() + text.len()) as u64
    }
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL_ANSWERS, MOST_BYTES, Weight))
    }
}

impl ResponseCache {
    /// What was written before of the same, for somebody who may see as much; else what `make` makes of it. Whoever asks for
    /// it meanwhile waits for that.
    pub(in crate::web) async fn answer<T: ToJSON, Error>(
        &self,
        (asked, principal): (&Uri, &Principal),
        made_of: CacheVersion,
        make: impl Future<Output = Result<T, Error>>,
    ) -> Result<CachedJson<T>, Error> {
        let key = Key { asked: asked.to_string(), sight: PiiAccess::for_role(principal.role), made_of };
        let making = async { Ok(Bytes::from(make.await?.to_json_string())) };
        let text = self.0.get_or_insert_async(&key, making).await?;
        Ok(CachedJson { text, of: PhantomData })
    }
}

/// A `T`, written as JSON.
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
    use super::*;
    use crate::domain::access::Role;

    #[tokio::test]
    async fn what_was_written_holds_for_the_same_alone() {
        let written = ResponseCache::default();
        let principal = |role| Principal { name: "somebody".to_owned(), role };
        let uri = |query: &str| format!("/api/v1/transactions?{query}").parse::<Uri>().expect("a path");
        let (none, later) = ([None; 2], [Some(DateTime::UNIX_EPOCH), None]);
        for (query, role, as_of, value, said) in [
            ("page=1", Role::Admin, none, 1, "1"),
            ("page=1", Role::Operator, none, 2, "1"),
            ("page=1", Role::Viewer, none, 3, "3"),
            ("page=2", Role::Admin, none, 4, "4"),
            ("page=1", Role::Admin, later, 5, "5"),
            ("page=1", Role::Admin, none, 6, "1"),
            ("page=1", Role::Viewer, none, 7, "3"),
        ] {
            let (asked, principal) = (uri(query), principal(role));
            let made_of = CacheVersion { edition: DataVersion::default(), as_of };
            let answer = written.answer((&asked, &principal), made_of, async { Ok::<_, ()>(value) }).await;
            assert_eq!(answer.expect("an answer").text, said, "{query} {role:?} {as_of:?}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_made_is_not_kept() {
        let written = ResponseCache::default();
        let (asked, principal) = (Uri::from_static("/"), Principal { name: "somebody".to_owned(), role: Role::Admin });
        let made_of = CacheVersion { edition: DataVersion::default(), as_of: [None; 2] };
        for (made, said) in [(Err("broken"), Err("broken")), (Ok(1), Ok("1")), (Err("broken again"), Ok("1"))] {
            let answer = written.answer::<i32, _>((&asked, &principal), made_of, async { made }).await;
            assert_eq!(answer.map(|answer| answer.text), said.map(Bytes::from));
        }
    }
}
