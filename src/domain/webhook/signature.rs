//! Secrets of webhooks, and the signatures that receivers verify (Standard Webhooks, symmetric).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::secret::Secret;

const PREFIX: &str = "whsec_";

/// A secret that an endpoint and its receiver share.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As people copy it.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0)))
    }

    fn sign(&self, message_id: &str, timestamp: i64, payload: &str) -> String {
        // Every key length is valid, so the signature is never empty.
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).map(|mac| {
            let content = format!("{message_id}.{timestamp}.{payload}");
            mac.chain_update(content.as_bytes()).finalize().into_bytes().to_vec()
        });
        format!("v1,{}", BASE64_STANDARD.encode(mac.unwrap_or_default()))
    }
}

/// The header `webhook-signature`, with a signature by each secret; `timestamp` is that of the attempt, in seconds.
#[must_use]
pub fn signatures(secrets: &[SigningSecret], message_id: &str, timestamp: i64, payload: &str) -> String {
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(message_id, timestamp, payload)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn signature_is_that_of_the_specification() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret = SigningSecret::new(BASE64_STANDARD.decode(&text[PREFIX.len()..]).expect("base64"));
        assert_eq!(secret.to_text().expose(), text);
        let signed = |secrets: &[SigningSecret]| {
            signatures(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed(std::slice::from_ref(&secret)), expected);
        let both = signed(&[secret, SigningSecret::new(vec![7; 32])]);
        assert!(both.starts_with(&format!("{expected} v1,")), "{both}");
    }
}
