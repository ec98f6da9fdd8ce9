//! Business alerts: [`rules`] that people set, [`log`] of what was raised, and [`backtest`] of a rule before it is saved.

mod backtest;
mod log;
mod rules;
mod schema;

use poem_openapi::OpenApi;

use self::backtest::BacktestApi;
use self::log::AlertsApi;
use self::rules::AlertRulesApi;

pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (AlertRulesApi, BacktestApi, AlertsApi)
}
