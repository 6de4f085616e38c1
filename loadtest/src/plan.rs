//! What to do, as asked, and what may be done: limits, and whose server it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

/// Connections of a closed loop, and the most an open loop opens.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Requests per second of an open loop.
pub const RATE_PER_SECOND_MAX: f64 = 1_000_000.0;
/// The longest run.
pub const DURATION_MAX: Duration = Duration::from_secs(60 * 60);

/// One run against one URL.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `http://host[:port]/path?query`, or `https://` with `trust`.
    pub url: String,
    pub mode: Mode,
    pub duration: Duration,
    /// For `https://` only.
    pub trust: Option<Trust>,
    /// Names the URL's host, where that is not this machine: load is sent to one's own servers only.
    pub i_own_this: Option<String>,
}

/// When the next request leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// As soon as one of the connections is free: as many as the server can answer.
    Closed { connections: usize },
    /// By a schedule, whatever the server does: what users do. Requests per second.
    Open { rate: f64 },
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities in this PEM file.
    CaFile(PathBuf),
    /// Anyone's (a test server's own certificate).
    Anyone,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{url:?} cannot be tested: {why}")]
    Url { url: String, why: String },
    #[error("{what} is {asked}; {allowed}")]
    Limit {
        what: &'static str,
        asked: String,
        allowed: String,
    },
    #[error(
        "{host} is not this machine. Load is sent to your own servers only: if it is yours, say --i-own-this {host}"
    )]
    NotYours { host: String },
    #[error("the CA file {}: {why}", file.display())]
    Ca { file: PathBuf, why: String },
    /// The address does not resolve, or nobody answers there.
    #[error("{target} cannot be reached: {source}")]
    Unreachable {
        target: String,
        source: std::io::Error,
    },
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// A URL taken apart, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What the Host field says: the authority as the URL spells it.
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
}

impl Plan {
    /// The limits of the run; the URL is judged by [`Address::parse`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let limit = |what, asked: String, allowed: String| {
            Err(Error::Limit {
                what,
                asked,
                allowed,
            })
        };
        match self.mode {
            Mode::Closed { connections } if !(1..=CONNECTIONS_MAX).contains(&connections) => {
                let allowed = format!("1 to {CONNECTIONS_MAX} are allowed");
                return limit(
                    "the number of connections",
                    connections.to_string(),
                    allowed,
                );
            }
            // Written so that a rate that is no number is refused too.
            Mode::Open { rate } if !(rate > 0.0 && rate <= RATE_PER_SECOND_MAX) => {
                let allowed = format!("more than 0 and at most {RATE_PER_SECOND_MAX} is allowed");
                return limit("the rate", rate.to_string(), allowed);
            }
            _ => {}
        }
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            let allowed = format!("more than 0 and at most {DURATION_MAX:?} is allowed");
            return limit("the duration", format!("{:?}", self.duration), allowed);
        }
        Ok(())
    }
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let refused = |why: &str| Error::Url {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|error| refused(&format!("{error}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("write it as http://host/path or https://host/path")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("a user and password in a URL are not sent"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        // `port()` is None for 99999 too: told apart by what stands behind the host.
        let spelt = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or_default();
        let port = match (spelt.trim_start_matches(':'), authority.port_u16()) {
            ("", _) if tls => 443,
            ("", _) => 80,
            (_, Some(port)) if port > 0 => port,
            _ => return Err(refused("its port is not one")),
        };
        let path_and_query = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        Ok(Self {
            tls,
            host,
            port,
            authority: authority.as_str().to_owned(),
            path_and_query,
        })
    }

    /// Whether load may be sent to it: every address it resolved to is this machine, or somebody says
    /// that the host is theirs.
    pub(crate) fn allowed(
        &self,
        resolved: &[SocketAddr],
        i_own_this: Option<&str>,
    ) -> Result<(), Error> {
        let mine = i_own_this.is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        let here = resolved
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback());
        if mine || here {
            Ok(())
        } else {
            Err(Error::NotYours {
                host: self.host.clone(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_url_is_taken_apart_or_refused() {
        let check = |url: &str, expect: &str| {
            let found = match Address::parse(url) {
                Ok(a) => format!(
                    "{} {} {} {} {}",
                    a.tls, a.host, a.port, a.authority, a.path_and_query
                ),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expect), "{url}: {found}");
        };
        check("http://localhost", "false localhost 80 localhost /");
        check("https://[::1]:8443/a?b", "true ::1 8443 [::1]:8443 /a?b");
        check("localhost:8080", "cannot be tested");
        check("ftp://localhost/", "write it as http://host/path");
        check("http://user@localhost/", "user and password");
        check("http://localhost:0/", "its port is not one");
        check("http://localhost:99999/", "its port is not one");
        check("", "cannot be tested");
    }

    #[test]
    fn load_is_sent_to_ones_own_servers_only() {
        let check = |resolved: &[&str], i_own_this: Option<&str>, expect: bool| {
            let resolved: Vec<SocketAddr> = resolved
                .iter()
                .map(|address| format!("{address}:80").parse().unwrap())
                .collect();
            let address = Address::parse("http://shop.example/").unwrap();
            let allowed = address.allowed(&resolved, i_own_this).is_ok();
            assert_eq!(allowed, expect, "{resolved:?} {i_own_this:?}");
        };
        check(&["127.0.0.1"], None, true);
        check(&["127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"], None, true);
        check(&["192.0.2.1"], None, false);
        check(&["127.0.0.1", "192.0.2.1"], None, false);
        check(&["192.0.2.1"], Some("Shop.Example"), true);
        check(&["192.0.2.1"], Some("shop"), false);
    }

    #[test]
    fn a_run_has_limits() {
        let check = |mode: Mode, duration: Duration, expect: bool| {
            let url = "http://localhost/".to_owned();
            let plan = Plan {
                url,
                mode,
                duration,
                trust: None,
                i_own_this: None,
            };
            assert_eq!(plan.check().is_ok(), expect, "{mode:?} {duration:?}");
        };
        let second = Duration::from_secs(1);
        check(Mode::Closed { connections: 1 }, second, true);
        check(Mode::Closed { connections: 0 }, second, false);
        check(
            Mode::Closed {
                connections: 10_001,
            },
            second,
            false,
        );
        check(Mode::Open { rate: 1_000_000.0 }, DURATION_MAX, true);
        check(Mode::Open { rate: 0.1 }, second, true);
        for rate in [0.0, -1.0, 1_000_001.0, f64::NAN, f64::INFINITY] {
            check(Mode::Open { rate }, second, false);
        }
        check(Mode::Open { rate: 1.0 }, Duration::ZERO, false);
        check(Mode::Open { rate: 1.0 }, DURATION_MAX + second, false);
    }
}
