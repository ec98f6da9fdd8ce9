//! The response to a request that starts work: 202 and where to follow it.

use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaHeader, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use uuid::Uuid;

const JOBS: &str = "/api/v1/jobs";

/// 202 with `Location`.
pub(in crate::web) struct Accepted<T> {
    body: T,
    location: String,
}

impl<T> Accepted<T> {
    pub(in crate::web) fn at(location: String, body: T) -> Self {
        Self { body, location }
    }

    /// The work is followed at the job; without one, at the list of jobs.
    pub(in crate::web) fn job(job_id: Option<Uuid>, body: T) -> Self {
        Self::at(job_id.map_or_else(|| JOBS.to_owned(), |job_id| format!("{JOBS}/{job_id}")), body)
    }
}

impl<T: ToJSON + Send> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        let response = Json(self.body).with_status(StatusCode::ACCEPTED);
        response.with_header(header::LOCATION, self.location).into_response()
    }
}

impl<T: Type + ToJSON> ApiResponse for Accepted<T> {
    fn meta() -> MetaResponses {
        let location = || MetaHeader {
            name: "Location".to_owned(),
            description: Some("Where the work can be followed.".to_owned()),
            required: true,
            deprecated: false,
            schema: String::schema_ref(),
        };
        let json = Json::<T>::meta().responses.into_iter();
        let accepted = json.map(|json| MetaResponse { status: Some(202), headers: vec![location()], ..json });
        MetaResponses { responses: accepted.collect() }
    }

    fn register(registry: &mut Registry) {
        <Json<T> as Payload>::register(registry);
    }
}
