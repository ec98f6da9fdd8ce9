//! Encryption of secrets that must be stored, because they are used and not only compared.
//!
//! The key is a setting and the encrypted secrets are in the database, so that a copy of the database alone discloses none.
//! `AES-256-GCM`; each secret is bound to its owner, so that it cannot be moved to another row.

use std::str::FromStr;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use uuid::Uuid;

/// The first key encrypts, each decrypts: a new key is put before the old one.
#[derive(Clone)]
pub struct SealingKeys(Vec<LessSafeKey>);

/// Random, and never used twice.
pub type NonceBytes = [u8; NONCE_LEN];

/// No key opens it: it was sealed with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it was encrypted with another key: add the previous value of WEBHOOK_ENCRYPTION_KEY after the current one, or rotate the secret"
)]
pub struct OtherKey;

impl SealingKeys {
    /// The nonce, then the ciphertext. `None` if it is too long for the algorithm, which no secret is.
    #[must_use]
    pub fn seal(&self, owner: Uuid, nonce: NonceBytes, secret: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = secret.to_vec();
        let key = self.0.first()?;
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce_used, Aad::from(owner.as_bytes()), &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    pub fn open(&self, owner: Uuid, sealed: &[u8]) -> Result<Vec<u8>, OtherKey> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(OtherKey)?;
        let opened = self.0.iter().find_map(|key| {
            let mut secret = ciphertext.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut secret).ok()?.len();
            secret.truncate(length);
            Some(secret)
        });
        opened.ok_or(OtherKey)
    }
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} hidden keys", self.0.len())
    }
}

impl FromStr for SealingKeys {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = |text: &str| {
            let bytes = hex::decode(text.trim()).ok().filter(|bytes| bytes.len() == 32)?;
            UnboundKey::new(&AES_256_GCM, &bytes).ok().map(LessSafeKey::new)
        };
        let keys: Option<Vec<LessSafeKey>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or("must be 64 hexadecimal digits, or several such keys with commas between them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(digits: &str) -> SealingKeys {
        let keys: Vec<String> = digits.chars().map(|digit| digit.to_string().repeat(64)).collect();
        keys.join(",").parse().expect("keys")
    }

    #[test]
    fn secret_is_opened_by_its_key_and_owner_only() {
        let (owner, nonce) = (Uuid::from_u128(7), [9; NONCE_LEN]);
        let sealed = keys("a").seal(owner, nonce, b"secret").expect("a short secret");
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(keys("a").open(owner, &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(keys("ba").open(owner, &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(keys("b").open(owner, &sealed), Err(OtherKey));
        assert_eq!(keys("a").open(Uuid::from_u128(8), &sealed), Err(OtherKey));
        let mut altered = sealed.clone();
        altered[20] ^= 1;
        for damaged in [&altered[..], &sealed[..11], &sealed[..20], b""] {
            assert_eq!(keys("a").open(owner, damaged), Err(OtherKey));
        }
    }

    #[test]
    fn only_whole_keys_are_accepted() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &format!("{},", "a".repeat(64))] {
            assert!(text.parse::<SealingKeys>().is_err(), "{text}");
        }
    }
}
