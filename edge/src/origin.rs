//! The servers behind a site: which one, at which address, and how it is spoken to.
//!
//! What is decided is pure: [`breaker`], [`health`], [`ejection`], [`balance`] and [`budget`] know one rule each,
//! [`servers`] puts them together. [`pool`] is what requests meet, [`names`] and [`trust`] lead to a connection,
//! [`checks`] asks servers whether they are there, [`exchange`] is one request and its answer.

use std::net::SocketAddr;
use std::time::Duration;

use seawall_config::site::origin_address;

mod balance;
mod breaker;
mod budget;
pub mod checks;
mod ejection;
pub mod exchange;
mod health;
pub mod interim;
mod names;
mod pool;
pub mod request;
mod servers;
mod trust;

pub use pool::{Asking, Lease, Pool};
pub use servers::{Seen, TurnedAway};

/// Until a connection stands, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From a request's last byte to the end of the answer's head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(9);
/// Without a byte of a body, either way.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(9);
/// A pooled connection older than this is not used again: the public origins close after 5 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Further tries of a request that is safe to repeat and was not answered with a single byte.
pub const RETRIES_MAX: usize = 2;
/// Requests that share one connection of HTTP/2.
pub const H2_STREAMS_MAX: u32 = 100;
/// Bytes of an answer's head, those of the interim answers before it included.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Interim (1xx) answers before the final one.
pub const INTERIM_MAX: usize = 16;

/// Why an origin gave no answer that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    NotResolved,
    AddressRefused,
    ConnectFailed,
    ConnectTimeout,
    TlsFailed,
    HeaderTimeout,
    /// Closed or reset before the head was whole.
    NoAnswer,
    /// Not HTTP, or HTTP that must not be passed on.
    BrokenAnswer,
    HeadTooLarge,
    /// The body ended before its end, or stalled.
    BodyCut,
    /// It took longer in all than the site allows.
    TooLong,
    /// Its last reader left, and it was not worth finishing.
    GivenUp,
    /// Nobody was asked: the servers have all the requests they may have.
    Busy,
    /// Nobody was asked: the breakers of all servers are open.
    Open,
    /// Nobody was asked: no server is in order.
    Down,
    /// Nobody was asked: an operator has drained all servers.
    Drained,
}

impl Failure {
    /// What it says in `Cache-Status`.
    pub fn detail(self) -> &'static str {
        match self {
            Self::NotResolved => "origin name not resolved",
            Self::AddressRefused => "origin address not allowed",
            Self::ConnectFailed => "origin refused the connection",
            Self::ConnectTimeout => "origin did not accept in time",
            Self::TlsFailed => "origin failed TLS",
            Self::HeaderTimeout => "origin did not answer in time",
            Self::NoAnswer => "origin closed without an answer",
            Self::BrokenAnswer => "origin answer is broken",
            Self::HeadTooLarge => "origin head too large",
            Self::BodyCut => "origin cut the body",
            Self::TooLong => "origin took too long in all",
            Self::GivenUp => "fetch given up",
            Self::Busy => "origin has all the requests it may have",
            Self::Open => "origin breaker is open",
            Self::Down => "no origin server is in order",
            Self::Drained => "all origin servers are drained",
        }
    }

    /// The status a client gets.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::ConnectTimeout | Self::HeaderTimeout | Self::TooLong => {
                http::StatusCode::GATEWAY_TIMEOUT
            }
            Self::Busy | Self::Open | Self::Down | Self::Drained => {
                http::StatusCode::SERVICE_UNAVAILABLE
            }
            _ => http::StatusCode::BAD_GATEWAY,
        }
    }

    /// The same where what is stored may not be used without the origin's word. RFC 9111 §5.2.2.2: "if a cache is
    /// disconnected, the cache MUST generate an error response […]. The generated response SHOULD be a 504 (Gateway
    /// Timeout) response unless another error status code is more applicable."
    pub fn status_for_stored(self) -> http::StatusCode {
        match self {
            Self::NotResolved | Self::ConnectFailed | Self::NoAnswer | Self::Down => {
                http::StatusCode::GATEWAY_TIMEOUT
            }
            _ => self.status(),
        }
    }
}

/// Whether an edge may be led to an address by configuration: never to itself, to a machine's metadata, or to nobody.
pub fn permitted(address: SocketAddr, own: &[SocketAddr]) -> bool {
    let ip = address.ip().to_canonical();
    let itself = |own: &SocketAddr| {
        let at = own.ip().to_canonical();
        own.port() == address.port() && (at == ip || at.is_unspecified() && ip.is_loopback())
    };
    origin_address(ip).is_ok() && !own.iter().any(itself)
}

/// In whole milliseconds, as clocks here count.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {

    use super::*;

    #[test]
    fn an_origin_is_never_the_edge_itself_nor_the_machine_around_it() {
        let own = [
            "0.0.0.0:8080".parse().unwrap(),
            "127.0.0.1:9080".parse().unwrap(),
        ];
        let check = |address: &str, expect: bool| {
            assert_eq!(
                permitted(address.parse().unwrap(), &own),
                expect,
                "{address}"
            );
        };
        check("127.0.0.1:9000", true);
        check("10.0.0.1:80", true);
        check("127.0.0.1:8080", false);
        check("[::ffff:127.0.0.1]:8080", false);
        check("127.0.0.1:9080", false);
        check("169.254.169.254:80", false);
        check("[fd00:ec2::254]:80", false);
        check("[fe80::1]:80", false);
        check("224.0.0.1:80", false);
        check("0.0.0.0:80", false);
        check("[::]:80", false);
    }
}
