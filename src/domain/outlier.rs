//! Tells a wrong id from the next one in a list of increasing ids.
//!
//! A cursor that moved to a wrong id far beyond all others would skip every later payment. Ids may grow slowly, in jumps, and
//! beyond 64 bits, so neither a fixed limit nor the average growth can tell. An id is not trusted while it is far beyond the
//! last trusted one and has hardly any neighbour there: when a provider really continues with larger ids, the next payments
//! have ids close to it, and then all of them are trusted.

use super::version::SequenceId;

/// A smaller distance is never suspicious: counters grow by less between two payments.
const MIN_DISTANCE: u128 = 1 << 32;
/// The suspicious distance is the last trusted id divided by this. An id that counts the time since 2018 grows by that in
/// seven weeks.
const DISTANCE_DIVISOR: u128 = 64;
/// How many ids close to each other are trusted, however far away they are.
const MIN_CLUSTER: usize = 3;
/// Ids are close if their distance is at most the id divided by this: hours for an id that counts the time since 2018, so that
/// the next payments are close. Wrong ids that have nothing in common are not, however many there are.
const CLOSE_DIVISOR: u128 = 1 << 14;

/// Which ids of a list a cursor may move to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedIds {
    /// The highest one.
    pub newest: Option<SequenceId>,
    /// The ids that are not trusted.
    pub outliers: Vec<SequenceId>,
}

impl TrustedIds {
    /// `known` is a trusted id, if there is one; otherwise the lowest id of the list is trusted.
    #[must_use]
    pub fn new(known: Option<SequenceId>, ids: impl IntoIterator<Item = SequenceId>) -> Self {
        let mut ids: Vec<SequenceId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        // Zero is the start of an empty list.
        let mut last = known.filter(|known| known.0 > 0);
        let mut trusted = Self::default();
        let mut rest = ids.as_slice();
        while let Some(next) = rest.first() {
            let cluster = &rest[..cluster_size(rest)];
            if cluster.len() >= MIN_CLUSTER || last.is_none_or(|last| is_within(last, *next, DISTANCE_DIVISOR)) {
                last = cluster.last().copied().max(last);
                trusted.newest = cluster.last().copied();
            } else {
                trusted.outliers.extend(cluster);
            }
            rest = &rest[cluster.len()..];
        }
        trusted
    }
}

/// The number of ids at the start of a sorted list that are close to their neighbour.
fn cluster_size(ids: &[SequenceId]) -> usize {
    1 + ids.windows(2).take_while(|pair| is_within(pair[0], pair[1], CLOSE_DIVISOR)).count()
}

fn is_within(id: SequenceId, next: SequenceId, divisor: u128) -> bool {
    next.0.saturating_sub(id.0) <= (id.0 / divisor).max(MIN_DISTANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id of November 2026.
    const NOW: u128 = 1_180_000_000_000_000_000;
    const DAY: u128 = 86_400_000 << 22;

    fn trusted(known: Option<u128>, ids: &[u128]) -> (Option<u128>, Vec<u128>) {
        let trusted = TrustedIds::new(known.map(SequenceId), ids.iter().copied().map(SequenceId));
        (trusted.newest.map(|id| id.0), trusted.outliers.iter().map(|id| id.0).collect())
    }

    #[test]
    fn single_id_far_beyond_the_others_is_not_trusted() {
        let largest = 10_u128.pow(38) - 1;
        for outlier in [largest, 10_u128.pow(25), u128::from(u64::MAX), (1 << 63) - 1, NOW + 365 * DAY] {
            for others in [&[NOW, NOW + 4096, NOW + DAY][..], &[NOW + 30 * DAY], &[NOW + 1]] {
                let ids: Vec<u128> = [outlier].iter().chain(others).chain(&[outlier]).copied().collect();
                assert_eq!(trusted(Some(NOW), &ids), (others.last().copied(), vec![outlier]), "{ids:?}");
            }
            assert_eq!(trusted(Some(NOW), &[outlier]), (None, vec![outlier]));
            assert_eq!(trusted(None, &[NOW, outlier]), (Some(NOW), vec![outlier]));
        }
        assert_eq!(
            trusted(Some(NOW), &[largest, NOW + 5, 10_u128.pow(30)]),
            (Some(NOW + 5), vec![10_u128.pow(30), largest])
        );
    }

    #[test]
    fn many_outliers_that_are_not_close_to_each_other_are_not_trusted() {
        let outliers: Vec<u128> = (64..99).map(|factor| factor * 10_u128.pow(36)).collect();
        let ids: Vec<u128> = [NOW + 1].iter().chain(&outliers).copied().collect();
        assert_eq!(trusted(Some(NOW), &ids), (Some(NOW + 1), outliers));
    }

    #[test]
    fn growth_is_trusted() {
        for (known, ids) in [
            (None, vec![]),
            (None, vec![7]),
            (Some(0), vec![NOW]),
            (Some(3), vec![5, 900, 4_000_000]),
            (Some(NOW), vec![NOW - 5 * DAY]),
            (Some(NOW), vec![NOW + 40 * DAY]),
            // The provider continues with ids of more than 64 bits.
            (Some(NOW), vec![NOW + 1, NOW + (1 << 64), NOW + (1 << 64) + 2 * DAY, NOW + (1 << 64) + 3 * DAY]),
            (Some(NOW), vec![10_u128.pow(30), 10_u128.pow(30) + 1, 10_u128.pow(30) + 2]),
            (None, vec![5, NOW, NOW + 1, NOW + 2]),
        ] {
            assert_eq!(trusted(known, &ids), (ids.last().copied(), vec![]), "{known:?} {ids:?}");
        }
    }

    #[test]
    fn jump_is_trusted_once_more_ids_follow() {
        let far = NOW + (1 << 64);
        for (ids, expected) in
            [(&[far][..], None), (&[far, far + 1], None), (&[far, far + 1, far + DAY], Some(far + DAY))]
        {
            assert_eq!(trusted(Some(NOW), ids).0, expected, "{ids:?}");
        }
        assert_eq!(trusted(Some(NOW), &[far, far, far]), (None, vec![far]), "one id three times is one id");
    }

    proptest::proptest! {
        #[test]
        fn every_id_is_trusted_or_an_outlier(
            known in proptest::option::of(0..10_u128.pow(38)),
            ids in proptest::collection::vec(0..10_u128.pow(38), 0..20),
        ) {
            let (newest, outliers) = trusted(known, &ids);
            for id in &ids {
                proptest::prop_assert!(outliers.contains(id) || newest.is_some_and(|newest| newest >= *id));
            }
        }
    }
}
