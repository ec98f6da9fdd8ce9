//! Logins and the tokens they give.
//!
//! Tokens expire by the clock on the wall, since their holders read `exp` and compare it with theirs.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::{
    chance::{Aspect, grain},
    moment::Moment,
};

use super::client::RESELLER_ID;

/// `clientId` of the login: what `reseller-id` must say on every call.
pub(crate) const CLIENT_ID: &str = RESELLER_ID;

const USER_ID: &str = "3f2a9c44-7d15-4b0e-9a61-2c8d5e7f1a90";

/// The tokens in force.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// When each expires, in seconds since 1970.
    expiries: HashMap<String, i64>,
    given: u32,
}

impl Sessions {
    /// Opens a session and answers the `data` of a login.
    pub(crate) fn open(&mut self, email: &str, lifetime_seconds: u32, alone: bool, now: Moment) -> serde_json::Value {
        if alone {
            self.expiries.clear();
        }
        self.given += 1;
        let begins = now.millis() / 1000;
        let expires = begins + i64::from(lifetime_seconds);
        let signature = grain(u128::from(self.given), Aspect::Reference);
        let claims = json!({
            "userId": USER_ID, "clientId": CLIENT_ID, "email": email, "role": "Reseller",
            "jti": self.given, "iat": begins, "exp": expires,
        });
        let parts = [json!({"alg": "HS256", "typ": "JWT"}), claims, json!(signature)];
        let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        self.expiries.insert(token.clone(), expires);
        json!({
            "userId": USER_ID, "clientId": CLIENT_ID, "role": "Reseller", "email": email,
            "secretKey": format!("sandbox-secret-{signature:016x}"),
            "token": token, "refreshToken": format!("sandbox-refresh-{signature:016x}"),
        })
    }

    /// Why a token is not good, if it is not.
    pub(crate) fn refuses(&self, token: &str, now: Moment) -> Option<&'static str> {
        match self.expiries.get(token) {
            None => Some("invalid token"),
            Some(expires) if *expires <= now.millis() / 1000 => Some("jwt expired"),
            Some(_) => None,
        }
    }

    /// Makes a token worthless.
    pub(crate) fn drop_token(&mut self, token: &str) {
        self.expiries.remove(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_as_long_as_its_exp_says() {
        let now = Moment::parse("2026-01-15T00:00:00Z").unwrap();
        let mut sessions = Sessions::default();
        let data = sessions.open("reseller@example.com", 60, false, now);
        let token = data["token"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["exp"].as_i64(), Some(now.millis() / 1000 + 60));
        assert_eq!(sessions.refuses(token, now.plus(59_999)), None);
        assert_eq!(sessions.refuses(token, now.plus(60_000)), Some("jwt expired"));
        let second = sessions.open("reseller@example.com", 60, true, now);
        assert_eq!(sessions.refuses(token, now), Some("invalid token"));
        sessions.drop_token(second["token"].as_str().unwrap());
        assert!(sessions.refuses(second["token"].as_str().unwrap(), now).is_some());
    }
}
