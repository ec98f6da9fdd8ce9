//! Which bytes of a file are wanted (RFC 9110, 14): so that a download that broke off goes on where it ended.

use std::ops::Range;

/// What a `Range` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) enum Wanted {
    /// The whole file: nothing was said, or something that need not be understood.
    Whole,
    /// Some of its bytes.
    Part(Range<u64>),
    /// Bytes that it has not.
    Beyond,
}

/// What `range` asks for of a file of so many bytes. One range at a time: several would come as one body of many parts,
/// which may be answered by the whole.
pub(in crate::web) fn wanted(range: Option<&str>, bytes: u64) -> Wanted {
    let Some(asked) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = asked.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return Wanted::Whole;
    };
    let number = |text: &str| text.parse::<u64>().ok();
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        // The last so many.
        (true, _, false, Some(0)) => Wanted::Beyond,
        (true, _, false, Some(many)) => Wanted::Part(bytes.saturating_sub(many)..bytes),
        (false, Some(first), true, _) => part(first..bytes, bytes),
        (false, Some(first), false, Some(last)) if first <= last => {
            part(first..last.saturating_add(1).min(bytes), bytes)
        }
        _ => Wanted::Whole,
    }
}

fn part(range: Range<u64>, bytes: u64) -> Wanted {
    if range.start < bytes { Wanted::Part(range) } else { Wanted::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        let of = |range: &str| wanted(Some(range), 100);
        assert_eq!(wanted(None, 100), Wanted::Whole);
        for (range, expected) in [
            ("bytes=0-9", 0..10),
            ("bytes=0-0", 0..1),
            ("bytes=90-", 90..100),
            ("bytes=90-500", 90..100),
            ("bytes=-10", 90..100),
            ("bytes=-500", 0..100),
            (" bytes=5-18446744073709551615", 5..100),
        ] {
            assert_eq!(of(range), Wanted::Part(expected), "{range}");
        }
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(of(range), Wanted::Beyond, "{range}");
        }
        for range in ["", "lines=1-2", "bytes=9-3", "bytes=a-b", "bytes=1-2,5-6", "bytes=-", "bytes"] {
            assert_eq!(of(range), Wanted::Whole, "{range}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Beyond);
    }
}
