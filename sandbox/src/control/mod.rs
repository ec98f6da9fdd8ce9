//! The control API below `/sandbox`, with which tests inspect and change the sandbox.

mod fixtures;
mod ground_truth;
mod live;
mod metadata;
mod responses;
mod settings;

use poem::{Route, get, post, put};

pub(crate) fn routes() -> Route {
    Route::new()
        .at("/truth", get(ground_truth::summary))
        .at("/truth/records", get(ground_truth::records))
        .at("/truth/discrepancies", get(ground_truth::discrepancies))
        .at("/faults", get(settings::faults).put(settings::set_faults))
        .at("/switches", get(settings::switches).put(settings::set_switches))
        .at("/live", post(live::create_and_change).put(live::set_rate))
        .at("/vima/operations", post(fixtures::insert_operation))
        .at("/vima/operations/:id", poem::patch(fixtures::change_operation).put(fixtures::replace_operation))
        .at("/payshack/payins", post(fixtures::insert_payin))
        .at("/payshack/payins/:id", poem::patch(fixtures::change_payin))
        .at("/payshack/payouts", post(fixtures::insert_payout))
        .at("/payshack/payouts/:id", poem::patch(fixtures::change_payout))
        .at("/payshack/:list", post(metadata::insert_row))
        .at("/payshack/:list/:id", poem::patch(metadata::change_row).delete(metadata::remove_row))
        .at("/fx", put(settings::set_fx_response))
        .at("/responses", get(responses::list).post(responses::add).delete(responses::clear))
        .at("/requests", get(settings::requests).delete(settings::clear_requests))
}
