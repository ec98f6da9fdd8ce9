//! The sandbox as its clients meet it: over HTTP.

mod control;
mod faults;
mod lists;
mod running;
mod truth;
