//! Asks the sentinels which server is the primary.
//!
//! All of them at once, and most answers win, so that a dead one costs half a second at most and one that was cut off from the
//! others is outvoted. A server is used only if it says itself that it is a primary: sentinels name a dead one until another is
//! promoted.
//!
//! redis-rs's own `SentinelClient` was rejected: it connects to the primary at each look-up, so it cannot be asked every second;
//! it believes the first sentinel of the list, also one that was cut off; and after `SENTINEL FAILOVER` it names the former
//! primary, which still accepts writes, until the replicas follow the new one.

use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisError, RedisResult, Role};
use tokio::sync::Mutex;

use super::address::SentinelsAddress;
use super::error::{is_refused, is_untrusted, sentinel as code};

/// How long connecting to a sentinel may take, and its answer.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long connecting to a server may take that is not used yet, and its answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a sentinel answers, for `psp check`.
pub struct SentinelAnswer {
    /// Its host and port.
    pub sentinel: String,
    /// The host and port of the primary; `None` if it does not know the service.
    pub primary: RedisResult<Option<String>>,
}

/// Asks each sentinel once.
pub async fn ask_each(address: &SentinelsAddress) -> RedisResult<Vec<SentinelAnswer>> {
    let answers = Sentinels::open(address)?.ask().await.into_iter();
    let text = |server: Option<Server>| server.map(|server| server.to_string());
    Ok(answers.map(|(sentinel, answer)| SentinelAnswer { sentinel, primary: answer.map(text) }).collect())
}

pub(super) struct Sentinels {
    address: SentinelsAddress,
    sentinels: Vec<Sentinel>,
}

/// A server, as a sentinel names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    host: String,
    port: u16,
}

impl Sentinels {
    /// Connects on first use.
    pub(super) fn open(address: &SentinelsAddress) -> RedisResult<Self> {
        let open = |sentinel| Ok(Sentinel { client: Client::open(sentinel)?, connection: Mutex::default() });
        let sentinels = address.sentinels.iter().cloned().map(open).collect::<RedisResult<_>>()?;
        Ok(Self { address: address.clone(), sentinels })
    }

    /// A client of the primary, if it is another server than `used`.
    pub(super) async fn find_other_primary(&self, used: Option<&Client>) -> RedisResult<Option<Client>> {
        let named = rank(self.ask().await)?;
        let mut problem = None;
        for server in named {
            let client = Client::open(self.address.server(&server.host, server.port)?)?;
            let address = client.get_connection_info().addr();
            if used.is_some_and(|used| used.get_connection_info().addr() == address) {
                return Ok(None);
            }
            match verify_role(&client).await {
                Ok(()) => return Ok(Some(client)),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        Err(problem.unwrap_or_else(|| error(code::NO_PRIMARY, "the sentinels name no server".to_owned())))
    }

    /// The answer of each sentinel, in the order of the URL.
    async fn ask(&self) -> Vec<(String, RedisResult<Option<Server>>)> {
        let service = &self.address.service;
        join_all(self.sentinels.iter().map(|one| async { (one.to_string(), one.find_primary(service).await) })).await
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        ConnectionAddr::Tcp(self.host.clone(), self.port).fmt(out)
    }
}

struct Sentinel {
    client: Client,
    /// The connection of the last answer.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Sentinel {
    /// The server that it takes for the primary; `None` if it does not know the service.
    async fn find_primary(&self, service: &str) -> RedisResult<Option<Server>> {
        let mut open = self.connection.lock().await;
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => connect(&self.client, SENTINEL_TIMEOUT).await?,
        };
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        let named: Option<(String, u16)> = ask.query_async(&mut connection).await?;
        *open = Some(connection);
        Ok(named.map(|(host, port)| Server { host, port }))
    }
}

impl std::fmt::Display for Sentinel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.client.get_connection_info().addr().fmt(out)
    }
}

async fn connect(client: &Client, timeout: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Fails unless the server answers and says that it is a primary.
async fn verify_role(client: &Client) -> RedisResult<()> {
    let address = client.get_connection_info().addr();
    let asking = async {
        let mut connection = connect(client, SERVER_TIMEOUT).await?;
        redis::cmd("ROLE").query_async(&mut connection).await
    };
    match asking.await {
        Ok(Role::Primary { .. }) => Ok(()),
        Ok(_) => Err(error(code::NO_PRIMARY, format!("{address} is not a primary"))),
        Err(cause) if cause.is_io_error() && !is_untrusted(&cause) => {
            Err(error(code::NO_PRIMARY, format!("{address} does not answer: {cause}")))
        }
        Err(cause) => Err(cause),
    }
}

/// The servers that were named, those first that were named more often, or earlier in the list. If none was, the error says why.
fn rank(answers: Vec<(String, RedisResult<Option<Server>>)>) -> RedisResult<Vec<Server>> {
    let mut votes: Vec<(Server, usize)> = Vec::new();
    let (mut unknown, mut failures) = (false, Vec::new());
    for (sentinel, answer) in answers {
        match answer {
            Ok(Some(server)) => match votes.iter_mut().find(|(named, _)| *named == server) {
                Some((_, count)) => *count += 1,
                None => votes.push((server, 1)),
            },
            Ok(None) => unknown = true,
            Err(cause) => failures.push((sentinel, cause)),
        }
    }
    if votes.is_empty() {
        return Err(explain(unknown, &failures));
    }
    votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(votes.into_iter().map(|(server, _)| server).collect())
}

/// Why no sentinel has named a server.
fn explain(unknown: bool, failures: &[(String, RedisError)]) -> RedisError {
    if unknown {
        return error(code::UNKNOWN_SERVICE, "no sentinel monitors the service".to_owned());
    }
    let refused = failures.iter().any(|(_, cause)| is_refused(cause));
    if let Some((_, cause)) = failures.iter().find(|(_, cause)| is_untrusted(cause)) {
        return cause.clone();
    }
    let reasons: Vec<String> = failures.iter().map(|(sentinel, cause)| format!("{sentinel}: {cause}")).collect();
    error(if refused { code::REFUSED } else { code::UNREACHABLE }, reasons.join("; "))
}

fn error(code: &str, detail: String) -> RedisError {
    redis::make_extension_error(code.to_owned(), Some(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instead of the code of an answer that refuses.
    const SILENT: &str = "";

    fn failure(code: &str) -> RedisError {
        if code == SILENT { (redis::ErrorKind::Io, "connection refused").into() } else { error(code, "no".to_owned()) }
    }

    #[test]
    fn most_answers_win_and_the_absence_of_any_is_explained() {
        for (answers, expected) in [
            (vec![Ok(Some("a"))], Ok(&["a"][..])),
            (vec![Err(SILENT), Ok(None), Ok(Some("a"))], Ok(&["a"])),
            (vec![Ok(Some("a")), Ok(Some("b")), Ok(Some("b"))], Ok(&["b", "a"])),
            (vec![Ok(Some("a")), Ok(Some("b"))], Ok(&["a", "b"])),
            (vec![Ok(Some("a")), Ok(Some("b")), Ok(Some("c")), Ok(Some("c")), Ok(Some("b"))], Ok(&["b", "c", "a"])),
            (vec![Err(SILENT), Err(SILENT)], Err(code::UNREACHABLE)),
            (vec![Err(SILENT), Ok(None)], Err(code::UNKNOWN_SERVICE)),
            (vec![Err(SILENT), Err("WRONGPASS")], Err(code::REFUSED)),
            (vec![Err("NOAUTH")], Err(code::REFUSED)),
            (vec![Err("ERR")], Err(code::UNREACHABLE)),
        ] {
            let server = |host: &str| Server { host: host.to_owned(), port: 6379 };
            let answer = |answer: Result<Option<&str>, &str>| answer.map(|host| host.map(server)).map_err(failure);
            let asked = answers.into_iter().map(|one| ("sentinel:26379".to_owned(), answer(one))).collect();
            let ranked = rank(asked);
            let hosts = ranked.as_ref().map(|servers| servers.iter().map(|one| one.host.as_str()).collect::<Vec<_>>());
            match (hosts, expected) {
                (Ok(hosts), Ok(expected)) => assert_eq!(hosts, expected),
                (Err(error), Err(expected)) => assert_eq!(error.code(), Some(expected), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
