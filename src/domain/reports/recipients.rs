//! The e-mail addresses that reports may be sent to.
//!
//! Whoever may create a schedule could otherwise send figures to any address, so the operator of the installation lists them.

use std::str::FromStr;

const MAX_ADDRESS_LENGTH: usize = 254;

/// Addresses, and domains written `@example.com`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedRecipients(Vec<String>);

/// The address of a mailbox, without a name, in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.trim().to_lowercase();
        let is_local = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(letter);
        let is_valid = address.len() <= MAX_ADDRESS_LENGTH
            && address.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.chars().all(is_local)
                    && !local.split('.').any(str::is_empty)
                    && is_domain(domain)
            });
        if is_valid { Ok(Self(address)) } else { Err("must be an e-mail address without a name: a@example.com") }
    }
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.split('.').all(is_label)
}

impl FromStr for AllowedRecipients {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let entry = |part: &str| match part.strip_prefix('@') {
            Some(domain) if is_domain(domain) => Ok(part.to_lowercase()),
            Some(_) => Err(format!("{part} is not a domain: write @example.com")),
            None => part.parse::<Address>().map(|address| address.0).map_err(|error| format!("{part} {error}")),
        };
        parts.map(entry).collect::<Result<Vec<String>, String>>().map(Self)
    }
}

impl AllowedRecipients {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn allow(&self, address: &Address) -> bool {
        let of_domain = |entry: &str| entry.starts_with('@') && address.0.ends_with(entry);
        self.0.iter().any(|entry| *entry == address.0 || of_domain(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_addresses_and_domains_are_allowed() {
        let allowed: AllowedRecipients = "Finance@Example.com, @ops.example.com".parse().expect("a list");
        for (address, expected) in [
            ("finance@example.com", true),
            ("FINANCE@EXAMPLE.COM", true),
            ("other@example.com", false),
            ("anyone@ops.example.com", true),
            ("anyone@evil-ops.example.com", false),
            ("anyone@ops.example.com.evil.org", false),
            ("anyone@sub.ops.example.com", false),
        ] {
            assert_eq!(allowed.allow(&address.parse().expect(address)), expected, "{address}");
        }
        assert!(!AllowedRecipients::default().allow(&"a@example.com".parse().expect("an address")));
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            "nobody",
            "@example.com",
            "a@",
            "a b@example.com",
            "Ann <a@example.com>",
            "a@example.com,b@example.com",
            "a@b@example.com",
            "a..b@example.com",
            "a@-example.com",
            "a@example..com",
            "a\r\nBcc:@example.com",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        assert!("a@example.com, @-".parse::<AllowedRecipients>().is_err());
        assert!("nobody".parse::<AllowedRecipients>().is_err_and(|error| error.contains("nobody")));
        assert!("".parse::<AllowedRecipients>().is_ok_and(|allowed| allowed.is_empty()));
    }
}
