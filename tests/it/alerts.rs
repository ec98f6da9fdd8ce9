//! Business alerts: what fires and what is resolved, by real payments, and what people and channels get of it.

mod delivery;
mod fixture;
mod people;
mod rules;
