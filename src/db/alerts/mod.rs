//! Business alerts: their rules, the alerts that were raised, and what both are made from.

pub mod figures;
pub mod log;
pub mod notifications;
pub mod rules;
pub mod states;
