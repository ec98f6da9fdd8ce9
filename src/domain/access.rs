//! Roles, and the caller that a key identifies.

use serde::{Deserialize, Serialize};

use super::string_enum::string_enum;

string_enum! {
    /// The permissions of a key. Each role includes the ones before it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Role {
        /// May read, with personal data masked.
        Viewer = "viewer",
        /// May also read personal data, start and retry jobs, and resolve discrepancies.
        Operator = "operator",
        /// May also manage keys, pause queues and read raw payloads.
        Admin = "admin",
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The name of the key.
    pub name: String,
    pub role: Role,
}
