//! Verifies the audit log.

use sqlx::PgPool;

use super::finding::Finding;
use crate::operations::verify_audit::{AuditPosition, verify_audit};

pub(super) async fn check_audit(pool: &PgPool, remembered: Option<&AuditPosition>) -> Finding {
    let verified = match verify_audit(pool, remembered).await {
        Ok(verified) => verified,
        Err(error) => return Finding::Failed(format!("audit log: {error}")),
    };
    let since = verified.anchor.map_or_else(
        || "nothing has expired".to_owned(),
        |anchor| format!("the entries up to {} have expired", anchor.sequence),
    );
    let erased = match verified.erased {
        0 => String::new(),
        erased => format!("; personal data was erased in {erased}"),
    };
    Finding::Ok(format!(
        "audit log: {} entries form an unbroken chain, {since}{erased}; its head is {} (keep it elsewhere, and compare with \
         --after)",
        verified.entries, verified.head
    ))
}
