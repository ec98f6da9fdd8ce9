//! Responses that only browsers need: cookies and redirects.

use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaHeader, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};

/// 201 with `Set-Cookie`.
pub(super) struct CreatedWithCookie<T> {
    pub(super) body: T,
    pub(super) cookie: String,
}

/// 204 with `Set-Cookie`.
pub(super) struct NoContentWithCookie {
    pub(super) cookie: String,
}

/// 303 with `Location` and `Set-Cookie`.
pub(super) struct SeeOther {
    pub(super) location: String,
    pub(super) cookies: Vec<String>,
}

impl<T: ToJSON + Send> IntoResponse for CreatedWithCookie<T> {
    fn into_response(self) -> Response {
        let response = Json(self.body).with_status(StatusCode::CREATED);
        response.with_header(header::SET_COOKIE, self.cookie).into_response()
    }
}

impl IntoResponse for NoContentWithCookie {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.with_header(header::SET_COOKIE, self.cookie).into_response()
    }
}

impl IntoResponse for SeeOther {
    fn into_response(self) -> Response {
        let response = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, self.location);
        // A cached redirect would send an old attempt to the identity provider.
        let response = response.header(header::CACHE_CONTROL, "no-store");
        self.cookies.into_iter().fold(response, |response, cookie| response.header(header::SET_COOKIE, cookie)).finish()
    }
}

impl<T: Type + ToJSON> ApiResponse for CreatedWithCookie<T> {
    fn meta() -> MetaResponses {
        let json = Json::<T>::meta().responses.into_iter();
        let created = json.map(|json| MetaResponse { status: Some(201), headers: vec![set_cookie()], ..json });
        MetaResponses { responses: created.collect() }
    }

    fn register(registry: &mut Registry) {
        <Json<T> as Payload>::register(registry);
    }
}

impl ApiResponse for NoContentWithCookie {
    fn meta() -> MetaResponses {
        without_content(204, "The session has ended; the cookie is deleted.", vec![set_cookie()])
    }

    fn register(_registry: &mut Registry) {}
}

impl ApiResponse for SeeOther {
    fn meta() -> MetaResponses {
        let headers = vec![described("Location", "Where the browser continues."), set_cookie()];
        without_content(303, "The browser continues elsewhere.", headers)
    }

    fn register(_registry: &mut Registry) {}
}

fn without_content(status: u16, description: &'static str, headers: Vec<MetaHeader>) -> MetaResponses {
    let response = MetaResponse { description, status: Some(status), status_range: None, content: vec![], headers };
    MetaResponses { responses: vec![response] }
}

fn set_cookie() -> MetaHeader {
    described("Set-Cookie", "A cookie that scripts cannot read.")
}

fn described(name: &str, description: &str) -> MetaHeader {
    let (name, description) = (name.to_owned(), Some(description.to_owned()));
    MetaHeader { name, description, required: true, deprecated: false, schema: String::schema_ref() }
}
