//! What a viewer sees of whoever paid: enough to tell two payers apart, too little to know who they are.

use serde::{Deserialize, Serialize};

use super::access::Role;

/// Whether personal data is shown as it is, or so that nobody is known by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PiiAccess {
    #[serde(rename = "whole")]
    Full,
    /// Masked.
    Masked,
}

impl PiiAccess {
    /// What somebody of this role may see.
    #[must_use]
    pub fn for_role(role: Role) -> Self {
        if role < Role::Operator { Self::Masked } else { Self::Full }
    }

    /// An address of whoever paid.
    #[must_use]
    pub fn email(self, address: Option<String>) -> Option<String> {
        self.show(address, mask_address)
    }

    /// A telephone number.
    #[must_use]
    pub fn phone(self, number: Option<String>) -> Option<String> {
        self.show(number, mask_number)
    }

    /// A name.
    #[must_use]
    pub fn name(self, name: Option<String>) -> Option<String> {
        self.show(name, mask_name)
    }

    fn show(self, text: Option<String>, mask: fn(&str) -> String) -> Option<String> {
        match self {
            Self::Full => text,
            Self::Masked => text.as_deref().map(mask),
        }
    }
}

/// `s***@example.com`: the first character, and the domain. Of a VPA likewise (`s***@upi`).
fn mask_address(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{domain}", mask_name(local)),
        None => mask_name(address),
    }
}

/// `******3341`: the last four digits, of a number that has more than twice as many characters.
fn mask_number(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    let shown = if characters.len() > 8 { 4 } else { 0 };
    let hidden = characters.len() - shown;
    "*".repeat(hidden) + &characters[hidden..].iter().collect::<String>()
}

/// `S***`: the first character.
fn mask_name(name: &str) -> String {
    name.chars().take(1).chain("***".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_only_read_sees_no_person() {
        let shown = |role: Role| PiiAccess::for_role(role).name(Some("Sunita Rao".to_owned())).expect("a name");
        assert_eq!(Role::ALL.map(shown), ["S***", "Sunita Rao", "Sunita Rao"]);
        assert_eq!(PiiAccess::Masked.email(None), None);
    }

    #[test]
    fn addresses_keep_their_first_character_and_domain() {
        for (address, masked) in [
            ("someone@example.com", "s***@example.com"),
            ("a@b.co", "a***@b.co"),
            ("someone@upi", "s***@upi"),
            ("no address", "n***"),
            ("@example.com", "***@example.com"),
            ("été@example.com", "é***@example.com"),
            ("odd@name@example.com", "o***@example.com"),
        ] {
            assert_eq!(mask_address(address), masked);
        }
    }

    #[test]
    fn numbers_keep_their_last_four_digits() {
        for (number, masked) in [
            ("9876543341", "******3341"),
            ("+919876543341", "*********3341"),
            ("123456789", "*****6789"),
            ("12345678", "********"),
            ("", ""),
        ] {
            assert_eq!(mask_number(number), masked);
        }
    }

    #[test]
    fn names_keep_their_first_character() {
        for (name, masked) in [("Sunita Rao", "S***"), ("", "***"), ("Ж", "Ж***")] {
            assert_eq!(mask_name(name), masked);
        }
    }
}
