//! Whom an edge lets in, how many of them, and whose word it takes for where they come from.

use std::time::Duration;

use ipnet::IpNet;

use crate::problem::Problems;
use crate::reader::Fields;
use crate::site;

/// Blocks of addresses of trusted proxies.
pub const TRUSTED_PROXIES_MAX: usize = 256;
pub const CONNECTIONS_MAX: u64 = 1_000_000;
pub const REQUESTS_MAX: u64 = 1_000_000_000;
const IDLE_MIN: Duration = Duration::from_secs(1);
const IDLE_MAX: Duration = Duration::from_secs(3600);

/// The words of `[edge]` for its door, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorConfig {
    /// Who says where a client is.
    pub trusted_proxies: Vec<IpNet>,
    /// By which field.
    pub trusted_field: TrustedField,
    /// Whether their connections begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// At once, on all listeners.
    pub connections_max: usize,
    /// Of one address, or of one IPv6 network.
    pub connections_per_client_max: u32,
    /// One after the other.
    pub requests_per_connection_max: u32,
    pub idle_timeout: Duration,
}

/// The field by which a proxy says whose request it passes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustedField {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            trusted_field: TrustedField::default(),
            proxy_protocol: false,
            connections_max: 20_000,
            connections_per_client_max: 4_000,
            requests_per_connection_max: 100_000,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl DoorConfig {
    pub(super) fn from_fields(fields: &mut Fields<'_>, problems: &mut Problems) -> Self {
        let default = Self::default();
        let proxies = fields.each_parsed("trusted_proxies", problems, site::block);
        let field = fields.text("trusted_field");
        let proxy_protocol = fields.switch("proxy_protocol").unwrap_or(false);
        let trusts_nobody = proxies.is_empty();
        for (word, is_given) in [
            ("trusted_field", field == Some("forwarded")),
            ("proxy_protocol", proxy_protocol),
        ] {
            if is_given && trusts_nobody {
                let message = "says how trusted proxies speak; name them in trusted_proxies";
                problems.add(fields.at(word), message);
            }
        }
        let idle_timeout = fields
            .duration("idle_timeout")
            .unwrap_or(default.idle_timeout);
        if !(IDLE_MIN..=IDLE_MAX).contains(&idle_timeout) {
            problems.add(
                fields.at("idle_timeout"),
                "is not between \"1s\" and \"1h\"",
            );
        }
        let mut count = |word, default: u32| {
            let given = fields.number(word).map(u32::try_from);
            given.and_then(Result::ok).unwrap_or(default)
        };
        let connections_max = u32::try_from(default.connections_max).unwrap_or(u32::MAX);
        Self {
            connections_max: count("connections_max", connections_max) as usize,
            connections_per_client_max: count(
                "connections_per_client_max",
                default.connections_per_client_max,
            ),
            requests_per_connection_max: count(
                "requests_per_connection_max",
                default.requests_per_connection_max,
            ),
            trusted_proxies: proxies.into_iter().map(|(_, block)| block).collect(),
            trusted_field: match field {
                Some("forwarded") => TrustedField::Forwarded,
                _ => TrustedField::XForwardedFor,
            },
            proxy_protocol,
            idle_timeout,
        }
    }
}
