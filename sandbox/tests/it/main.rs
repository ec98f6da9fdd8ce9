//! Tests of the sandbox over HTTP.

mod control_api;
mod faults;
mod ground_truth;
mod harness;
mod provider_apis;
mod responses;
