//! A response that is a file.
//!
//! poem-openapi's `Attachment` was rejected: it has one media type, and the document lists one for each format.

use std::io;

use futures_util::TryStreamExt;
use poem::http::header::{self, HeaderName};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use serde_json::Value;

use super::paced::pace;
use crate::operations::export::receiver::ReceiverLimits;
use crate::operations::export::spec::ExportOutput;
use crate::tabular::Format;

pub(in crate::web) const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
const CSV_EXAMPLE: &str = "id,recon_date,state\r\n01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e,2026-01-15,open\r\n";
const NDJSON_EXAMPLE: &str =
    "{\"id\":\"01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e\",\"recon_date\":\"2026-01-15\",\"state\":\"open\"}\n";

pub(in crate::web) struct Download {
    format: Format,
    file_name: String,
    /// The number of rows, if it is known before the file is sent.
    rows: Option<u64>,
    /// The number of bytes, if it is known before the file is sent.
    bytes: Option<u64>,
    body: Body,
}

impl Download {
    /// Lines are sent while they are read; a workbook is already complete.
    pub(in crate::web) fn new(format: Format, file_name: String, output: ExportOutput, limits: ReceiverLimits) -> Self {
        match output {
            ExportOutput::Lines(lines) => {
                let rows = lines.count.exact.then_some(lines.count.total);
                let body = Body::from_bytes_stream(lines.into_chunks().map_err(io::Error::other));
                Self { format, file_name, rows, bytes: None, body }
            }
            ExportOutput::Workbook(workbook) => {
                let body = pace(Body::from_async_read(tokio::fs::File::from_std(workbook.file)), limits);
                Self { format, file_name, rows: Some(workbook.rows), bytes: Some(workbook.bytes), body }
            }
        }
    }
}

impl IntoResponse for Download {
    fn into_response(self) -> Response {
        let disposition = attachment(&self.file_name);
        let mut response = Response::builder()
            .content_type(self.format.media_type())
            .header(header::CONTENT_DISPOSITION, disposition)
            .header(header::CACHE_CONTROL, "no-store")
            .body(self.body);
        if let Some(rows) = self.rows {
            response.headers_mut().insert(TOTAL_COUNT, rows.into());
        }
        if let Some(bytes) = self.bytes {
            response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
        }
        response
    }
}

/// The `Content-Disposition`. The names of exported files are ASCII and need no quoting (`tabular::file_name`).
pub(in crate::web) fn attachment(file_name: &str) -> String {
    format!("attachment; filename=\"{file_name}\"")
}

/// A media type for each format.
pub(in crate::web) fn content() -> Vec<MetaMediaType> {
    Format::ALL.map(|format| MetaMediaType { content_type: format.media_type(), schema: schema(format) }).into()
}

impl ApiResponse for Download {
    fn meta() -> MetaResponses {
        let headers = vec![
            described(
                "Content-Disposition",
                "The name of the file, which describes its content.",
                true,
                String::schema_ref(),
            ),
            described(
                "X-Total-Count",
                "The number of rows, if it is known before the file is sent.",
                false,
                u64::schema_ref(),
            ),
        ];
        let file = MetaResponse {
            description: "The file.",
            status: Some(200),
            status_range: None,
            content: content(),
            headers,
        };
        MetaResponses { responses: vec![file] }
    }

    fn register(_registry: &mut Registry) {}
}

fn schema(format: Format) -> MetaSchemaRef {
    let text = |example: &str| MetaSchema { example: Some(Value::from(example)), ..MetaSchema::new("string") };
    MetaSchemaRef::Inline(Box::new(match format {
        Format::Csv => text(CSV_EXAMPLE),
        Format::Ndjson => text(NDJSON_EXAMPLE),
        Format::Xlsx => MetaSchema::new_with_format("string", "binary"),
    }))
}

pub(in crate::web) fn described(name: &str, description: &str, required: bool, schema: MetaSchemaRef) -> MetaHeader {
    MetaHeader { name: name.to_owned(), description: Some(description.to_owned()), required, deprecated: false, schema }
}
