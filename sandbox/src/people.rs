//! Made-up payers and beneficiaries, each the fixed property of a record's id.

use crate::chance::{Aspect, grain, pick};

const FIRST_NAMES: [&str; 16] = [
    "Asha", "Vikram", "Meera", "Rohan", "Kavya", "Arjun", "Divya", "Nikhil", "Priya", "Sanjay", "Leela", "Farhan",
    "Anita", "Manoj", "Tara", "Imran",
];
const LAST_NAMES: [&str; 12] =
    ["Rao", "Sharma", "Iyer", "Khan", "Das", "Patel", "Nair", "Gupta", "Singh", "Menon", "Joshi", "Bose"];

/// A person who does not exist.
#[derive(Debug)]
pub(crate) struct Person {
    first: &'static str,
    last: &'static str,
    number: u64,
    with_nul: bool,
}

impl Person {
    /// The person of a record; with `with_nul` the first name carries a NUL, as real ones sometimes do.
    pub(crate) fn of(id: u128, with_nul: bool) -> Self {
        let grain = grain(id, Aspect::Payer);
        let (first, last) = (pick(&FIRST_NAMES, grain), pick(&LAST_NAMES, grain >> 8));
        Self { first, last, number: (grain >> 16) % 100, with_nul }
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
