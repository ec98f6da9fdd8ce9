//! Business alerts: what a rule is about ([`condition`]), when an alert fires and is resolved ([`hysteresis`]), and how often it
//! would have fired ([`backtest`]).
//!
//! Everything here is a pure function of counts and times, so that a rule can be tried on the past before it is saved: the
//! backtest and the evaluation of every minute make the same decisions by the same code.

pub mod backtest;
pub mod condition;
pub mod hysteresis;
pub mod parameters;
pub mod reading;
pub mod rule;
