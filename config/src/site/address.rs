//! Host patterns, origin URLs and host names, as an operator writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{HostPattern, PathPattern, Server};
use crate::reader::echo;

/// What `origin` and a server's `url` hold: scheme, host, port.
pub fn server(text: &str) -> Result<Server, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!(
            "{} has no scheme; write {}",
            echo(text),
            echo(&format!("http://{text}"))
        ));
    };
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => {
            return Err(format!(
                "the scheme is {}; an origin speaks http or https",
                echo(scheme)
            ));
        }
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err("has a user or password; an origin URL has none".into());
    }
    if let Some(cut) = authority.find(['/', '?', '#', '\\']) {
        let whole = authority.get(..cut).unwrap_or_default();
        let write = echo(&format!("{scheme}://{whole}"));
        return Err(format!(
            "has a path or a query; the client's are sent, so write {write}"
        ));
    }
    let (host, port) = host_and_port(authority)?;
    let host = match host.parse::<IpAddr>() {
        Ok(address) => {
            origin_address(address)
                .map_err(|why| format!("{} is {why}; an origin may not be there", echo(&host)))?;
            address.to_string()
        }
        Err(_) => host,
    };
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    Ok(Server::of(tls, host, port))
}

/// One address, or a block of them.
pub fn block(text: &str) -> Result<IpNet, String> {
    let single = text.parse::<IpAddr>().map(IpNet::from);
    single.or_else(|_| text.parse()).map_err(|_| {
        format!(
            "{} is no address and no block of addresses such as 10.0.0.0/8",
            echo(text)
        )
    })
}

/// Whether an origin may be at an address, given or looked up; refused with what the address is. Nothing
/// that serves content has such an address, but a cloud's secrets do.
pub fn origin_address(address: IpAddr) -> Result<(), &'static str> {
    /// Where Amazon answers the metadata of a machine over IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let address = reached(address);
    let (link_local, metadata) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast()),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6 == METADATA),
    };
    match address {
        _ if address.is_unspecified() => Err("the unspecified address"),
        _ if address.is_multicast() => Err("a multicast address"),
        _ if link_local => Err("a link-local address, where clouds keep their metadata"),
        IpAddr::V4(_) if metadata => Err("the broadcast address"),
        IpAddr::V6(_) if metadata => Err("a cloud's metadata address"),
        _ => Ok(()),
    }
}

/// The IPv4 address that a mapped (::ffff:a.b.c.d) or translated (RFC 6052 §2.1: 64:ff9b::a.b.c.d) one reaches.
fn reached(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
            }
            _ => address.to_canonical(),
        },
        IpAddr::V4(_) => address,
    }
}

/// `*`, `*.example.com` or `www.example.com`, in any case.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, String> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return Err(format!(
            "{} has a scheme; write the host alone: {}",
            echo(text),
            echo(host)
        ));
    }
    if let Some(cut) = text.find(['/', '?', '#']) {
        let host = text.get(..cut).unwrap_or_default();
        return Err(format!(
            "{} has a path; write the host alone: {} (paths go into [[site.rule]])",
            echo(text),
            echo(host)
        ));
    }
    let (wildcard, rest) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.contains('*') {
        return Err(format!(
            "{}: `*` stands alone or for the first labels, as in \"*.example.com\"",
            echo(text)
        ));
    }
    let (host, port) = host_and_port(rest)?;
    if port.is_some() {
        let write = text.rsplit_once(':').map_or(text, |(host, _)| host);
        return Err(format!(
            "{} has a port; every port is meant, so write {}",
            echo(text),
            echo(write)
        ));
    }
    match (wildcard, host.parse::<IpAddr>()) {
        (true, Ok(_)) => Err(format!("{}: an address has nothing below it", echo(text))),
        (true, Err(_)) => Ok(HostPattern::Below(host)),
        (false, Ok(IpAddr::V6(v6))) => Ok(HostPattern::Exact(format!("[{v6}]"))),
        (false, _) => Ok(HostPattern::Exact(host)),
    }
}

/// The `Host` an origin is sent: a host, with a port where it needs one.
pub(super) fn authority(text: &str) -> Result<String, String> {
    let (host, port) = host_and_port(text)?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(port.map_or(host.clone(), |port| format!("{host}:{port}")))
}

/// The name in a certificate: a host name or an address, without a port.
pub(super) fn server_name(text: &str) -> Result<String, String> {
    match host_and_port(text)? {
        (host, None) => Ok(host),
        (host, Some(_)) => Err(format!("{} has a port; write {}", echo(text), echo(&host))),
    }
}

/// The `path` of a rule.
pub(super) fn path_pattern(text: &str) -> Result<PathPattern, String> {
    if !text.starts_with(['/', '*']) {
        return Err(format!(
            "{} begins with neither `/` nor `*`; write {}",
            echo(text),
            echo(&format!("/{text}"))
        ));
    }
    match text
        .chars()
        .find(|c| !c.is_ascii_graphic() || ['?', '#'].contains(c))
    {
        Some('?' | '#') => Err(format!(
            "{}: a rule looks at the path alone; leave out the query",
            echo(text)
        )),
        Some(bad) => Err(format!(
            "{bad:?} never stands in a request's path; percent-encode it, as browsers do"
        )),
        None => Ok(PathPattern(text.to_owned())),
    }
}

/// A host (lower-case; IPv6 without its brackets) and its port, if it names one.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest
                .split_once(']')
                .ok_or_else(|| format!("{} lacks its closing ]", echo(text)))?;
            let address: Ipv6Addr = address
                .parse()
                .map_err(|_| format!("{} is not an IPv6 address", echo(address)))?;
            let port = match after {
                "" => None,
                _ => Some(
                    after
                        .strip_prefix(':')
                        .ok_or_else(|| format!("{} follows the address", echo(after)))?,
                ),
            };
            (address.to_string(), port)
        }
        None if text.parse::<Ipv6Addr>().is_ok() => {
            return Err(format!("write an IPv6 address in brackets: \"[{text}]\""));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host_name(host)?, Some(port)),
            None => (host_name(text)?, None),
        },
    };
    let port = match port {
        Some(port) => Some(
            port_number(port)
                .ok_or_else(|| format!("{} is not a port; 1 to 65535 are", echo(port)))?,
        ),
        None => None,
    };
    Ok((host, port))
}

/// A DNS name or an IPv4 address.
fn host_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("names no host".into());
    }
    if !text.is_ascii() {
        return Err(format!(
            "{}: write the ASCII form of the name (xn--…), as it is sent",
            echo(text)
        ));
    }
    if let Some(name) = text.strip_suffix('.') {
        return Err(format!(
            "{} ends in a dot; write {}",
            echo(text),
            echo(name)
        ));
    }
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(fine);
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(format!("{} is not a host name or address", echo(text)));
    }
    let lower = text.to_ascii_lowercase();
    // The resolver takes `0x7f.1` and `2130706433` for IPv4 addresses; we take one spelling only.
    let last = lower.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if numeric && lower.parse::<Ipv4Addr>().is_err() {
        return Err(format!(
            "{} is not an IPv4 address; write four numbers from 0 to 255",
            echo(text)
        ));
    }
    Ok(lower)
}

fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}
