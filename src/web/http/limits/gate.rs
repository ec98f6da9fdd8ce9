//! How much one key, and the whole process, may do at the same time.
//!
//! Requests beyond the limit of a key wait for their turn, briefly and in bounded numbers, because a page of a dashboard sends
//! many requests at once. The requests of one key wait for each other before they wait for those of other keys, so that
//! a key with many requests does not delay a key with one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::access::KeyId;

/// How many requests of one key may wait.
const MAX_WAITING: usize = 32;

/// A place within the limits, until it is dropped.
#[derive(Debug)]
pub(in crate::web) struct Permit {
    _process: Option<OwnedSemaphorePermit>,
    _key: OwnedSemaphorePermit,
}

/// The limit that a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Key,
    Process,
}

pub(super) struct Gate {
    per_key: usize,
    process: Option<Arc<Semaphore>>,
    wait: Duration,
    keys: Mutex<HashMap<KeyId, Arc<KeyGate>>>,
}

struct KeyGate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Gate {
    /// `None` without a limit. A request waits at most `wait`.
    pub(super) fn new(per_key: u32, process: Option<usize>, wait: Duration) -> Option<Self> {
        let process = process.map(|permits| Arc::new(Semaphore::new(permits)));
        (per_key > 0).then(|| Self { per_key: per_key as usize, process, wait, keys: Mutex::default() })
    }

    pub(super) fn per_key(&self) -> usize {
        self.per_key
    }

    pub(super) async fn enter(&self, key: KeyId) -> Result<Permit, Full> {
        let key = self.key(key);
        if let Ok(permit) = Arc::clone(&key.permits).try_acquire_owned() {
            return self.enter_process(permit).await;
        }
        let waiting = Waiting::start(&key.waiting);
        if waiting.number > MAX_WAITING || self.wait.is_zero() {
            return Err(Full::Key);
        }
        let permit = tokio::time::timeout(self.wait, Arc::clone(&key.permits).acquire_owned()).await;
        drop(waiting);
        // The semaphore is never closed.
        let permit = permit.ok().and_then(Result::ok).ok_or(Full::Key)?;
        self.enter_process(permit).await
    }

    async fn enter_process(&self, key: OwnedSemaphorePermit) -> Result<Permit, Full> {
        let Some(process) = &self.process else { return Ok(Permit { _process: None, _key: key }) };
        let permit = tokio::time::timeout(self.wait, Arc::clone(process).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(Full::Process)?;
        Ok(Permit { _process: Some(permit), _key: key })
    }

    fn key(&self, key: KeyId) -> Arc<KeyGate> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || KeyGate { permits: Arc::new(Semaphore::new(self.per_key)), waiting: AtomicUsize::new(0) };
        // Only valid keys get here, so there are few.
        Arc::clone(keys.entry(key).or_insert_with(|| Arc::new(new())))
    }
}

/// A waiting request, also if its client goes away meanwhile.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl<'a> Waiting<'a> {
    fn start(count: &'a AtomicUsize) -> Self {
        Self { count, number: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    const WAIT: Duration = Duration::from_millis(20);

    fn key(number: u128) -> KeyId {
        KeyId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn keys_have_limits_of_their_own_within_that_of_the_process() {
        let gate = Gate::new(2, Some(3), WAIT).expect("a limit");
        let first = [gate.enter(key(1)).await, gate.enter(key(1)).await];
        assert!(first.iter().all(Result::is_ok));
        assert_eq!(gate.enter(key(1)).await.map(drop), Err(Full::Key));
        let other = gate.enter(key(2)).await.expect("another key has a place");
        assert_eq!(gate.enter(key(3)).await.map(drop), Err(Full::Process));
        drop(other);
        assert!(gate.enter(key(3)).await.is_ok());
        drop(first);
        assert!(gate.enter(key(1)).await.is_ok());
    }

    #[tokio::test]
    async fn waiting_request_gets_the_next_place() {
        let gate = Gate::new(1, None, Duration::from_mins(1)).expect("a limit");
        let first = gate.enter(key(1)).await.expect("a place");
        let mut next = Box::pin(gate.enter(key(1)));
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        assert!(next.await.is_ok());
    }

    #[tokio::test]
    async fn number_of_waiting_requests_is_bounded() {
        let gate = Gate::new(1, None, Duration::from_mins(1)).expect("a limit");
        let _first = gate.enter(key(1)).await.expect("a place");
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(gate.enter(key(1)))).collect();
        assert!(waiting.iter_mut().all(|next| next.as_mut().now_or_never().is_none()));
        assert_eq!(gate.enter(key(1)).now_or_never().map(|entered| entered.map(drop)), Some(Err(Full::Key)));
        drop(waiting);
        assert!(gate.enter(key(1)).now_or_never().is_none(), "there is room to wait again");
    }

    #[tokio::test]
    async fn zero_is_no_limit_and_without_waiting_a_refusal_is_immediate() {
        assert!(Gate::new(0, Some(1), WAIT).is_none());
        let gate = Gate::new(1, None, Duration::ZERO).expect("a limit");
        let _first = gate.enter(key(1)).await.expect("a place");
        assert_eq!(gate.enter(key(1)).await.map(drop), Err(Full::Key));
    }
}
