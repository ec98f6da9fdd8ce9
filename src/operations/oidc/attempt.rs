//! One attempt to sign in, from the redirect to the identity provider until the browser comes back.
//!
//! The browser keeps the only secret, in a cookie; `state`, `nonce` and the PKCE verifier follow from it. So the server keeps
//! nothing: an endpoint that anyone may call cannot fill a table, and each web process can complete what another has begun.
//! Rejected: a table of attempts, for the first reason, and a signed cookie, which needs a key and its rotation.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::secret::Secret;

pub struct SignInAttempt(Secret);

impl SignInAttempt {
    #[must_use]
    pub fn random() -> Self {
        Self(Secret::new(hex::encode(rand::random::<[u8; 32]>())))
    }

    /// The attempt whose secret the browser sends back.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        Self(Secret::new(secret))
    }

    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.expose()
    }

    pub(super) fn state(&self) -> CsrfToken {
        CsrfToken::new(self.derive("state"))
    }

    pub(super) fn nonce(&self) -> Nonce {
        Nonce::new(self.derive("nonce"))
    }

    pub(super) fn pkce_verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.derive("pkce"))
    }

    /// Whether the identity provider sent back the state of this attempt.
    pub(super) fn has_state(&self, state: &str) -> bool {
        self.derive("state").as_bytes().ct_eq(state.as_bytes()).into()
    }

    /// 43 characters, the least that PKCE allows.
    fn derive(&self, purpose: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{purpose}:{}", self.secret())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_an_attempt_are_stable_and_differ_from_each_other() {
        let (attempt, other) = (SignInAttempt::random(), SignInAttempt::random());
        let again = SignInAttempt::from_secret(attempt.secret());
        let values = [attempt.derive("state"), attempt.derive("nonce"), attempt.derive("pkce"), other.derive("state")];
        for (index, value) in values.iter().enumerate() {
            assert_eq!(value.len(), 43);
            assert!(!values[..index].contains(value), "{values:?}");
        }
        assert!(again.has_state(attempt.state().secret()));
        for wrong in ["", "x", other.state().secret(), attempt.nonce().secret()] {
            assert!(!attempt.has_state(wrong), "{wrong}");
        }
    }
}
