//! Who may do what.

use serde::{Deserialize, Serialize};

use super::string_enum::string_enum;

string_enum! {
    /// What a key may do. Each role may do what the one before may.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Role {
        /// Read, with personal data masked.
        Viewer = "viewer",
        /// Also start, retry and resolve.
        Operator = "operator",
        /// Also manage keys, pause queues and read raw payloads.
        Admin = "admin",
    }
}

/// Somebody who was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The name of the key.
    pub name: String,
    /// What the key may do.
    pub role: Role,
}
