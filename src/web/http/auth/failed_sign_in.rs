//! Reports sign-ins at the identity provider that failed: to the log, and to the audit log, which records a limited number.
//! Whatever else must know of them is called here.

use std::sync::Arc;

use poem::Request;
use poem::http::StatusCode;

use super::audit::Auditor;
use super::policy;
use crate::operations::audit::AuditContext;
use crate::operations::oidc::SignInError;

/// Errors of the identity provider, or of the settings, are no attempt of anybody.
pub(in crate::web) fn report(auditor: &Arc<Auditor>, audit: &AuditContext, request: &Request, error: &SignInError) {
    let (status, reason) = match error {
        SignInError::Unavailable(_) | SignInError::ClientRefused(_) => return,
        SignInError::InvalidToken(reason) => (StatusCode::UNAUTHORIZED, reason.as_str()),
        SignInError::NoRole => (StatusCode::FORBIDDEN, ""),
        SignInError::OtherAttempt | SignInError::CodeRefused | SignInError::NotSignedIn(_) => {
            (StatusCode::UNAUTHORIZED, "")
        }
    };
    tracing::warn!(%error, reason, "sign-in at the identity provider failed");
    if let Some(policy) = policy::of_operation(audit.operation) {
        auditor.refused(audit.clone(), policy, request, status);
    }
}
