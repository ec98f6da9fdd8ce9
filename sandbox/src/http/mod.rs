//! The HTTP face: routes, the layer that lets requests go wrong, answers and parameters.

pub(crate) mod answer;
pub(crate) mod faulty;
pub(crate) mod params;
pub(crate) mod posted;

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, Response, Route, error::MethodNotAllowedError, get, http::StatusCode, post};

use crate::{Sandbox, control, faults::Provider, fx, payshack, vima};

use self::{answer::refusal, faulty::Faulty};

/// Everything the sandbox answers.
pub(crate) fn app(sandbox: &Arc<Sandbox>) -> impl Endpoint<Output = Response> + use<> {
    let faulty = |provider, routes| Faulty::new(routes, Arc::clone(sandbox), provider);
    let app = Route::new()
        .nest("/vima", faulty(Provider::Vima, vima_routes()))
        .nest("/payshack", faulty(Provider::PayShack, payshack_routes()))
        .at("/fx/latest", get(fx::latest))
        .nest("/sandbox", control::routes());
    app.data(Arc::clone(sandbox)).catch_all_error(|error| async move { error_answer(error) })
}

fn vima_routes() -> Route {
    Route::new().at("/operation", get(vima::routes::operations))
}

fn payshack_routes() -> Route {
    use payshack::routes as calls;
    Route::new()
        .at("/indigate-user-svc/api/v1/auth/login", post(calls::login))
        .at("/indigate-payin-svc/api/v1/payin/transaction/fetch", get(calls::payins))
        .at("/indigate-payout-svc/api/v1/wallet/transactions", get(calls::payouts))
        .at("/indigate-core-svc/api/v1/client/fetch-all-client", get(calls::clients))
        .at("/indigate-core-svc/api/v1/reseller/fetch-all-reseller", get(calls::resellers))
        .at("/indigate-core-svc/api/v1/service-provider/fetch-all-sp", get(calls::service_providers))
}

/// Errors as answers; those of the router itself in JSON like every other.
pub(crate) fn error_answer(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    let why = if error.is::<MethodNotAllowedError>() { "method not allowed".to_owned() } else { error.to_string() };
    let status = error.status();
    refusal(status, if status == StatusCode::NOT_FOUND { "no such path" } else { &why })
}
