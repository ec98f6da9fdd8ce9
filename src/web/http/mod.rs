//! What every resource is built from: requests, responses, errors, authentication and the OpenAPI document. It does not know
//! any resource.

pub(crate) mod accepted;
pub mod auth;
pub(crate) mod body;
pub(crate) mod client_address;
pub(crate) mod connection;
pub(crate) mod cors;
pub(crate) mod entity_tag;
pub(crate) mod fails;
pub(crate) mod fields;
pub(crate) mod hardening;
pub(crate) mod idempotency;
pub(crate) mod limits;
mod matched_route;
pub(crate) mod middleware;
pub(crate) mod open_connections;
pub mod openapi;
pub(crate) mod pagination;
pub(crate) mod parameters;
pub(crate) mod parse_field;
pub(crate) mod path;
pub mod problem;
pub(crate) mod query;
pub(crate) mod response_cache;
pub(crate) mod schema;
pub(crate) mod server;
