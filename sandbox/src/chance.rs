//! What is peculiar about a record follows from its id alone.
//!
//! Who paid, whether the record is shown late, whether a broken one stands beside it: all of it is drawn from a hash of
//! the id instead of being stored or diced per request. So a record looks the same each time it is served, two
//! instances of one seed agree to the byte, and half a million records stay small.

/// The questions asked of an id; each gets an answer independent of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aspect {
    Payer = 1,
    Account,
    Reference,
    Fields,
    Late,
    Malformed,
    Nul,
}

/// A number that belongs to this id and aspect for ever.
pub(crate) fn grain(id: u128, aspect: Aspect) -> u64 {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    scramble(scramble(half(id) ^ half(id >> 64).rotate_left(17)).wrapping_add(aspect as u64))
}

/// Whether the id is among the given share (0 to 1) of all ids.
pub(crate) fn falls_in(share: f64, id: u128, aspect: Aspect) -> bool {
    share > 0.0 && f64::from((grain(id, aspect) >> 32) as u32) < share * 4_294_967_296.0
}

/// One of the choices.
pub(crate) fn pick<T: Copy>(choices: &[T], grain: u64) -> T {
    choices[usize::try_from(grain % choices.len() as u64).unwrap_or_default()]
}

/// The finisher of splitmix64: every bit of the input moves every bit of the output.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_about_that_share_and_grows_with_it() {
        let inside = |share: f64| (0..10_000u128).filter(|id| falls_in(share, *id, Aspect::Late)).collect::<Vec<_>>();
        let (tenth, half) = (inside(0.1), inside(0.5));
        assert!((900..1100).contains(&tenth.len()) && (4800..5200).contains(&half.len()));
        assert!(tenth.iter().all(|id| half.contains(id)));
        assert!(inside(0.0).is_empty());
        assert_eq!(inside(1.0).len(), 10_000);
    }
}
