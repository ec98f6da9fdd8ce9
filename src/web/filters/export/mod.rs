//! What is exported, and into which file: for exports, and for schedules that order them.

pub(in crate::web) mod from_query;
pub(in crate::web) mod query;
pub(in crate::web) mod request_body;
