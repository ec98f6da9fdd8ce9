//! Pseudo-random properties of a record, derived from a hash of its id.
//!
//! Examples: the payer, whether the record becomes visible late, whether it has a malformed companion. They are neither
//! stored nor drawn per request, so a record is the same in every response, two instances with the same seed return
//! identical bytes, and half a million records need little memory.

/// Each salt gives an independent hash of the same id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Salt {
    Payer,
    Account,
    Reference,
    Fields,
    Late,
    Malformed,
    /// By the number of the fault: each affects other records.
    RecordFault(u8),
}

impl Salt {
    fn number(self) -> u64 {
        match self {
            Self::Payer => 1,
            Self::Account => 2,
            Self::Reference => 3,
            Self::Fields => 4,
            Self::Late => 5,
            Self::Malformed => 6,
            Self::RecordFault(number) => 0x100 + u64::from(number),
        }
    }
}

pub(crate) fn hash(id: u128, salt: Salt) -> u64 {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    splitmix64(splitmix64(half(id) ^ half(id >> 64).rotate_left(17)).wrapping_add(salt.number()))
}

/// Whether the id belongs to a pseudo-random share (0 to 1) of all ids.
pub(crate) fn in_share(share: f64, id: u128, salt: Salt) -> bool {
    share > 0.0 && f64::from((hash(id, salt) >> 32) as u32) < share * 4_294_967_296.0
}

pub(crate) fn pick<T: Copy>(choices: &[T], hash: u64) -> T {
    choices[usize::try_from(hash % choices.len() as u64).unwrap_or_default()]
}

/// The splitmix64 finalizer: every input bit affects every output bit.
fn splitmix64(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_share_contains_the_smaller_one() {
        let ids_in = |share: f64| (0..10_000u128).filter(|id| in_share(share, *id, Salt::Late)).collect::<Vec<_>>();
        let (tenth, half) = (ids_in(0.1), ids_in(0.5));
        assert!((900..1100).contains(&tenth.len()) && (4800..5200).contains(&half.len()));
        assert!(tenth.iter().all(|id| half.contains(id)));
        assert!(ids_in(0.0).is_empty());
        assert_eq!(ids_in(1.0).len(), 10_000);
    }
}
