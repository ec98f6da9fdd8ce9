//! Verifies the audit log: that its entries form the chain in which they were written, from the last anchor to the head.
//!
//! The owner of the database can compute a new chain. So the head is shown: a copy of it that is kept elsewhere
//! proves later that the entries up to it are the same.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::access::audit_log::chain::{self, ChainHead, ChainLink};
use crate::db::snapshot::Snapshot;

/// A position in the chain, written as `17:<hash>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPosition {
    pub sequence: i64,
    pub hash: Vec<u8>,
}

impl AuditPosition {
    const START: Self = Self { sequence: 0, hash: vec![] };
}

impl From<ChainHead> for AuditPosition {
    fn from(ChainHead { sequence, hash }: ChainHead) -> Self {
        Self { sequence, hash }
    }
}

impl fmt::Display for AuditPosition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.sequence, hex::encode(&self.hash))
    }
}

impl FromStr for AuditPosition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(sequence, hash)| {
            let hash = hex::decode(hash).ok().filter(|hash| hash.len() == 32)?;
            Some(Self { sequence: sequence.parse().ok()?, hash })
        });
        parsed.ok_or("must be a head that psp check --audit has printed: a number, a colon, 64 hexadecimal digits")
    }
}

/// A chain without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAudit {
    pub entries: u64,
    /// The last entry that has expired.
    pub anchor: Option<AuditPosition>,
    pub head: AuditPosition,
    /// How many entries had personal data erased.
    pub erased: u64,
}

/// The first error of the chain.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("entry {0} was changed: its hash does not match what it contains")]
    Changed(i64),
    #[error("the details of entry {0} were changed, and no erasure explains it")]
    ContentChanged(i64),
    #[error("entry {0} does not follow the one before it: entries before it were removed, replaced or reordered")]
    NotConnected(i64),
    #[error("the entries after {last} were removed: the log had {expected} entries")]
    Truncated { last: i64, expected: i64 },
    #[error("the head of the log is not its last entry ({0}): the head was changed")]
    WrongHead(i64),
    #[error("entry {0} is not the one that you remember: the log was replaced by another one")]
    NotRemembered(i64),
    #[error(
        "entry {0} is not in the log: it has expired or was removed; compare it with the table audit_anchors, or give a \
         newer one"
    )]
    NotFound(i64),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Verifies every entry; `remembered` is a head that was printed before.
pub async fn verify_audit(pool: &PgPool, remembered: Option<&AuditPosition>) -> Result<VerifiedAudit, AuditError> {
    let mut snapshot = Snapshot::open(pool).await?;
    let head = AuditPosition::from(chain::head(&mut snapshot).await?);
    let anchor = chain::last_anchor(&mut snapshot).await?.map(AuditPosition::from);
    let attested = attested_contents(chain::list_attestations(&mut snapshot).await?);
    let mut verifier = Verifier::new(anchor.clone().unwrap_or(AuditPosition::START), attested, remembered);
    if let Some(anchor) = &anchor {
        verifier.compare(anchor)?;
    }
    let mut links = chain::links(&mut snapshot)?;
    while let Some(link) = links.try_next().await? {
        verifier.verify(&link)?;
    }
    drop(links);
    snapshot.close().await?;
    verifier.finish(head, anchor)
}

/// By entry, the hashes that its content had after erasures, in their order.
fn attested_contents(attestations: Vec<(i64, serde_json::Value)>) -> HashMap<i64, String> {
    let mut contents = HashMap::new();
    for (_, attests) in attestations {
        for (sequence, hash) in attests.as_object().into_iter().flatten() {
            if let (Ok(sequence), Some(hash)) = (sequence.parse(), hash.as_str()) {
                contents.insert(sequence, hash.to_owned());
            }
        }
    }
    contents
}

struct Verifier<'a> {
    last: AuditPosition,
    /// The last hash that an erasure recorded for the content of an entry.
    attested: HashMap<i64, String>,
    remembered: Option<&'a AuditPosition>,
    found_remembered: bool,
    entries: u64,
    erased: u64,
}

impl<'a> Verifier<'a> {
    fn new(start: AuditPosition, attested: HashMap<i64, String>, remembered: Option<&'a AuditPosition>) -> Self {
        Self { last: start, attested, remembered, found_remembered: false, entries: 0, erased: 0 }
    }

    fn verify(&mut self, link: &ChainLink) -> Result<(), AuditError> {
        let sequence = link.sequence;
        let is_start = self.last.sequence == 0;
        let is_connected = if is_start { link.previous_hash == [0; 32] } else { link.previous_hash == self.last.hash };
        if sequence != self.last.sequence + 1 || !is_connected {
            return Err(AuditError::NotConnected(sequence));
        }
        let hash = Sha256::new().chain_update(&link.previous_hash).chain_update(&link.entry).finalize();
        if hash.as_slice() != link.hash {
            return Err(AuditError::Changed(sequence));
        }
        self.verify_content(link)?;
        self.last = AuditPosition { sequence, hash: link.hash.clone() };
        self.entries += 1;
        self.compare(&self.last.clone())
    }

    fn verify_content(&mut self, link: &ChainLink) -> Result<(), AuditError> {
        let content = Sha256::digest(&link.content);
        if let Some(attested) = self.attested.get(&link.sequence) {
            self.erased += 1;
            if hex::encode(content) == *attested {
                return Ok(());
            }
        } else if content.as_slice() == link.content_hash {
            return Ok(());
        }
        Err(AuditError::ContentChanged(link.sequence))
    }

    fn compare(&mut self, position: &AuditPosition) -> Result<(), AuditError> {
        let Some(remembered) = self.remembered.filter(|remembered| remembered.sequence == position.sequence) else {
            return Ok(());
        };
        self.found_remembered = true;
        if remembered.hash == position.hash { Ok(()) } else { Err(AuditError::NotRemembered(position.sequence)) }
    }

    fn finish(self, head: AuditPosition, anchor: Option<AuditPosition>) -> Result<VerifiedAudit, AuditError> {
        if self.last.sequence < head.sequence {
            return Err(AuditError::Truncated { last: self.last.sequence, expected: head.sequence });
        }
        let is_empty = self.last.sequence == 0;
        if self.last.sequence != head.sequence || (!is_empty && self.last.hash != head.hash) {
            return Err(AuditError::WrongHead(self.last.sequence));
        }
        match self.remembered {
            Some(remembered) if !self.found_remembered => Err(AuditError::NotFound(remembered.sequence)),
            _ => Ok(VerifiedAudit { entries: self.entries, anchor, head, erased: self.erased }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of `count` entries.
    fn links(count: i64) -> Vec<ChainLink> {
        let mut previous_hash = vec![0; 32];
        let links = (1..=count).map(|sequence| {
            let (content, entry) = (format!("content {sequence}"), format!("entry {sequence}"));
            let hash = Sha256::new().chain_update(&previous_hash).chain_update(&entry).finalize().to_vec();
            let previous_hash = std::mem::replace(&mut previous_hash, hash.clone());
            let content_hash = Sha256::digest(&content).to_vec();
            ChainLink { sequence, previous_hash, hash, content_hash, entry, content, attests: None }
        });
        links.collect()
    }

    fn verify(links: &[ChainLink], head: &ChainLink, remembered: Option<&AuditPosition>) -> Result<u64, String> {
        let mut verifier = Verifier::new(AuditPosition::START, HashMap::new(), remembered);
        links.iter().try_for_each(|link| verifier.verify(link)).map_err(|error| error.to_string())?;
        let head = AuditPosition { sequence: head.sequence, hash: head.hash.clone() };
        verifier.finish(head, None).map(|verified| verified.entries).map_err(|error| error.to_string())
    }

    #[test]
    fn first_error_of_a_chain_is_named() {
        let intact = links(5);
        let head = intact[4].clone();
        assert_eq!(verify(&intact, &head, None), Ok(5));
        for (tamper, expected) in [
            ((|links| links[2].entry.push('!')) as fn(&mut Vec<ChainLink>), "entry 3 was changed"),
            (|links| links[2].content.push('!'), "the details of entry 3 were changed"),
            (|links| drop(links.remove(2)), "entry 4 does not follow"),
            (|links| drop(links.remove(0)), "entry 2 does not follow"),
            (|links| links.swap(1, 2), "entry 3 does not follow"),
            (|links| drop(links.pop()), "the entries after 4 were removed: the log had 5"),
        ] {
            let mut tampered = intact.clone();
            tamper(&mut tampered);
            let error = verify(&tampered, &head, None).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn remembered_head_must_be_in_the_chain() {
        let intact = links(3);
        let position = |sequence, hash: &[u8]| AuditPosition { sequence, hash: hash.to_vec() };
        let verify = |remembered| verify(&intact, &intact[2], Some(&remembered)).err().unwrap_or_default();
        assert_eq!(verify(position(2, &intact[1].hash)), "");
        assert!(verify(position(2, &intact[0].hash)).contains("is not the one that you remember"));
        assert!(verify(position(9, &intact[0].hash)).contains("is not in the log"));
    }

    #[test]
    fn position_is_written_and_read() {
        let position = AuditPosition { sequence: 17, hash: vec![0xab; 32] };
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "17", "17:", "17:ab", "x:abab"] {
            assert!(text.parse::<AuditPosition>().is_err(), "{text}");
        }
    }
}
