//! API keys, browser sessions, the audit log, the key that signs cursors, and idempotent requests.

pub mod api_keys;
pub mod audit_entries;
pub mod audit_log;
pub mod cursor_key;
pub mod idempotent_requests;
pub mod sessions;
