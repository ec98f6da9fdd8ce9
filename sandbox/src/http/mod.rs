//! HTTP: routes, fault injection, parameters and responses.

pub(crate) mod fault_injection;
pub(crate) mod json_body;
pub(crate) mod query_params;
pub(crate) mod response;

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, Response, Route, error::MethodNotAllowedError, get, http::StatusCode, post};

use crate::{Sandbox, control, fx, payshack, provider::Provider, vima};

use self::fault_injection::FaultInjection;

pub(crate) fn app(sandbox: &Arc<Sandbox>) -> impl Endpoint<Output = Response> + use<> {
    let with_faults = |provider, routes| FaultInjection::new(routes, Arc::clone(sandbox), provider);
    let app = Route::new()
        .nest("/vima", with_faults(Provider::Vima, vima_routes()))
        .nest("/payshack", with_faults(Provider::PayShack, payshack_routes()))
        .at("/fx/latest", get(fx::latest))
        .nest("/sandbox", control::routes());
    app.data(Arc::clone(sandbox)).catch_all_error(|error| async move { error_response(error) })
}

fn vima_routes() -> Route {
    Route::new().at("/operation", get(vima::routes::operations))
}

fn payshack_routes() -> Route {
    use payshack::routes;
    Route::new()
        .at("/indigate-user-svc/api/v1/auth/login", post(routes::login))
        .at("/indigate-payin-svc/api/v1/payin/transaction/fetch", get(routes::payins))
        .at("/indigate-payout-svc/api/v1/wallet/transactions", get(routes::payouts))
        .at("/indigate-core-svc/api/v1/client/fetch-all-client", get(routes::clients))
        .at("/indigate-core-svc/api/v1/reseller/fetch-all-reseller", get(routes::resellers))
        .at("/indigate-core-svc/api/v1/service-provider/fetch-all-sp", get(routes::service_providers))
}

/// Converts any error, including those of the router, to a JSON response.
pub(crate) fn error_response(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    let reason = if error.is::<MethodNotAllowedError>() { "method not allowed".to_owned() } else { error.to_string() };
    let status = error.status();
    response::error(status, if status == StatusCode::NOT_FOUND { "no such path" } else { &reason })
}
