//! A digest of the parsers, to tell payments apart that different releases made of the same record.
//!
//! It is computed from the source text by the compiler: a number that has to be increased by hand would be forgotten. A change
//! that means nothing, as of a comment, only counts as new rules that agree with the old ones.

/// FNV-1a, which needs no library at compile time; the digest only has to differ.
pub(super) const fn digest(texts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut text = 0;
    while text < texts.len() {
        let bytes = texts[text].as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
            index += 1;
        }
        text += 1;
    }
    hash
}

/// The parsers that all providers use.
pub(super) const SHARED: u64 = digest(&[
    include_str!("field.rs"),
    include_str!("field/key.rs"),
    include_str!("rescue.rs"),
    include_str!("structure.rs"),
    include_str!("../domain/money.rs"),
    include_str!("../domain/status.rs"),
    include_str!("../domain/transaction.rs"),
    include_str!("../domain/version.rs"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_depends_on_every_text() {
        assert_eq!(digest(&["ab", "c"]), digest(&["ab", "c"]));
        assert_ne!(digest(&["ab", "c"]), digest(&["ab", "d"]));
        assert_ne!(digest(&["a"]), digest(&[]));
    }
}
