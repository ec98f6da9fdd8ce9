//! The control API below `/sandbox`: a test's own view of the model and its hand on it.

mod live;
mod metadata;
mod planting;
mod settings;
mod truth;

use poem::{Route, get, post, put};

pub(crate) fn routes() -> Route {
    Route::new()
        .at("/truth", get(truth::summary))
        .at("/truth/records", get(truth::records))
        .at("/truth/discrepancies", get(truth::discrepancies))
        .at("/faults", get(settings::faults).put(settings::set_faults))
        .at("/switches", get(settings::switches).put(settings::set_switches))
        .at("/live", post(live::do_now).put(live::set_rate))
        .at("/vima/operations", post(planting::plant_operation))
        .at("/vima/operations/:id", poem::patch(planting::change_operation).put(planting::replace_operation))
        .at("/payshack/payins", post(planting::plant_payin))
        .at("/payshack/payins/:id", poem::patch(planting::change_payin))
        .at("/payshack/payouts", post(planting::plant_payout))
        .at("/payshack/payouts/:id", poem::patch(planting::change_payout))
        .at("/payshack/:list", post(metadata::plant_row))
        .at("/payshack/:list/:id", poem::patch(metadata::change_row).delete(metadata::remove_row))
        .at("/fx", put(settings::set_feed))
        .at("/requests", get(settings::requests).delete(settings::forget_requests))
}
