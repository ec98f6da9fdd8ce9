//! The file of an export as a response: all of it, or the part that `Range` requests (RFC 9110, section 14).

use std::io;
use std::ops::{Bound, Range};

use futures_util::{Stream, TryStreamExt};
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::web::headers::{self, HeaderMapExt};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::download::{TOTAL_COUNT, attachment, content, described};
use super::paced::pace;
use crate::operations::export::open::OpenedExport;
use crate::operations::export::receiver::ReceiverLimits;
use crate::tabular::Format;
use crate::web::http::fails::Failure;
use crate::web::http::problem::{Problem, ProblemCode};

pub(super) struct StoredFile {
    opened: OpenedExport,
    /// `None` if the whole file is sent.
    part: Option<Range<u64>>,
    body: Body,
}

impl StoredFile {
    pub(super) fn new<E: std::error::Error + Send + Sync + 'static>(
        opened: OpenedExport,
        part: Option<Range<u64>>,
        chunks: impl Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        limits: ReceiverLimits,
    ) -> Self {
        Self { opened, part, body: pace(Body::from_bytes_stream(chunks.map_err(io::Error::other)), limits) }
    }
}

impl IntoResponse for StoredFile {
    fn into_response(self) -> Response {
        let Self { opened, part, body } = self;
        let format = Format::from_name(&opened.export.format).unwrap_or_default();
        let response = Response::builder()
            .content_type(format.media_type())
            .header(header::CONTENT_DISPOSITION, attachment(&opened.export.file_name))
            .header(header::CACHE_CONTROL, "private, no-store")
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::ETAG, etag(&opened))
            .header(TOTAL_COUNT, opened.rows);
        let response = match part {
            None => response.header(header::CONTENT_LENGTH, opened.bytes),
            Some(part) => response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {}-{}/{}", part.start, part.end - 1, opened.bytes))
                .header(header::CONTENT_LENGTH, part.end - part.start),
        };
        response.body(body)
    }
}

impl ApiResponse for StoredFile {
    fn meta() -> MetaResponses {
        let headers = || {
            vec![
                described("Content-Disposition", "The name of the file.", true, String::schema_ref()),
                described("X-Total-Count", "The number of rows of the whole file.", true, u64::schema_ref()),
                described("ETag", "Identifies the content of the file, for `If-Range`.", true, String::schema_ref()),
            ]
        };
        let response = |status, description, headers| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: content(),
            headers,
        };
        let mut part_headers = headers();
        part_headers.push(described("Content-Range", "The position of the part.", true, String::schema_ref()));
        let part = response(206, "The requested part of the file.", part_headers);
        MetaResponses { responses: vec![response(200, "The file.", headers()), part] }
    }

    fn register(_registry: &mut Registry) {}
}

/// Each attempt of the job stores a file under a name of its own.
pub(super) fn etag(opened: &OpenedExport) -> String {
    format!("\"{}\"", opened.stored_as)
}

/// The requested part of a file. `None` is the whole file: if there is no `Range`, if it is invalid or has several
/// parts, which a server may ignore, or if the file is no longer the one that `If-Range` names.
pub(super) fn requested_part(
    headers: &HeaderMap,
    etag: &str,
    bytes: u64,
) -> Result<Option<Range<u64>>, RangeNotSatisfiable> {
    let is_current = headers.get(header::IF_RANGE).is_none_or(|known| known == etag);
    let Some(range) = headers.typed_get::<headers::Range>().filter(|_| is_current) else { return Ok(None) };
    // In a file of the greatest length, every valid range is satisfiable.
    if range.satisfiable_ranges(u64::MAX).count() != 1 {
        return Ok(None);
    }
    let part = match range.satisfiable_ranges(bytes).next() {
        Some((Bound::Included(first), Bound::Unbounded)) => first..bytes,
        Some((Bound::Included(first), Bound::Included(last))) if first <= last => {
            first..last.saturating_add(1).min(bytes)
        }
        Some(_) => return Ok(None),
        // A suffix that is longer than the file is the whole file.
        None => 0..bytes,
    };
    if part.start < bytes { Ok(Some(part)) } else { Err(RangeNotSatisfiable { bytes }) }
}

/// The file is shorter than the start of the requested range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RangeNotSatisfiable {
    bytes: u64,
}

impl Failure for RangeNotSatisfiable {
    const CODES: &'static [ProblemCode] = &[ProblemCode::RangeNotSatisfiable];

    fn into_problem(self) -> Problem {
        let problem = Problem::new(ProblemCode::RangeNotSatisfiable, format!("the file has {} bytes", self.bytes));
        match HeaderValue::from_str(&format!("bytes */{}", self.bytes)) {
            Ok(range) => problem.with_header(header::CONTENT_RANGE, range),
            Err(_) => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(
        headers: &[(header::HeaderName, &'static str)],
        bytes: u64,
    ) -> Result<Option<Range<u64>>, RangeNotSatisfiable> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        requested_part(&headers, "\"a\"", bytes)
    }

    #[test]
    fn ranges_are_read_as_in_rfc_9110() {
        let of_range = |range| part(&[(header::RANGE, range)], 100);
        assert_eq!(part(&[], 100), Ok(None));
        for (range, expected) in [
            ("bytes=0-9", 0..10),
            ("bytes=0-0", 0..1),
            ("bytes=90-", 90..100),
            ("bytes=90-500", 90..100),
            ("bytes=-10", 90..100),
            ("bytes=-500", 0..100),
            ("bytes=5-18446744073709551615", 5..100),
        ] {
            assert_eq!(of_range(range), Ok(Some(expected)), "{range}");
        }
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(of_range(range), Err(RangeNotSatisfiable { bytes: 100 }), "{range}");
        }
        for range in ["", "lines=1-2", "bytes=9-3", "bytes=a-b", "bytes=1-2,5-6", "bytes=-", "bytes"] {
            assert_eq!(of_range(range), Ok(None), "{range}");
        }
        for range in ["bytes=0-", "bytes=-5"] {
            assert_eq!(part(&[(header::RANGE, range)], 0), Err(RangeNotSatisfiable { bytes: 0 }), "{range}");
        }
    }

    #[test]
    fn part_of_another_file_is_not_sent() {
        for (known, expected) in [("\"a\"", Some(0..10)), ("\"b\"", None), ("W/\"a\"", None), ("a", None)] {
            let range = part(&[(header::RANGE, "bytes=0-9"), (header::IF_RANGE, known)], 100);
            assert_eq!(range, Ok(expected), "{known}");
        }
    }
}
