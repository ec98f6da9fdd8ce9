//! Logins and access tokens.
//!
//! Tokens expire by the system clock, because clients compare `exp` with their own clock.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::{
    id_hash::{Salt, hash},
    timestamp::Timestamp,
};

use super::client::RESELLER_ID;

/// `clientId` of the login, which every call must send in the header `reseller-id`.
pub(crate) const CLIENT_ID: &str = RESELLER_ID;

const USER_ID: &str = "3f2a9c44-7d15-4b0e-9a61-2c8d5e7f1a90";

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Expiry of each valid token, in seconds since the Unix epoch.
    expiries: HashMap<String, i64>,
    issued: u32,
}

impl Sessions {
    /// Creates a session and returns the `data` of the login response.
    pub(crate) fn create(
        &mut self,
        email: &str,
        lifetime_seconds: u32,
        single_session: bool,
        now: Timestamp,
    ) -> serde_json::Value {
        if single_session {
            self.expiries.clear();
        }
        self.issued += 1;
        let issued_at = now.millis() / 1000;
        let expires_at = issued_at + i64::from(lifetime_seconds);
        let signature = hash(u128::from(self.issued), Salt::Reference);
        let claims = json!({
            "userId": USER_ID, "clientId": CLIENT_ID, "email": email, "role": "Reseller",
            "jti": self.issued, "iat": issued_at, "exp": expires_at,
        });
        let parts = [json!({"alg": "HS256", "typ": "JWT"}), claims, json!(signature)];
        let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        self.expiries.insert(token.clone(), expires_at);
        json!({
            "userId": USER_ID, "clientId": CLIENT_ID, "role": "Reseller", "email": email,
            "secretKey": format!("sandbox-secret-{signature:016x}"),
            "token": token, "refreshToken": format!("sandbox-refresh-{signature:016x}"),
        })
    }

    /// Why a token is invalid; `None` if it is valid.
    pub(crate) fn rejection(&self, token: &str, now: Timestamp) -> Option<&'static str> {
        match self.expiries.get(token) {
            None => Some("invalid token"),
            Some(expires_at) if *expires_at <= now.millis() / 1000 => Some("jwt expired"),
            Some(_) => None,
        }
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.expiries.remove(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_valid_until_its_exp() {
        let now = Timestamp::parse("2026-01-15T00:00:00Z").unwrap();
        let mut sessions = Sessions::default();
        let data = sessions.create("reseller@example.com", 60, false, now);
        let token = data["token"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["exp"].as_i64(), Some(now.millis() / 1000 + 60));
        assert_eq!(sessions.rejection(token, now.plus_millis(59_999)), None);
        assert_eq!(sessions.rejection(token, now.plus_millis(60_000)), Some("jwt expired"));
        let second = sessions.create("reseller@example.com", 60, true, now);
        assert_eq!(sessions.rejection(token, now), Some("invalid token"));
        sessions.revoke(second["token"].as_str().unwrap());
        assert!(sessions.rejection(second["token"].as_str().unwrap(), now).is_some());
    }
}
