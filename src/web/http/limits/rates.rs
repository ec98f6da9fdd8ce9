//! Request rates, shared by all web processes through Redis.
//!
//! Without Redis, or if it is slow, each process counts on its own: a limit must not take the service down. Each process also
//! remembers what Redis has returned last, so that it refuses further requests of a full bucket without asking, and a flood
//! costs Redis nothing. That is exact, because the requests that other processes add can only fill the bucket further.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::access::KeyId;
use crate::domain::rate_limit::{Quota, Standing};
use crate::redis::Redis;

/// A request does not wait longer for Redis.
const TIMEOUT: Duration = Duration::from_millis(100);
/// How long Redis is not asked again after it has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// At this number of buckets, those that are empty are forgotten. If none is empty, all are: then the requests come from more
/// addresses than a limit per address can stop.
const MAX_BUCKETS: usize = 100_000;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    Key(KeyId),
    Address(IpAddr),
    FailedSignIns(IpAddr),
}

impl Bucket {
    /// One client can use all addresses of an IPv6 network of 64 bits.
    pub(super) fn address(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            address @ IpAddr::V4(_) => address,
        }
    }

    /// The name of the policy in `RateLimit-Policy`.
    pub(super) fn policy(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Address(_) => "address",
            Self::FailedSignIns(_) => "failed-sign-ins",
        }
    }

    fn redis_key(self) -> String {
        let policy = self.policy();
        match self {
            Self::Key(id) => format!("{policy}:{id}"),
            Self::Address(address) | Self::FailedSignIns(address) => format!("{policy}:{address}"),
        }
    }
}

pub(super) struct Rates {
    /// `None` in tests.
    redis: Option<Redis>,
    local: Mutex<Local>,
}

#[derive(Default)]
struct Local {
    /// When each bucket will be empty.
    empty_at: HashMap<Bucket, Instant>,
    redis_failed_at: Option<Instant>,
}

impl Rates {
    pub(super) fn new(redis: Option<Redis>) -> Self {
        Self { redis, local: Mutex::default() }
    }

    /// Counts a request.
    pub(super) async fn take(&self, bucket: Bucket, quota: Quota) -> Standing {
        let standing = quota.take(self.backlog(bucket));
        let standing =
            if standing.allowed { self.take_shared(bucket, quota).await.unwrap_or(standing) } else { standing };
        self.local().remember(bucket, standing.backlog(), Instant::now());
        standing
    }

    fn backlog(&self, bucket: Bucket) -> Duration {
        let empty_at = self.local().empty_at.get(&bucket).copied();
        empty_at.map_or(Duration::ZERO, |empty_at| empty_at.saturating_duration_since(Instant::now()))
    }

    /// `None` if Redis cannot be asked.
    async fn take_shared(&self, bucket: Bucket, quota: Quota) -> Option<Standing> {
        let redis = self.redis.as_ref()?;
        if self.local().redis_failed_at.is_some_and(|failed_at| failed_at.elapsed() < PAUSE) {
            return None;
        }
        let key = bucket.redis_key();
        let problem = match tokio::time::timeout(TIMEOUT, redis.take_request(&key, quota)).await {
            Ok(Ok(standing)) => return Some(standing),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no reply within {} ms", TIMEOUT.as_millis()),
        };
        let since = self.local().redis_failed_at.replace(Instant::now());
        if since.is_none_or(|since| since.elapsed() > PAUSE * 10) {
            tracing::warn!(error = problem, "this process limits request rates on its own, because Redis failed");
        }
        None
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local {
    fn remember(&mut self, bucket: Bucket, backlog: Duration, now: Instant) {
        if self.empty_at.len() >= MAX_BUCKETS {
            self.empty_at.retain(|_, empty_at| *empty_at > now);
            if self.empty_at.len() >= MAX_BUCKETS {
                self.empty_at.clear();
            }
        }
        self.empty_at.insert(bucket, now + backlog);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_bucket_is_counted_on_its_own_without_redis() {
        let rates = Rates::new(None);
        let quota = Quota::per_minute(3).expect("a limit");
        let address: IpAddr = "203.0.113.9".parse().expect("an address");
        for bucket in [Bucket::Key(KeyId::ANYONE), Bucket::Address(address), Bucket::FailedSignIns(address)] {
            let mut allowed = vec![];
            for _ in 0..4 {
                allowed.push(rates.take(bucket, quota).await.allowed);
            }
            assert_eq!(allowed, [true, true, true, false], "{bucket:?}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let address = |text: &str| Bucket::address(text.parse().expect("an address")).to_string();
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(address("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_eq!(address("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(address("203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn number_of_buckets_is_bounded() {
        let (mut local, now) = (Local::default(), Instant::now());
        let buckets = u32::try_from(MAX_BUCKETS).expect("a small number");
        for index in 0..buckets + 10 {
            local.remember(Bucket::Address(IpAddr::V4(index.into())), Duration::from_mins(1), now);
        }
        assert!(local.empty_at.len() <= MAX_BUCKETS, "{}", local.empty_at.len());
    }
}
