//! Masks payers' personal data: enough remains to distinguish two payers, too little to identify one.

mod text;

use serde_json::Value;

use self::text::mask_text;
use super::access::Role;
use super::string_enum::string_enum;

string_enum! {
    /// Whether personal data is shown in full or masked.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum PiiAccess {
        Full = "whole",
        Masked = "masked",
    }
}

impl PiiAccess {
    #[must_use]
    pub fn for_role(role: Role) -> Self {
        if role < Role::Operator { Self::Masked } else { Self::Full }
    }

    #[must_use]
    pub fn email(self, email: Option<String>) -> Option<String> {
        self.show(email, mask_email)
    }

    #[must_use]
    pub fn phone(self, phone: Option<String>) -> Option<String> {
        self.show(phone, mask_phone)
    }

    #[must_use]
    pub fn name(self, name: Option<String>) -> Option<String> {
        self.show(name, mask_name)
    }

    /// The id of a person or an account.
    #[must_use]
    pub fn person_id(self, id: Option<String>) -> Option<String> {
        self.show(id, mask_person_id)
    }

    /// Text that people or providers wrote.
    #[must_use]
    pub fn text(self, text: String) -> String {
        match self {
            Self::Full => text,
            Self::Masked => mask_text(&text),
        }
    }

    /// The texts within JSON.
    #[must_use]
    pub fn json(self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, self.json(value))).collect(),
            other => other,
        }
    }

    fn show(self, text: Option<String>, mask: fn(&str) -> String) -> Option<String> {
        match self {
            Self::Full => text,
            Self::Masked => text.as_deref().map(mask),
        }
    }
}

/// `s***@example.com`: keeps the first character and the domain. Also for UPI addresses (`s***@upi`).
fn mask_email(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{domain}", mask_name(local)),
        None => mask_name(email),
    }
}

/// `******3341`: keeps the last four characters, or none if there are at most eight.
fn mask_phone(phone: &str) -> String {
    let characters: Vec<char> = phone.chars().collect();
    let shown = if characters.len() > 8 { 4 } else { 0 };
    let hidden = characters.len() - shown;
    "*".repeat(hidden) + &characters[hidden..].iter().collect::<String>()
}

/// Often a phone number or an e-mail address.
fn mask_person_id(id: &str) -> String {
    if id.contains('@') { mask_email(id) } else { mask_phone(id) }
}

/// `S***`: keeps the first character.
fn mask_name(name: &str) -> String {
    name.chars().take(1).chain("***".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_get_masked_data() {
        let shown = |role: Role| PiiAccess::for_role(role).name(Some("Sunita Rao".to_owned())).expect("a name");
        assert_eq!(Role::ALL.map(shown), ["S***", "Sunita Rao", "Sunita Rao"]);
        assert_eq!(PiiAccess::Masked.email(None), None);
    }

    #[test]
    fn emails_keep_first_character_and_domain() {
        for (address, masked) in [
            ("someone@example.com", "s***@example.com"),
            ("a@b.co", "a***@b.co"),
            ("someone@upi", "s***@upi"),
            ("no address", "n***"),
            ("@example.com", "***@example.com"),
            ("été@example.com", "é***@example.com"),
            ("odd@name@example.com", "o***@example.com"),
        ] {
            assert_eq!(mask_email(address), masked);
        }
    }

    #[test]
    fn phone_numbers_keep_last_four_digits() {
        for (number, masked) in [
            ("9876543341", "******3341"),
            ("+919876543341", "*********3341"),
            ("123456789", "*****6789"),
            ("12345678", "********"),
            ("", ""),
        ] {
            assert_eq!(mask_phone(number), masked);
        }
    }

    #[test]
    fn names_keep_first_character() {
        for (name, masked) in [("Sunita Rao", "S***"), ("", "***"), ("Ж", "Ж***")] {
            assert_eq!(mask_name(name), masked);
        }
    }
}
