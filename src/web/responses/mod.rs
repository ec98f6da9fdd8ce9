//! Parts of responses that several resources share.

pub(in crate::web) mod bulk_preview;
pub(in crate::web) mod period;
pub(in crate::web) mod transaction;
pub(in crate::web) mod waiting;
