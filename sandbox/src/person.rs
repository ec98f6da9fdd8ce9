//! Invented payers and beneficiaries, derived from record ids.

use crate::id_hash::{Salt, hash, pick};

const FIRST_NAMES: [&str; 16] = [
    "Asha", "Vikram", "Meera", "Rohan", "Kavya", "Arjun", "Divya", "Nikhil", "Priya", "Sanjay", "Leela", "Farhan",
    "Anita", "Manoj", "Tara", "Imran",
];
const LAST_NAMES: [&str; 12] =
    ["Rao", "Sharma", "Iyer", "Khan", "Das", "Patel", "Nair", "Gupta", "Singh", "Menon", "Joshi", "Bose"];

#[derive(Debug)]
pub(crate) struct Person {
    first: &'static str,
    last: &'static str,
    number: u64,
    with_nul: bool,
}

impl Person {
    /// `with_nul` appends a NUL to the first name, as real records sometimes contain.
    pub(crate) fn from_id(id: u128, with_nul: bool) -> Self {
        let hash = hash(id, Salt::Payer);
        let (first, last) = (pick(&FIRST_NAMES, hash), pick(&LAST_NAMES, hash >> 8));
        Self { first, last, number: (hash >> 16) % 100, with_nul }
    }

    pub(crate) fn first(&self) -> String {
        format!("{}{}", self.first, if self.with_nul { "\0" } else { "" })
    }

    pub(crate) fn last(&self) -> &'static str {
        self.last
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.first(), self.last)
    }

    pub(crate) fn email(&self) -> String {
        format!("{}.{}{}@example.com", self.first.to_lowercase(), self.last.to_lowercase(), self.number)
    }

    pub(crate) fn phone(&self) -> String {
        format!("90000000{:02}", self.number)
    }
}
