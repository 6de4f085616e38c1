//! The servers behind a site, and how an edge treats them.

use std::time::Duration;

use ipnet::IpNet;

use super::FETCH_TIMEOUT;

mod document;

pub(super) use document::origin;

/// Servers of one origin.
pub const SERVERS_MAX: usize = 256;
/// Blocks of addresses that no server may have.
pub const ORIGIN_DENY_MAX: usize = 64;
/// Statuses, or ranges of them, that a check expects.
pub const STATUSES_MAX: usize = 16;
/// Requests that one edge may have under way to one pool, or waiting for it.
pub const REQUESTS_MAX: u64 = 1_000_000;
/// The last level of failover.
pub const PRIORITY_MAX: u64 = 9;

/// The pool of servers behind a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Never empty.
    pub servers: Vec<Server>,
    /// The Host the origin sees. None: the one the client asked for.
    pub host: Option<String>,
    pub balance: Balance,
    /// Whether HTTP/2 is offered to servers with TLS.
    pub http2: bool,
    /// Requests under way to all servers together, from one edge.
    pub max_requests: u32,
    /// Requests that wait for one of those to end.
    pub max_pending: u32,
    pub pending_timeout: Duration,
    /// Second tries, in percent of the requests.
    pub retry_budget: u32,
    /// Where fewer servers than this, in percent, are in order, health is not looked at.
    pub panic_below: u32,
    /// How often a name is looked up again.
    pub dns_refresh: Duration,
    /// Addresses that no server may have, however its name is looked up.
    pub deny: Vec<IpNet>,
    /// How long an answer may take in all.
    pub fetch_timeout: Duration,
    pub tls: OriginTls,
    /// None: servers are not checked.
    pub health: Option<Health>,
    pub ejection: Ejection,
    /// None: a server that fails is asked all the same.
    pub breaker: Option<Breaker>,
}

/// One server of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub tls: bool,
    /// A name or an address (IPv6 without brackets).
    pub host: String,
    pub port: u16,
    /// Its share of the requests, against the others'; at least 1.
    pub weight: u32,
    /// Servers of a higher number are asked when those of a lower are not in order.
    pub priority: u8,
    /// Requests under way to it, from one edge.
    pub max_requests: Option<u32>,
    /// Connections in use to it, from one edge.
    pub max_connections: Option<u32>,
}

/// Which of the servers that are in order gets a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    #[default]
    RoundRobin,
    /// Of two drawn at random the one with fewer requests under way.
    LeastRequests,
    /// The same URL goes to the same server, unless that has too much to do.
    Hash,
}

/// How a server that speaks TLS is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginTls {
    pub verify: bool,
    /// The name asked for and verified. None: the server's host.
    pub server_name: Option<String>,
    /// PEM of the authorities trusted instead of the system's.
    pub ca: Option<String>,
    pub client: Option<ClientCertificate>,
}

/// What an edge shows an origin that asks who it is. In PEM, the leaf first.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub certificate: String,
    pub key: String,
}

/// How every edge looks, on its own, whether a server is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub check: Check,
    pub interval: Duration,
    pub timeout: Duration,
    /// So many checks in a row that pass, or fail, turn it.
    pub healthy_after: u32,
    pub unhealthy_after: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It accepts a connection.
    Tcp,
    /// It answers a GET as expected.
    Http {
        path: String,
        /// First and last of each range.
        statuses: Vec<(u16, u16)>,
        /// A text that the beginning of the body holds.
        body: Option<String>,
    },
}

/// When a server that answers badly gets no requests for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// So many failures in a row; 0: however many.
    pub consecutive_failures: u32,
    /// How often the servers are compared, and of how many answers at least.
    pub interval: Duration,
    pub requests_min: u32,
    /// So many percentage points below the others; 0: however many.
    pub success_rate: u32,
    /// So many times as long as the others take; 0: however long.
    pub latency: u32,
    /// For how long the first time, and at most.
    pub time: Duration,
    pub time_max: Duration,
    /// The most that may be ejected at once, in percent; of two or more, one may always be, unless this is 0.
    pub share_max: u32,
}

/// When a server that fails is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row open it.
    pub failures: u32,
    /// How long it stays open.
    pub open: Duration,
    /// So many requests then try whether the server is back; when all succeed, it is closed.
    pub probes: u32,
}

impl Origin {
    /// With every word's default.
    pub fn of(servers: Vec<Server>) -> Self {
        Self {
            servers,
            host: None,
            balance: Balance::default(),
            http2: false,
            max_requests: 8192,
            max_pending: 1024,
            pending_timeout: Duration::from_secs(1),
            retry_budget: 20,
            panic_below: 25,
            dns_refresh: Duration::from_secs(30),
            deny: Vec::new(),
            fetch_timeout: FETCH_TIMEOUT,
            tls: OriginTls::default(),
            health: None,
            ejection: Ejection::default(),
            breaker: None,
        }
    }
}

impl Server {
    /// With every word's default.
    pub fn of(tls: bool, host: String, port: u16) -> Self {
        Self {
            tls,
            host,
            port,
            weight: 1,
            priority: 0,
            max_requests: None,
            max_connections: None,
        }
    }

    /// What names it: as its URL is spelt, with the port only where it has to be.
    pub fn url(&self) -> String {
        let (scheme, port) = match self.tls {
            true => ("https", 443),
            false => ("http", 80),
        };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == port {
            true => format!("{scheme}://{host}"),
            false => format!("{scheme}://{host}:{}", self.port),
        }
    }
}

impl Balance {
    pub const WORDS: [&'static str; 3] = ["round_robin", "least_requests", "hash"];

    /// As the configuration spells it.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::RoundRobin, Self::LeastRequests, Self::Hash];
        let words = Self::WORDS.into_iter().zip(all);
        words.into_iter().find(|(is, _)| *is == word).map(|it| it.1)
    }
}

impl Default for OriginTls {
    fn default() -> Self {
        Self {
            verify: true,
            server_name: None,
            ca: None,
            client: None,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            check: Check::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            requests_min: 20,
            success_rate: 25,
            latency: 5,
            time: Duration::from_secs(30),
            time_max: Duration::from_secs(300),
            share_max: 50,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            open: Duration::from_secs(1),
            probes: 1,
        }
    }
}

/// The key is nobody's to read.
impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::server;

    #[test]
    fn a_server_is_named_by_its_url_in_one_spelling() {
        let check = |url: &str, expect: &str| {
            let named = server(url).map(|server| server.url());
            assert_eq!(named.as_deref(), Ok(expect), "{url}");
        };
        check("http://a.test", "http://a.test");
        check("HTTP://A.test:80/", "http://a.test");
        check("https://a.test:80", "https://a.test:80");
        check("https://a.test:443", "https://a.test");
        check("http://[::1]:9000", "http://[::1]:9000");
        check("http://127.0.0.1:9000", "http://127.0.0.1:9000");
    }
}
