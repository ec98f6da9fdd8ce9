//! The calls and the login together, against a `PayShack` that knows whom it let in.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;

use super::super::in_memory::InMemory;
use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::providers::error::Retry;
use crate::providers::http::HttpSettings;
use crate::providers::rate_limit::Unlimited;
use crate::providers::retry::RetryPolicy;
use crate::providers::stub_server::{Answer, ReceivedRequest, StubServer};
use crate::providers::upstream::Upstream;

const PAUSE: Duration = Duration::from_mins(1);
const PASSWORD: &str = "p4ss+w/rd";
const PAGE: &str = r#"{"success": true, "data": {"transactions": [{"_id": 1}], "totalRecords": 1, "totalPages": 1}}"#;

/// A server and what the clients share.
struct Stage {
    server: StubServer,
    shared: Arc<InMemory>,
    clock: Arc<ManualClock>,
}

impl Stage {
    fn new(script: impl Fn(usize, &ReceivedRequest) -> Answer + Send + Sync + 'static) -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-15T12:00:00Z".parse().expect("a time")));
        Self { server: StubServer::start(script), shared: Arc::default(), clock }
    }

    /// A client as another process would have it.
    fn client(&self) -> PayshackClient {
        let settings =
            HttpSettings { retry: RetryPolicy { attempts: 3, ..RetryPolicy::quick() }, ..HttpSettings::default() };
        let http =
            HttpClient::new(Upstream::Payshack, settings, Arc::new(Unlimited), self.clock.clone()).expect("a client");
        let settings = PayshackSettings {
            base_url: self.server.url(),
            email: "ops@example.com".to_owned(),
            password: Secret::new(PASSWORD),
            projects: Projects::default(),
            pause_after_refusal: PAUSE,
        };
        PayshackClient::new(http, settings, self.shared.clone(), self.clock.clone())
    }

    /// Stores a session that was created `age` ago.
    async fn store_session(&self, token: &str, age: Duration) {
        let (now, later) = (self.clock.now(), self.clock.now() + Duration::from_mins(30));
        let session = Session {
            token: Secret::new(token),
            client_id: "c-1".to_owned(),
            created_at: now - age,
            renew_at: later,
            expires_at: later,
        };
        self.shared.store(&session).await.expect("stored");
    }

    async fn payins(&self) -> Result<TransactionsPage, ProviderError> {
        self.client().payins(&PageQuery::default()).await
    }

    fn logins(&self) -> usize {
        self.server.requests().iter().filter(|requests| is_login(requests)).count()
    }
}

fn is_login(requests: &ReceivedRequest) -> bool {
    requests.line.starts_with("POST /indigate-user-svc/api/v1/auth/login ")
}

fn logged_in(token: &str) -> Answer {
    Answer::ok(format!(
        r#"{{"statusCode": 200, "success": true, "data": {{"clientId": "c-1", "userId": "u-1", "token": "{token}"}}}}"#
    ))
}

/// Gives out one token, and lets in only who shows it.
fn login_then(refusal: fn() -> Answer) -> Stage {
    Stage::new(move |_, requests| {
        if is_login(requests) {
            logged_in("token-0")
        } else if requests.headers.iter().any(|header| header == "authorization:bearer token-0") {
            Answer::ok(PAGE)
        } else {
            refusal()
        }
    })
}

#[tokio::test]
async fn requests_have_the_documented_form_and_share_one_login() {
    let stage = login_then(|| Answer::status(401));
    let day = NaiveDate::from_ymd_opt(2026, 1, 15);
    let page = stage.payins().await.expect("a page");
    assert_eq!((page.records.len(), page.total_pages), (1, Some(1)));
    let query = PageQuery { page: 3, limit: 50, date_from: day, date_to: day, beyond_last: false };
    stage.client().payouts(&query).await.expect("a page");
    stage.client().payin_by_transaction_id("Y7 K").await.expect("a page");

    let requests = stage.server.requests();
    let lines: Vec<&str> = requests.iter().map(|requests| requests.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /indigate-user-svc/api/v1/auth/login HTTP/1.1",
            "GET /indigate-payin-svc/api/v1/payin/transaction/fetch?page=1&limit=100 HTTP/1.1",
            "GET /indigate-payout-svc/api/v1/wallet/transactions?page=3&limit=50&dateFrom=2026-01-15&dateTo=2026-01-15 HTTP/1.1",
            "GET /indigate-payin-svc/api/v1/payin/transaction/fetch?transactionId=Y7+K HTTP/1.1",
        ]
    );
    let login: serde_json::Value = serde_json::from_str(&requests[0].body).expect("JSON");
    assert_eq!(login, serde_json::json!({"email": "ops@example.com", "password": PASSWORD}));
    assert!(requests[1..].iter().all(|requests| requests.headers.contains(&"reseller-id:c-1".to_owned())));
}

#[tokio::test]
async fn directory_requests_use_the_shared_session() {
    let stage = Stage::new(|_, requests| {
        if is_login(requests) {
            logged_in("token-0")
        } else if requests.line.contains("/payin/") {
            Answer::ok(PAGE)
        } else {
            Answer::ok(r#"{"success": true, "data": [{"id": "a"}, {"name": "nobody"}]}"#)
        }
    });
    stage.payins().await.expect("a page");
    let clients = stage.client().clients().await.expect("a list");
    let resellers = stage.client().resellers().await.expect("a list");
    let service_providers = stage.client().service_providers().await.expect("a list");
    assert_eq!((clients.rows.len(), clients.unreadable.len()), (1, 1));
    assert_eq!((resellers.rows.len(), service_providers.rows.len()), (1, 1));

    let requests = stage.server.requests();
    let lines: Vec<&str> = requests[2..].iter().map(|requests| requests.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /indigate-core-svc/api/v1/client/fetch-all-client HTTP/1.1",
            "GET /indigate-core-svc/api/v1/reseller/fetch-all-reseller HTTP/1.1",
            "GET /indigate-core-svc/api/v1/service-provider/fetch-all-sp HTTP/1.1",
        ]
    );
    assert!(requests[2..].iter().all(|requests| requests.headers.contains(&"reseller-id:c-1".to_owned())));
    assert_eq!(stage.logins(), 1);
}

#[tokio::test]
async fn concurrent_calls_log_in_once() {
    let stage = login_then(|| Answer::status(401));
    let tasks = (0..8).map(|_| {
        let client = stage.client();
        tokio::spawn(async move { client.payins(&PageQuery::default()).await })
    });
    let pages = join_all(tasks).await;
    assert!(pages.iter().all(|page| matches!(page, Ok(Ok(_)))), "{pages:?}");
    assert_eq!(stage.logins(), 1);
}

#[tokio::test]
async fn expired_session_is_renewed_once_for_all_calls() {
    let refusals: [fn() -> Answer; 3] = [
        || Answer::status(401),
        || Answer::status(403),
        || Answer::ok(r#"{"success": false, "message": "Session expired"}"#),
    ];
    for refusal in refusals {
        let stage = login_then(refusal);
        stage.store_session("ended", Duration::ZERO).await;
        let pages = join_all((0..4).map(|_| stage.payins())).await;
        assert!(pages.iter().all(Result::is_ok), "{pages:?}");
        assert_eq!(stage.logins(), 1);
    }
}

#[tokio::test]
async fn rejected_new_session_is_an_authentication_error_after_one_login() {
    let stage = Stage::new(|_, requests| if is_login(requests) { logged_in("token-0") } else { Answer::status(403) });
    let error = stage.payins().await.expect_err("refused");
    assert!(matches!(error, ProviderError::Unauthenticated { .. }) && error.retry() == Retry::Never, "{error}");
    assert_eq!((stage.logins(), stage.server.requests().len()), (1, 2));
}

#[tokio::test]
async fn wrong_credentials_block_logins_for_a_while() {
    let refusals: [fn() -> Answer; 3] = [
        || Answer::Full(401, "", r#"{"message": "Invalid password p4ss+w/rd"}"#.to_owned()),
        || Answer::Full(400, "", r#"{"message": "Invalid password p4ss+w/rd"}"#.to_owned()),
        || Answer::ok(r#"{"success": false, "message": "Invalid password p4ss+w/rd"}"#),
    ];
    for refusal in refusals {
        let stage = Stage::new(move |_, _| refusal());
        let errors = join_all((0..4).map(|_| stage.payins())).await;
        for error in errors.into_iter().map(|outcome| outcome.expect_err("refused")) {
            assert!(matches!(error, ProviderError::Unauthenticated { .. }) && error.retry() == Retry::Never, "{error}");
            let said = format!("{error} {error:?}");
            assert!(said.contains("Invalid password [redacted]") && !said.contains(PASSWORD), "{said}");
        }
        assert_eq!(stage.server.requests().len(), 1, "one login for all processes");
        // A request during the pause waits for its end, which the clock reaches only when it is advanced.
        let waiting = stage.payins();
        let advanced = async {
            tokio::task::yield_now().await;
            assert_eq!(stage.logins(), 1, "it waits");
            stage.clock.advance(PAUSE);
        };
        let (refused, ()) = tokio::join!(waiting, advanced);
        assert!(refused.is_err());
        assert_eq!(stage.logins(), 2, "the door is open again");
    }
}

#[tokio::test]
async fn login_that_failed_for_another_reason_is_retried() {
    let stage = Stage::new(|number, requests| match number {
        0 | 1 => Answer::status(502),
        _ if is_login(requests) => logged_in("token-0"),
        _ => Answer::ok(PAGE),
    });
    assert!(stage.payins().await.is_ok());
    assert_eq!(stage.logins(), 3);
}

#[tokio::test]
async fn session_is_renewed_before_it_expires() {
    let clock = "2026-01-15T12:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp": {}}}"#, clock.timestamp() + 1800));
    let stage = Stage::new(
        move |_, requests| {
            if is_login(requests) { logged_in(&format!("h.{payload}.s")) } else { Answer::ok(PAGE) }
        },
    );
    for (later, logins) in [(0, 1), (1739, 1), (1, 2)] {
        stage.clock.advance(Duration::from_secs(later));
        stage.payins().await.expect("a page");
        assert_eq!(stage.logins(), logins, "{later} s later");
    }
}

#[tokio::test]
async fn unavailable_session_store_causes_no_login() {
    let stage = login_then(|| Answer::status(401));
    stage.shared.unavailable.store(true, Ordering::SeqCst);
    let error = stage.payins().await.expect_err("away");
    assert!(matches!(error, ProviderError::SessionUnavailable { .. }) && matches!(error.retry(), Retry::After(_)));
    assert!(stage.server.requests().is_empty());
}

#[tokio::test]
async fn refusal_in_a_response_reports_its_message() {
    let stage = Stage::new(|_, requests| {
        if is_login(requests) {
            logged_in("token-0")
        } else {
            Answer::ok(r#"{"success": false, "message": "Too many days for token-0 bearer"}"#)
        }
    });
    let error = stage.payins().await.expect_err("refused").to_string();
    assert!(error.contains("Too many days") && !error.contains("token-0"), "{error}");
}

/// A failure without a word about the session.
const VAGUE: &str = r#"{"success": false, "message": "Something went wrong, please try again"}"#;

#[tokio::test]
async fn failure_with_an_older_session_causes_one_login() {
    for (age, logins) in [(61, 1), (59, 0)] {
        let stage = login_then(|| Answer::ok(VAGUE));
        stage.store_session("ended", Duration::from_secs(age)).await;
        let pages = join_all((0..4).map(|_| stage.payins())).await;
        assert_eq!(pages.iter().all(Result::is_ok), logins == 1, "{age}: {pages:?}");
        assert_eq!(stage.logins(), logins, "{age} s");
    }
    let stage = Stage::new(|_, request| if is_login(request) { logged_in("token-0") } else { Answer::ok(VAGUE) });
    stage.store_session("ended", Duration::from_mins(2)).await;
    let error = stage.payins().await.expect_err("it fails with a new session too");
    assert!(matches!(error, ProviderError::Failed { .. }), "as it is: {error}");
    assert_eq!(stage.logins(), 1);
    let error = stage.client().clients().await.expect_err("refused");
    assert!(matches!(error, ProviderError::Refused { status: 200, .. }), "{error}");
}

#[tokio::test]
async fn unknown_payment_keeps_the_session() {
    let answers: [fn() -> Answer; 4] = [
        || Answer::ok(VAGUE),
        || Answer::ok(r#"{"success": false, "message": "no token of this transaction"}"#),
        || Answer::Full(404, "", "{}".to_owned()),
        || Answer::Full(422, "", "{}".to_owned()),
    ];
    for answer in answers {
        let stage = Stage::new(move |_, _| answer());
        stage.store_session("token-0", Duration::from_mins(2)).await;
        let error = stage.client().payin_by_transaction_id("x").await.expect_err("refused");
        assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
        assert_eq!((stage.logins(), stage.server.requests().len()), (0, 1));
        assert!(stage.shared.load().await.expect("the store").is_some());
    }
}

#[tokio::test]
async fn refusal_beyond_the_last_page_is_the_end_of_the_list() {
    let answers: [fn() -> Answer; 4] = [
        || Answer::ok(VAGUE),
        || Answer::Full(404, "", "{}".to_owned()),
        || Answer::Full(400, "", "{}".to_owned()),
        || Answer::status(204),
    ];
    for answer in answers {
        let stage = Stage::new(move |_, _| answer());
        stage.store_session("token-0", Duration::from_mins(2)).await;
        let query = PageQuery { page: 3, beyond_last: true, ..PageQuery::default() };
        let page = stage.client().payins(&query).await.expect("an empty page");
        assert!(page.records.is_empty());
        assert_eq!(stage.logins(), 0);
    }
    let stage = Stage::new(|_, _| Answer::Full(404, "", "{}".to_owned()));
    stage.store_session("token-0", Duration::ZERO).await;
    let error = stage.payins().await.expect_err("a refusal of page 1");
    assert!(matches!(error, ProviderError::Refused { status: 404, .. }), "{error}");
}

#[test]
fn account_depends_on_every_part_of_the_credentials() {
    let settings = |url: &str, email: &str, password: &str| PayshackSettings {
        base_url: url.parse().expect("a URL"),
        email: email.to_owned(),
        password: Secret::new(password),
        projects: Projects::default(),
        pause_after_refusal: PAUSE,
    };
    let accounts = [
        settings("https://a.example", "x", "yz"),
        settings("https://b.example", "x", "yz"),
        settings("https://a.example", "xy", "z"),
        settings("https://a.example", "x", "zz"),
    ]
    .map(|settings| settings.account());
    let distinct: std::collections::BTreeSet<&String> = accounts.iter().collect();
    assert_eq!(distinct.len(), accounts.len());
    assert!(accounts.iter().all(|account| account.len() == 64 && !account.contains("yz")));
}
