//! Long answers, written once for as long as what they say has not changed.
//!
//! An hour by hour answer over a month is a quarter of a megabyte of JSON: to write it takes longer than to find out that the
//! sums it is made of still hold. Short answers are not kept, for they are written in no time.

use std::marker::PhantomData;
use std::sync::Arc;

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

use crate::domain::metrics::question::Sum;
use crate::operations::sum_payments::Answer;

const MOST_BYTES: u64 = 32 << 20;
const USUAL_ANSWERS: usize = 500;

/// The long answers that are kept, by what was asked for.
pub(crate) struct WrittenAnswers(Cache<String, Kept, Weight>);

/// An answer, and what it was made of.
#[derive(Clone)]
struct Kept {
    sums: Arc<[Sum]>,
    as_of: [Option<DateTime<Utc>>; 2],
    text: Bytes,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Kept> for Weight {
    fn weight(&self, asked: &String, kept: &Kept) -> u64 {
        (asked.len() + kept.text.len()) as u64
    }
}

impl Default for WrittenAnswers {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL_ANSWERS, MOST_BYTES, Weight))
    }
}

impl WrittenAnswers {
    /// What was written for `asked` before, if it was made of the very same sums; else what `write` makes of them.
    pub(super) fn answer<T: ToJSON>(&self, asked: &Uri, answer: &Answer, write: impl FnOnce() -> T) -> Written<T> {
        let asked = asked.to_string();
        let holds = |kept: &Kept| Arc::ptr_eq(&kept.sums, &answer.sums) && kept.as_of == answer.as_of;
        if let Some(kept) = self.0.get(&asked).filter(holds) {
            return Written { text: kept.text, of: PhantomData };
        }
        let text = Bytes::from(write().to_json_string());
        let kept = Kept { sums: Arc::clone(&answer.sums), as_of: answer.as_of, text: text.clone() };
        self.0.insert(asked, kept);
        Written { text, of: PhantomData }
    }
}

/// A `T`, written as JSON.
pub(super) struct Written<T> {
    text: Bytes,
    of: PhantomData<T>,
}

impl<T: Type> Payload for Written<T> {
    const CONTENT_TYPE: &'static str = "application/json; charset=utf-8";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        Response::builder().header(header::CONTENT_TYPE, Self::CONTENT_TYPE).body(self.text)
    }
}

impl<T: Type> ApiResponse for Written<T> {
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
    use poem_openapi::types::Example;

    use super::*;

    fn answer(sums: &Arc<[Sum]>, as_of: Option<DateTime<Utc>>) -> Answer {
        Answer { sums: Arc::clone(sums), as_of: [as_of, None] }
    }

    #[test]
    fn what_was_written_holds_for_the_very_same_sums_alone() {
        let written = WrittenAnswers::default();
        let uri: Uri = "/api/v1/metrics/trends?from_date=2026-01-15".parse().expect("a path");
        let sums: Arc<[Sum]> = vec![Sum::example()].into();
        let alike: Arc<[Sum]> = vec![Sum::example()].into();
        let other: Uri = "/api/v1/metrics/trends?from_date=2026-01-16".parse().expect("a path");
        let later = Some(DateTime::UNIX_EPOCH);
        for (asked, answer, value, said) in [
            (&uri, answer(&sums, None), 1, "1"),
            (&uri, answer(&sums, None), 2, "1"),
            (&uri, answer(&alike, None), 3, "3"),
            (&uri, answer(&alike, later), 4, "4"),
            (&other, answer(&alike, later), 5, "5"),
            (&uri, answer(&alike, later), 6, "4"),
        ] {
            assert_eq!(written.answer(asked, &answer, || value).text, said);
        }
    }
}
