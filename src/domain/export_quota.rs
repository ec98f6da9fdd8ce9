//! How many exports may be ordered, how much they may store, and how many rows one key may export on a day.

/// A limit of 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportQuota {
    /// Waiting and running exports of one key.
    pub unfinished_per_key: u64,
    pub unfinished: u64,
    /// Bytes of stored files of one key.
    pub bytes_per_key: u64,
    pub bytes: u64,
    /// From how many rows per key and day on a warning is logged.
    pub rows_alert: u64,
    /// From how many rows per key and day on exports are refused.
    pub rows_limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportUsage {
    pub unfinished: u64,
    pub bytes: u64,
}

/// The usage of a key, and that of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsedBy {
    pub key: ExportUsage,
    pub all: ExportUsage,
}

/// Why an export is refused, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    #[error("{0} exports of this key are waiting or running, as many as allowed: wait for one, or delete one")]
    UnfinishedOfKey(u64),
    #[error("{0} exports are waiting or running, as many as allowed: try again when some have finished")]
    Unfinished(u64),
    #[error("the files of this key have {0} bytes, as many as allowed: delete files that are no longer needed")]
    BytesOfKey(u64),
    #[error("the stored files have {0} bytes, as many as allowed: try again later; a file expires after 24 hours")]
    Bytes(u64),
    #[error("this key has exported {0} rows today, as many as allowed: try again tomorrow (UTC)")]
    Rows(u64),
}

impl ExportQuota {
    /// Whether one more export may be ordered.
    pub fn check(&self, used: UsedBy) -> Result<(), QuotaExceeded> {
        let UsedBy { key, all } = used;
        let reached = |value: u64, limit: u64| limit > 0 && value >= limit;
        if reached(key.unfinished, self.unfinished_per_key) {
            Err(QuotaExceeded::UnfinishedOfKey(key.unfinished))
        } else if reached(all.unfinished, self.unfinished) {
            Err(QuotaExceeded::Unfinished(all.unfinished))
        } else if reached(key.bytes, self.bytes_per_key) {
            Err(QuotaExceeded::BytesOfKey(key.bytes))
        } else if reached(all.bytes, self.bytes) {
            Err(QuotaExceeded::Bytes(all.bytes))
        } else {
            Ok(())
        }
    }

    /// Whether a key that has exported so many rows today may export more.
    pub fn check_rows(&self, rows: u64) -> Result<(), QuotaExceeded> {
        if self.rows_limit > 0 && rows >= self.rows_limit { Err(QuotaExceeded::Rows(rows)) } else { Ok(()) }
    }

    /// Whether the last `added` of `rows` rows reached the number of which a warning is logged.
    #[must_use]
    pub fn reaches_alert(&self, added: u64, rows: u64) -> bool {
        self.rows_alert > 0 && rows >= self.rows_alert && rows.saturating_sub(added) < self.rows_alert
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: ExportQuota = ExportQuota {
        unfinished_per_key: 2,
        unfinished: 3,
        bytes_per_key: 10,
        bytes: 20,
        rows_alert: 100,
        rows_limit: 200,
    };

    #[test]
    fn each_limit_refuses_on_its_own() {
        let usage = |unfinished, bytes| ExportUsage { unfinished, bytes };
        for (key, all, expected) in [
            (usage(1, 9), usage(2, 19), Ok(())),
            (usage(2, 0), usage(2, 0), Err(QuotaExceeded::UnfinishedOfKey(2))),
            (usage(0, 0), usage(3, 0), Err(QuotaExceeded::Unfinished(3))),
            (usage(0, 10), usage(0, 10), Err(QuotaExceeded::BytesOfKey(10))),
            (usage(0, 0), usage(0, 20), Err(QuotaExceeded::Bytes(20))),
        ] {
            assert_eq!(QUOTA.check(UsedBy { key, all }), expected);
            assert_eq!(ExportQuota::default().check(UsedBy { key, all }), Ok(()), "0 means no limit");
        }
    }

    #[test]
    fn alert_is_given_once_and_the_limit_refuses() {
        assert_eq!([99, 100, 150].map(|rows| QUOTA.reaches_alert(50, rows)), [false, true, false]);
        assert!(!ExportQuota::default().reaches_alert(50, 1_000));
        assert_eq!([199, 200].map(|rows| QUOTA.check_rows(rows).is_ok()), [true, false]);
        assert_eq!(ExportQuota::default().check_rows(u64::MAX), Ok(()));
    }
}
