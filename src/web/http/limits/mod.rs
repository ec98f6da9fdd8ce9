//! How much of the service one caller can use: requests per minute, failed sign-ins, and what runs at the same time.
//!
//! [`super::auth::authorization`] applies the limits after it knows the caller and before the handler runs, by the cost class of
//! the access policy. Health checks have no limit: a host that gets 429 would restart the process.

mod gate;
mod rates;

use std::sync::Arc;
use std::time::Duration;

use poem::http::Uri;
use poem::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use self::gate::{Full, Gate};
use self::rates::{Bucket, Rates};
use super::auth::policy::{CostClass, Policy};
use super::client_address::Client;
use super::problem::{Problem, ProblemCode};
use crate::config::LimitsConfig;
use crate::domain::access::{KeyId, Principal};
use crate::domain::rate_limit::{Quota, Standing, WINDOW};
use crate::redis::Redis;

pub(in crate::web) use gate::Permit;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// How long an expensive query or a file waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// The query parameters that select no transactions.
const UNFILTERED: [&str; 5] = ["limit", "page", "cursor", "sort_by", "order"];

pub(in crate::web) struct Limits {
    rates: Rates,
    per_key: Option<Quota>,
    per_address: Option<Quota>,
    failed_sign_ins: Option<Quota>,
    queries: Option<Gate>,
    downloads: Option<Gate>,
    sockets: Option<Gate>,
}

/// The permit of a response with a long body, which [`super::server`] keeps until the body ends.
#[derive(Debug, Clone)]
pub(in crate::web) struct HeldPermit(#[expect(dead_code, reason = "its end is what counts")] Arc<Permit>);

/// The rate of a caller after its request.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Rate {
    bucket: Bucket,
    standing: Standing,
}

impl Limits {
    /// `connections` is the number of connections for requests.
    pub(in crate::web) fn new(config: &LimitsConfig, redis: Option<Redis>, connections: u32) -> Self {
        // A query may use two connections, and one stays free for requests that take a millisecond.
        let queries = (connections.saturating_sub(1) / 2).max(1);
        Self {
            rates: Rates::new(redis),
            per_key: Quota::per_minute(config.requests_per_key),
            per_address: Quota::per_minute(config.requests_per_address),
            failed_sign_ins: Quota::per_minute(config.failed_sign_ins),
            queries: Gate::new(config.queries_per_key, Some(queries as usize), WAIT),
            downloads: Gate::new(config.downloads_per_key, None, WAIT),
            sockets: Gate::new(config.sockets_per_key, None, Duration::ZERO),
        }
    }

    /// Counts a request that may be answered; a 429 if the caller has sent too many. Without a key of its own (pages, and
    /// `AUTH=off`) the caller is its address.
    pub(in crate::web) async fn admit(
        &self,
        policy: &Policy,
        client: Client,
        principal: Option<&Principal>,
    ) -> Result<Option<Rate>, Problem> {
        if policy.is_monitoring() {
            return Ok(None);
        }
        match principal.filter(|principal| principal.key_id != KeyId::ANYONE) {
            Some(principal) => self.count(Some(Bucket::Key(principal.key_id)), self.per_key).await,
            None => self.count(client.address.map(|it| Bucket::Address(Bucket::address(it))), self.per_address).await,
        }
    }

    /// Counts a request that is refused because of its caller or its path, and returns the refusal: a 429 instead after too many.
    /// A valid key is never affected.
    pub(in crate::web) async fn refuse(&self, client: Client, problem: Problem, presents_key: bool) -> Problem {
        use ProblemCode::{Forbidden, MethodNotAllowed, NotFound, Unauthenticated};
        let counted = matches!(problem.code, Unauthenticated | Forbidden | NotFound | MethodNotAllowed);
        let Some(address) = client.address.map(Bucket::address).filter(|_| counted) else { return problem };
        if presents_key
            && problem.code == Unauthenticated
            && let Err(refused) = self.count(Some(Bucket::FailedSignIns(address)), self.failed_sign_ins).await
        {
            return refused;
        }
        self.count(Some(Bucket::Address(address)), self.per_address).await.err().unwrap_or(problem)
    }

    async fn count(&self, bucket: Option<Bucket>, quota: Option<Quota>) -> Result<Option<Rate>, Problem> {
        let Some((bucket, quota)) = bucket.zip(quota) else { return Ok(None) };
        let rate = Rate { bucket, standing: self.rates.take(bucket, quota).await };
        if rate.standing.allowed { Ok(Some(rate)) } else { Err(rate.into_problem()) }
    }

    /// Waits for a place among the requests that are as expensive; a 429 or a 503 if there is none in time.
    pub(in crate::web) async fn enter(
        &self,
        policy: &Policy,
        uri: &Uri,
        principal: Option<&Principal>,
    ) -> Result<Option<HeldPermit>, Problem> {
        let gate = if policy.is_live() {
            &self.sockets
        } else {
            match cost(policy, uri) {
                CostClass::Light => return Ok(None),
                CostClass::Expensive => &self.queries,
                CostClass::Export => &self.downloads,
            }
        };
        let (Some(gate), Some(principal)) = (gate, principal) else { return Ok(None) };
        let permit = gate.enter(principal.key_id).await.map_err(|full| refusal(full, policy, gate.per_key()))?;
        Ok(Some(HeldPermit(Arc::new(permit))))
    }
}

/// A page of transactions without filters is read by an index; with filters, very many may have to be counted.
fn cost(policy: &Policy, uri: &Uri) -> CostClass {
    let names = || uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
    let is_filtered = || names().any(|name| !name.is_empty() && !UNFILTERED.contains(&name));
    if policy.operation == "listTransactions" && !is_filtered() { CostClass::Light } else { policy.cost }
}

fn refusal(full: Full, policy: &Policy, per_key: usize) -> Problem {
    let what = match policy.cost {
        _ if policy.is_live() => "WebSockets and event streams",
        CostClass::Export => "downloads",
        CostClass::Expensive | CostClass::Light => "expensive queries",
    };
    match full {
        Full::Key => Problem::new(
            ProblemCode::RateLimited,
            format!("this key has {per_key} {what} already, as many as allowed at the same time: wait for one to end"),
        )
        .with_header(RETRY_AFTER, HeaderValue::from(WAIT.as_secs())),
        Full::Process => {
            Problem::new(ProblemCode::ServiceUnavailable, format!("too many {what} are running: try again later"))
        }
    }
}

impl Rate {
    /// The headers of draft-ietf-httpapi-ratelimit-headers.
    pub(in crate::web) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            headers.insert(name, value);
        }
    }

    fn headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let Self { bucket, standing } = self;
        let (name, quota, window) = (bucket.policy(), standing.quota.requests(), WINDOW.as_secs());
        let (remaining, reset) = (standing.remaining(), standing.reset_seconds());
        let headers = [
            (RATE_LIMIT_POLICY, format!("\"{name}\";q={quota};w={window}")),
            (RATE_LIMIT, format!("\"{name}\";r={remaining};t={reset}")),
        ];
        headers.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text).ok()?)))
    }

    fn into_problem(self) -> Problem {
        let quota = self.standing.quota.requests();
        let detail = match self.bucket {
            Bucket::Key(_) => {
                format!("this key may send {quota} requests per minute: wait as long as Retry-After says")
            }
            Bucket::Address(_) => {
                format!("an address may send {quota} requests per minute without a valid key: wait, or send a key")
            }
            Bucket::FailedSignIns(_) => {
                format!("more than {quota} requests per minute had a key that is not valid: correct the key, and wait")
            }
        };
        let problem = Problem::new(ProblemCode::RateLimited, detail);
        let problem = problem.with_header(RETRY_AFTER, self.standing.retry_after_seconds().into());
        self.headers().fold(problem, |problem, (name, value)| problem.with_header(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::http::auth::policy::of_operation;

    #[test]
    fn only_filtered_lists_and_aggregates_are_expensive() {
        for (operation, uri, expected) in [
            ("listTransactions", "/api/v1/transactions", CostClass::Light),
            ("listTransactions", "/api/v1/transactions?limit=50&page=2&sort_by=amount&order=asc", CostClass::Light),
            ("listTransactions", "/api/v1/transactions?limit=50&%73earch=abc", CostClass::Expensive),
            ("listTransactions", "/api/v1/transactions?status=success&search=abc", CostClass::Expensive),
            ("getMetricsHeatmap", "/api/v1/metrics/heatmap", CostClass::Expensive),
            ("getJob", "/api/v1/jobs/1?search=a", CostClass::Light),
            ("exportTransactions", "/api/v1/export/transactions", CostClass::Export),
        ] {
            let policy = of_operation(operation).expect(operation);
            assert_eq!(cost(policy, &uri.parse().expect(uri)), expected, "{uri}");
        }
    }

    #[tokio::test]
    async fn monitoring_is_never_limited_and_refusals_are() {
        let config = LimitsConfig { requests_per_address: 2, failed_sign_ins: 1, ..LimitsConfig::default() };
        let limits = Limits::new(&config, None, 5);
        let client = Client { address: Some("203.0.113.9".parse().expect("an address")), is_secure: false };
        let unauthenticated = || Problem::new(ProblemCode::Unauthenticated, "send a key");
        assert_eq!(limits.refuse(client, unauthenticated(), true).await.code, ProblemCode::Unauthenticated);
        assert_eq!(limits.refuse(client, unauthenticated(), true).await.code, ProblemCode::RateLimited);
        assert_eq!(limits.refuse(client, unauthenticated(), false).await.code, ProblemCode::Unauthenticated);
        assert_eq!(limits.refuse(client, unauthenticated(), false).await.code, ProblemCode::RateLimited);
        let docs = of_operation("openSwaggerUi").expect("a page");
        assert!(limits.admit(docs, client, None).await.is_err());
        for monitoring in ["getHealth", "getPrometheusMetrics"] {
            let monitoring = of_operation(monitoring).expect(monitoring);
            assert!(limits.admit(monitoring, client, None).await.is_ok());
        }
        assert!(limits.admit(docs, Client { address: None, ..client }, None).await.is_ok());
    }
}
