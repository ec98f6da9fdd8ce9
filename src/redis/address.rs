//! What `REDIS_URL` leads to: one server, or the sentinels that know which of several servers is the primary.
//!
//! Redis defines no URL for sentinels. This is the form of Redis-Sentinel-Url, docket and Prefect: the credentials before the
//! `@` are those of the servers, and those of the sentinels are the options `sentinel_username` and `sentinel_password`. Rejected:
//! Celery's list of URLs (the name of the service is a setting of its own) and Lettuce's `redis-sentinel://` (it has no place for
//! other credentials of the sentinels).

use std::str::FromStr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use reqwest::Url;

/// The port of a sentinel whose address has none.
const SENTINEL_PORT: u16 = 26_379;
/// What to write, in messages about a URL that cannot be read.
const FORM: &str = "write redis+sentinel://[user:password@]host1:26379,host2:26379,host3:26379/service[/database]";

/// `Debug` hides the passwords.
#[derive(Debug, Clone)]
pub enum RedisAddress {
    Server(Box<ConnectionInfo>),
    Sentinels(SentinelsAddress),
}

#[derive(Debug, Clone)]
pub struct SentinelsAddress {
    /// At least one, each with the credentials of the sentinels.
    pub(super) sentinels: Vec<ConnectionInfo>,
    /// The name under which the sentinels monitor the servers.
    pub(super) service: String,
    /// The credentials and the database of the servers.
    servers: RedisConnectionInfo,
}

/// Why a URL cannot be read, and what to write. Without any part of the URL, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("is not a redis://, rediss://, redis+sentinel:// or rediss+sentinel:// URL")]
    NotRedis,
    #[error("has an ssl_cert_reqs that is not none, optional or required")]
    CertificateOption,
    #[error("has several hosts, or a scheme of another client: {form}", form = FORM)]
    OtherForm,
    #[error("does not name the service that the sentinels monitor, as `sentinel monitor` does in their configuration: {form}", form = FORM)]
    NoService,
    #[error("has a sentinel that is not a host with an optional port: {form}", form = FORM)]
    Sentinel,
    #[error("has a database that is not a number, or credentials with characters that must be encoded: {form}", form = FORM)]
    Credentials,
    #[error("has an option that is not sentinel_username, sentinel_password or ssl_cert_reqs")]
    Option,
}

impl FromStr for RedisAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "redis+sentinel" => Ok(Self::Sentinels(SentinelsAddress::parse(rest, false)?)),
            "rediss+sentinel" => Ok(Self::Sentinels(SentinelsAddress::parse(rest, true)?)),
            scheme if scheme.contains("sentinel") => Err(AddressError::OtherForm),
            _ => parse_server(text),
        }
    }
}

impl RedisAddress {
    /// Makes it accept any certificate, if it is encrypted.
    #[must_use]
    pub fn with_any_certificate(mut self) -> Self {
        match &mut self {
            Self::Server(server) => accept_any_certificate(server),
            Self::Sentinels(address) => address.sentinels.iter_mut().for_each(accept_any_certificate),
        }
        self
    }

    /// The hosts that are connected to first. An empty one is a socket of this machine.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.addresses().map(|address| match address {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.as_str(),
            _ => "",
        })
    }

    /// The passwords of the servers and of the sentinels.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        let (servers, sentinels) = match self {
            Self::Server(server) => (server.redis_settings(), None),
            Self::Sentinels(address) => {
                (&address.servers, address.sentinels.first().map(ConnectionInfo::redis_settings))
            }
        };
        servers.password().into_iter().chain(sentinels.and_then(RedisConnectionInfo::password))
    }

    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.addresses().all(|address| matches!(address, ConnectionAddr::TcpTls { .. }))
    }

    #[must_use]
    pub fn accepts_any_certificate(&self) -> bool {
        self.addresses().any(|address| matches!(address, ConnectionAddr::TcpTls { insecure: true, .. }))
    }

    fn addresses(&self) -> impl Iterator<Item = &ConnectionAddr> {
        let connections = match self {
            Self::Server(server) => std::slice::from_ref(server.as_ref()),
            Self::Sentinels(address) => address.sentinels.as_slice(),
        };
        connections.iter().map(ConnectionInfo::addr)
    }
}

impl SentinelsAddress {
    /// `rest` is what follows `://`.
    fn parse(rest: &str, tls: bool) -> Result<Self, AddressError> {
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').ok_or(AddressError::NoService)?;
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        // The characters that Redis allows in the name.
        if service.is_empty() || !service.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter))
        {
            return Err(AddressError::NoService);
        }
        let (credentials, hosts) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        let options = Options::parse(query)?;
        let any_certificate = options.any_certificate || fragment == "insecure";
        let sentinel = |host| -> Result<ConnectionInfo, AddressError> {
            let mut sentinel = parse_sentinel(host, tls)?.set_redis_settings(options.sentinel.clone());
            if any_certificate {
                accept_any_certificate(&mut sentinel);
            }
            Ok(sentinel)
        };
        let sentinels = hosts.split(',').map(sentinel).collect::<Result<Vec<_>, _>>()?;
        // The library decodes the credentials.
        let server = format!("redis://{credentials}localhost/{database}").into_connection_info();
        let servers = server.map_err(|_| AddressError::Credentials)?.redis_settings().clone();
        Ok(Self { sentinels, service: service.to_owned(), servers })
    }

    /// The number of the database of the servers.
    pub(super) fn database(&self) -> i64 {
        self.servers.db()
    }

    /// How to connect to a server that a sentinel has named.
    pub(super) fn server(&self, host: &str, port: u16) -> redis::RedisResult<ConnectionInfo> {
        let insecure = match self.sentinels.first().map(ConnectionInfo::addr) {
            Some(ConnectionAddr::TcpTls { insecure, .. }) => Some(*insecure),
            _ => None,
        };
        let server = address(host.to_owned(), port, insecure).into_connection_info()?;
        Ok(server.set_redis_settings(self.servers.clone()))
    }
}

/// The options that follow the `?`.
struct Options {
    sentinel: RedisConnectionInfo,
    any_certificate: bool,
}

impl Options {
    fn parse(query: &str) -> Result<Self, AddressError> {
        let mut options = Self { sentinel: RedisConnectionInfo::default(), any_certificate: false };
        let url = Url::parse(&format!("redis://localhost/?{query}")).map_err(|_| AddressError::Option)?;
        for (name, value) in url.query_pairs().filter(|(_, value)| !value.is_empty()) {
            match name.as_ref() {
                "sentinel_username" => options.sentinel = options.sentinel.set_username(value),
                "sentinel_password" => options.sentinel = options.sentinel.set_password(value),
                "ssl_cert_reqs" => options.any_certificate = allows_any_certificate(&value)?,
                _ => return Err(AddressError::Option),
            }
        }
        Ok(options)
    }
}

fn parse_server(text: &str) -> Result<RedisAddress, AddressError> {
    let wrong = if text.contains(',') { AddressError::OtherForm } else { AddressError::NotRedis };
    let mut server = text.into_connection_info().map_err(|_| wrong)?;
    let url = Url::parse(text).map_err(|_| wrong)?;
    for (_, value) in url.query_pairs().filter(|(name, _)| name == "ssl_cert_reqs") {
        if allows_any_certificate(&value)? {
            accept_any_certificate(&mut server);
        }
    }
    Ok(RedisAddress::Server(Box::new(server)))
}

fn parse_sentinel(host: &str, tls: bool) -> Result<ConnectionInfo, AddressError> {
    let url = Url::parse(&format!("redis://{host}")).map_err(|_| AddressError::Sentinel)?;
    let port = url.port().unwrap_or(SENTINEL_PORT);
    let plain = url.into_connection_info().map_err(|_| AddressError::Sentinel)?;
    match plain.addr() {
        ConnectionAddr::Tcp(host, _) if !host.is_empty() => {
            let address = address(host.clone(), port, tls.then_some(false));
            Ok(plain.set_addr(address))
        }
        _ => Err(AddressError::Sentinel),
    }
}

/// With TLS if `insecure` says whether it accepts any certificate.
fn address(host: String, port: u16, insecure: Option<bool>) -> ConnectionAddr {
    match insecure {
        Some(insecure) => ConnectionAddr::TcpTls { host, port, insecure, tls_params: None },
        None => ConnectionAddr::Tcp(host, port),
    }
}

fn accept_any_certificate(connection: &mut ConnectionInfo) {
    if let ConnectionAddr::TcpTls { host, port, .. } = connection.addr() {
        let insecure = address(host.clone(), *port, Some(true));
        *connection = connection.clone().set_addr(insecure);
    }
}

/// The option by which Python programs accept any certificate.
fn allows_any_certificate(ssl_cert_reqs: &str) -> Result<bool, AddressError> {
    match ssl_cert_reqs.to_ascii_lowercase().trim_start_matches("cert_") {
        "none" => Ok(true),
        "optional" | "required" => Ok(false),
        _ => Err(AddressError::CertificateOption),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinels(text: &str) -> SentinelsAddress {
        match text.parse() {
            Ok(RedisAddress::Sentinels(address)) => address,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sentinels_are_read_with_their_ports() {
        for (text, expected) in [
            ("redis+sentinel://one/psp", &["one:26379"][..]),
            ("redis+sentinel://one:26380/psp/2", &["one:26380"]),
            ("REDIS+SENTINEL://one,two:1,three.example.com/psp", &["one:26379", "two:1", "three.example.com:26379"]),
            (
                "redis+sentinel://10.0.0.1:26379,[fd00::2],[fd00::3]:5/psp",
                &["10.0.0.1:26379", "fd00::2:26379", "fd00::3:5"],
            ),
            ("rediss+sentinel://user:a,b@one,two/psp", &["one:26379", "two:26379"]),
        ] {
            let found: Vec<String> =
                sentinels(text).sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn credentials_of_servers_and_sentinels_are_apart() {
        for (text, service, database, server, sentinel) in [
            ("redis+sentinel://one/psp", "psp", 0, (None, None), (None, None)),
            ("redis+sentinel://one/my-master.1/", "my-master.1", 0, (None, None), (None, None)),
            ("redis+sentinel://:word@one/psp/3", "psp", 3, (None, Some("word")), (None, None)),
            ("redis+sentinel://u:p%40%2F@one,two/psp", "psp", 0, (Some("u"), Some("p@/")), (None, None)),
            ("redis+sentinel://:a@one/psp?sentinel_password=b%26c", "psp", 0, (None, Some("a")), (None, Some("b&c"))),
            (
                "rediss+sentinel://one/psp/1?sentinel_username=watch&sentinel_password=b",
                "psp",
                1,
                (None, None),
                (Some("watch"), Some("b")),
            ),
        ] {
            let address = sentinels(text);
            let named = address.server("10.0.0.9", 6380).expect("a host and a port");
            let of = |settings: &RedisConnectionInfo| {
                (settings.username().map(str::to_owned), settings.password().map(str::to_owned))
            };
            let owned =
                |(user, password): (Option<&str>, Option<&str>)| (user.map(str::to_owned), password.map(str::to_owned));
            assert_eq!((address.service.as_str(), named.redis_settings().db()), (service, database), "{text}");
            assert_eq!(of(named.redis_settings()), owned(server), "{text}");
            assert!(address.sentinels.iter().all(|one| of(one.redis_settings()) == owned(sentinel)), "{text}");
            assert_eq!(named.addr().to_string(), "10.0.0.9:6380");
            assert_eq!(matches!(named.addr(), ConnectionAddr::TcpTls { .. }), text.starts_with("rediss"), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused_and_the_message_says_what_to_write() {
        for (text, expected) in [
            ("localhost:6379", AddressError::NotRedis),
            ("http://localhost", AddressError::NotRedis),
            ("redis://localhost/first", AddressError::NotRedis),
            ("redis://one:26379,two:26379/psp", AddressError::OtherForm),
            ("sentinel://one:26379;sentinel://two:26379", AddressError::OtherForm),
            ("redis-sentinel://one:26379/0#psp", AddressError::OtherForm),
            ("redis+sentinel://one:26379", AddressError::NoService),
            ("redis+sentinel://one:26379/", AddressError::NoService),
            ("redis+sentinel://one:26379/my service", AddressError::NoService),
            ("redis+sentinel:///psp", AddressError::Sentinel),
            ("redis+sentinel://one,/psp", AddressError::Sentinel),
            ("redis+sentinel://one:port/psp", AddressError::Sentinel),
            ("redis+sentinel://0.0.0.0/psp", AddressError::Sentinel),
            ("redis+sentinel://one/psp/zero", AddressError::Credentials),
            ("redis+sentinel://one/psp/0/1", AddressError::Credentials),
            ("redis+sentinel://one/psp?sentinel_pasword=s3cret", AddressError::Option),
            ("redis+sentinel://one/psp?ssl_cert_reqs=sometimes", AddressError::CertificateOption),
        ] {
            let error = text.parse::<RedisAddress>().expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(error.to_string().contains("redis+sentinel://") || text.contains('?'), "{error}");
        }
    }

    #[test]
    fn passwords_are_hidden_and_can_be_listed() {
        let address: RedisAddress =
            "rediss+sentinel://u:first@one,two/psp?sentinel_password=second".parse().expect("a valid URL");
        let debug = format!("{address:?}");
        assert!(!debug.contains("first") && !debug.contains("second"), "{debug}");
        assert_eq!(address.passwords().collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(address.hosts().collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn any_certificate_is_accepted_only_on_request() {
        for (text, encrypted, any_certificate) in [
            ("redis://redis.example:6380/0", false, false),
            ("redis://redis.example:6380/0?ssl_cert_reqs=none", false, false),
            ("rediss://redis.example:6380/0", true, false),
            ("rediss://redis.example:6380/0#insecure", true, true),
            ("rediss://redis.example:6380/0?ssl_cert_reqs=none", true, true),
            ("rediss://redis.example:6380?ssl_cert_reqs=CERT_NONE", true, true),
            ("rediss://redis.example:6380/0?ssl_cert_reqs=required", true, false),
            ("redis+sentinel://one,two/psp", false, false),
            ("rediss+sentinel://one,two/psp", true, false),
            ("rediss+sentinel://one,two/psp#insecure", true, true),
            ("rediss+sentinel://one,two/psp?ssl_cert_reqs=none", true, true),
        ] {
            let address: RedisAddress = text.parse().expect(text);
            assert_eq!(
                (address.is_encrypted(), address.accepts_any_certificate()),
                (encrypted, any_certificate),
                "{text}"
            );
            assert_eq!(address.with_any_certificate().accepts_any_certificate(), encrypted, "{text}");
        }
        let RedisAddress::Sentinels(address) = "rediss+sentinel://one/psp#insecure".parse().expect("a valid URL")
        else {
            panic!("sentinels");
        };
        let named = address.server("10.0.0.9", 6379).expect("a host and a port");
        assert!(matches!(named.addr(), ConnectionAddr::TcpTls { insecure: true, .. }), "also to the servers");
    }
}
