//! Where a client is: at the other end of its connection, or where a trusted proxy there says. Pure.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use seawall_config::roles::{DoorConfig, TrustedField};
use seawall_config::site::is_among;

use crate::rules::fields::{FORWARDED, FORWARDED_FOR, texts};

/// Trusted proxies one behind the other.
const HOPS_MAX: usize = 16;

/// Whose word is taken for where a client is.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    config: DoorConfig,
}

impl Trusted {
    pub fn new(config: &DoorConfig) -> Self {
        Self {
            config: config.clone(),
        }
    }

    /// Whether a connection from there begins with the PROXY protocol.
    pub fn announces(&self, peer: IpAddr) -> bool {
        self.config.proxy_protocol && self.trusts(peer)
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        is_among(address, &self.config.trusted_proxies)
    }

    /// Who asks. Each proxy adds whom it heard from at the end, so the list is read from there, for as long as those who
    /// wrote it are trusted; what stands before may be anyone's invention.
    pub fn client(&self, peer: SocketAddr, fields: &HeaderMap) -> SocketAddr {
        if !self.trusts(peer.ip()) {
            return peer;
        }
        let hops = match self.config.trusted_field {
            TrustedField::XForwardedFor => forwarded_for(fields),
            TrustedField::Forwarded => forwarded(fields),
        };
        let mut client = peer;
        for hop in hops.into_iter().rev().take(HOPS_MAX) {
            // A proxy that does not know, or does not say: then it is all we know of.
            let Some(hop) = hop else { break };
            client = hop;
            if !self.trusts(hop.ip()) {
                break;
            }
        }
        client
    }
}

/// The addresses of X-Forwarded-For; None for one that is none.
fn forwarded_for(fields: &HeaderMap) -> Vec<Option<SocketAddr>> {
    let lines = texts(fields, FORWARDED_FOR);
    let members = lines.iter().flat_map(|line| line.split(','));
    members.map(|member| node(member.trim())).collect()
}

/// RFC 7239 §4: `for` of each element. What does not parse tells nothing, nor does what comes before it.
fn forwarded(fields: &HeaderMap) -> Vec<Option<SocketAddr>> {
    let lines = texts(fields, FORWARDED);
    let elements = lines.iter().flat_map(|line| split(line, ','));
    elements.map(|element| said_for(element?)).collect()
}

fn said_for(element: &str) -> Option<SocketAddr> {
    let mut found = None;
    for pair in split(element, ';') {
        let (name, value) = pair?.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            let value = value.trim();
            let quoted = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            // §4: "Each parameter MUST NOT occur more than once per field-value".
            if found.replace(node(quoted.unwrap_or(value))?).is_some() {
                return None;
            }
        }
    }
    found
}

/// The pieces between separators outside of quotes; None at the end for a quote that stays open. No address has a
/// backslash, so what is escaped is no address.
fn split(text: &str, separator: char) -> Vec<Option<&str>> {
    let (mut pieces, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                pieces.push(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text.get(start..).filter(|_| !quoted));
    pieces
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    address
        .map(|address| SocketAddr::new(address, 0))
        .or_else(|| text.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn trusted(field: TrustedField) -> Trusted {
        let blocks = ["10.0.0.0/8", "2001:db8:1::/48"];
        Trusted::new(&DoorConfig {
            trusted_proxies: blocks.map(|block| block.parse().unwrap()).into(),
            trusted_field: field,
            ..DoorConfig::default()
        })
    }

    fn check(field: TrustedField, peer: &str, lines: &[&'static str], expect: &str) {
        let name = match field {
            TrustedField::XForwardedFor => "x-forwarded-for",
            TrustedField::Forwarded => "forwarded",
        };
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(name, http::HeaderValue::from_static(line));
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let client = trusted(field).client(peer, &fields).ip().to_string();
        assert_eq!(client, expect, "{peer} {lines:?}");
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let asks =
            |peer, lines: &[_], expect| check(TrustedField::XForwardedFor, peer, lines, expect);
        asks("192.0.2.9", &["192.0.2.1"], "192.0.2.9");
        asks("10.0.0.1", &[], "10.0.0.1");
        asks("10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        asks("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        // The client invented the first.
        asks("10.0.0.1", &["10.9.9.9, 192.0.2.1"], "192.0.2.1");
        asks("10.0.0.1", &["127.0.0.1", "192.0.2.1"], "192.0.2.1");
        asks("10.0.0.1", &["192.0.2.1, 10.0.0.2 ,10.0.0.3"], "192.0.2.1");
        asks("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2");
        asks("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1");
        asks("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.3"], "10.0.0.3");
        asks("10.0.0.1", &["192.0.2.1,"], "10.0.0.1");
        asks("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1");
        asks("10.0.0.1", &["2001:db8::1"], "2001:db8::1");
        asks(
            "10.0.0.1",
            &["[2001:db8::1]:80, [2001:db8:1::1]"],
            "2001:db8::1",
        );
        asks("10.0.0.1", &["192.0.2.1.5"], "10.0.0.1");
        asks("10.0.0.1", &["for=192.0.2.1"], "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let check = |lines: &[_], expect| check(TrustedField::Forwarded, "10.0.0.1", lines, expect);
        check(&["for=192.0.2.1"], "192.0.2.1");
        check(&["For=192.0.2.1;proto=https;by=10.0.0.1"], "192.0.2.1");
        check(&["for=127.0.0.1, for=192.0.2.1"], "192.0.2.1");
        check(&["for=\"[2001:db8::1]:4711\""], "2001:db8::1");
        check(
            &["for=192.0.2.1, for=\"[2001:db8:1::1]\";host=a"],
            "192.0.2.1",
        );
        check(&["for=192.0.2.1;for=192.0.2.2"], "10.0.0.1");
        check(&["for=192.0.2.1, for=_hidden"], "10.0.0.1");
        check(&["for=192.0.2.1, for=unknown"], "10.0.0.1");
        check(&["for=\"192.0.2.1"], "10.0.0.1");
        check(&["host=\"a, for=127.0.0.1;\";for=192.0.2.1"], "192.0.2.1");
        check(&["proto=https"], "10.0.0.1");
        check(&["192.0.2.1"], "10.0.0.1");
    }
}
