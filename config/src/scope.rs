//! What one purge covers: everything, a site, a host, a path prefix, a URL, a tag.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

mod request;

pub use request::{PURGE_SCOPES_MAX, Purge, PurgeRequest, SETTLE_MAX};

/// Bytes of one tag.
pub const TAG_BYTES_MAX: usize = 1_024;
/// Segments of one path prefix: what an object's own path is compared with.
pub const PREFIX_SEGMENTS_MAX: usize = 32;
const URL_BYTES_MAX: usize = 16 * 1024;

/// What one purge covers. The texts are canonical: a host is lower-case without its default port,
/// a path is exactly what the edge's key holds.
///
/// What cannot be read as one of these, because a newer version wrote it, is read as everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Scope {
    Everything,
    Site(String),
    /// A host, with every port when it names none.
    Host(String),
    /// A path and all below it: `/a` covers `/a`, `/a/…` and `/a?…`, not `/ab`.
    Prefix(Target),
    Url(Target),
    Tag(String),
}

/// Where a URL or a prefix points.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// None covers both schemes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    pub host: String,
    /// Path and query exactly as a request line spells them; a prefix has no query and no slash at its end.
    pub path: String,
}

/// How a client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

/// Hard: never served again. Soft: not without validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Hard,
    Soft,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The default port as the end of an authority.
    fn colon_port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // To purge too much is the safe mistake.
        Ok(Self::deserialize(value).unwrap_or(Self::Everything))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Site(name) => write!(f, "site {name}"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Prefix(target) => write!(f, "prefix {target}"),
            Self::Url(target) => write!(f, "url {target}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}:", scheme.as_str())?;
        }
        write!(f, "//{}{}", self.host, self.path)
    }
}

/// `http://host/path`, `//host/path` or `host/path`; without a scheme both are meant.
pub fn target(text: &str) -> Result<Target, String> {
    if text.len() > URL_BYTES_MAX {
        return Err(format!("longer than {URL_BYTES_MAX} bytes"));
    }
    if let Some(bad) = text
        .chars()
        .find(|c| c.is_ascii_control() || *c == ' ' || !c.is_ascii())
    {
        return Err(format!(
            "{bad:?} cannot stand in a URL as it is sent; percent-encode it"
        ));
    }
    if text.contains('#') {
        return Err("a fragment (#…) is never sent to a server; leave it out".into());
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(Scheme::Http), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(Scheme::Https), rest),
        Some((scheme, _)) if !scheme.contains(['/', '?']) => {
            return Err(format!(
                "the scheme is {scheme:?}; http and https are served here"
            ));
        }
        _ => (None, text.strip_prefix("//").unwrap_or(text)),
    };
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(cut);
    if authority.is_empty() {
        return Err("no host: write it as http://host/path, //host/path or host/path".into());
    }
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let any = host(authority, None)?;
    // A default port names its scheme. Left in the host it would match no key: a key never holds one.
    let scheme = scheme.or_else(|| {
        [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|s| any.ends_with(s.colon_port()))
    });
    Ok(Target {
        scheme,
        host: host(authority, scheme)?,
        path,
    })
}

/// A [`target`] without query and without the slash at its end, of at most [`PREFIX_SEGMENTS_MAX`] segments.
pub fn prefix(text: &str) -> Result<Target, String> {
    let mut target = target(text)?;
    if target.path.contains('?') {
        return Err("a prefix is a path; it has no query".into());
    }
    target
        .path
        .truncate(target.path.trim_end_matches('/').len());
    if target.path.matches('/').count() > PREFIX_SEGMENTS_MAX {
        return Err(format!("more than {PREFIX_SEGMENTS_MAX} segments"));
    }
    Ok(target)
}

/// A host name or address, lower-cased, with its port unless that is the default of its scheme.
pub fn host(text: &str, scheme: Option<Scheme>) -> Result<String, String> {
    let mut lower = text.to_ascii_lowercase();
    let (name, port) = match lower.rfind(':') {
        Some(at) if !lower.ends_with(']') => (&lower[..at], Some(&lower[at + 1..])),
        _ => (lower.as_str(), None),
    };
    let bracketed = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.len() <= 253
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    if !fine {
        return Err(format!("{text:?} is not a host name or address"));
    }
    let Some(port) = port else {
        return Ok(lower);
    };
    let number = match port.bytes().all(|b| b.is_ascii_digit()) {
        true => port.parse::<u16>().ok().filter(|n| *n > 0),
        false => None,
    };
    let Some(number) = number else {
        return Err(format!("{port:?} is not a port"));
    };
    let is_default = scheme.is_some_and(|scheme| scheme.default_port() == number);
    // Spelt as a number is, it stays as it is.
    if !is_default && !port.starts_with('0') {
        return Ok(lower);
    }
    let name_bytes = name.len();
    lower.truncate(name_bytes);
    Ok(match is_default {
        true => lower,
        false => format!("{lower}:{number}"),
    })
}

/// One tag as an origin would send it: visible ASCII, no spaces and no commas (they part tags).
pub fn tag(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > TAG_BYTES_MAX {
        return Err(format!("a tag has 1 to {TAG_BYTES_MAX} bytes"));
    }
    match text.chars().find(|c| !c.is_ascii_graphic() || *c == ',') {
        Some(bad) => Err(format!("{bad:?} cannot stand in a tag")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_spelt_as_the_key_spells_it() {
        let check = |text: &str, expect: &str| match target(text) {
            Ok(target) => assert_eq!(target.to_string(), expect, "{text:?}"),
            Err(message) => assert_eq!(message, expect, "{text:?}"),
        };
        check("http://Example.COM/A?b", "http://example.com/A?b");
        check("https://example.com:443", "https://example.com/");
        check("http://example.com:443/", "http://example.com:443/");
        check("example.com:8080/a", "//example.com:8080/a");
        check("example.com:80/a", "http://example.com/a");
        check("//example.com:443/a", "https://example.com/a");
        check("//example.com?q", "//example.com/?q");
        check("http://[::1]:80/a", "http://[::1]/a");
        check(
            "example.com/a?next=http://other/",
            "//example.com/a?next=http://other/",
        );
        check(
            "/a",
            "no host: write it as http://host/path, //host/path or host/path",
        );
        check(
            "ftp://a/b",
            "the scheme is \"ftp\"; http and https are served here",
        );
        check(
            "http://a/b#c",
            "a fragment (#…) is never sent to a server; leave it out",
        );
        check(
            "http://a/b c",
            "' ' cannot stand in a URL as it is sent; percent-encode it",
        );
        check("http://user@a/", "\"user@a\" is not a host name or address");
        check("http://a:0/", "\"0\" is not a port");
        check("http://a:+8/", "\"+8\" is not a port");
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        assert_eq!(prefix("http://a/b/").expect("fine").path, "/b");
        assert_eq!(prefix("http://a/").expect("fine").path, "");
        assert!(prefix("http://a/b?c").is_err());
        assert!(prefix(&format!("http://a{}", "/b".repeat(33))).is_err());
    }
}
