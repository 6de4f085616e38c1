//! The name of an object: what two requests must agree on to share a stored response.
//!
//! site incarnation · client scheme · host · exact path and query; length-prefixed, so that no two
//! different requests spell the same key. What is sent to the origin is derived from this same value.

use std::fmt;
use std::sync::Arc;

use seawall_config::Revision;
use seawall_config::scope::{self, Scheme};

/// Bytes of a request line's target.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;
/// More than the numbers in front of a key take.
const HEAD_BYTES: usize = 40;

/// Cheap to clone; compares and hashes as its bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    bytes: Arc<str>,
    host_at: usize,
    target_at: usize,
}

/// What a key says but for the site, which is found by the host.
#[derive(Debug)]
pub struct Named<'a> {
    scheme: Scheme,
    /// As [`Key::host`].
    pub host: String,
    target: &'a str,
}

/// Why a request has no key: it is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkeyable {
    NoHost,
    BadHost,
    BadTarget,
    TargetTooLong,
}

impl Key {
    /// For tests. `site` is the revision that created the site, `authority` the Host as the client sent it, `target`
    /// path and query as they came.
    #[cfg(any(test, fuzzing, feature = "simulation"))]
    pub fn new(
        site: Revision,
        scheme: Scheme,
        authority: &str,
        target: &str,
    ) -> Result<Self, Unkeyable> {
        Ok(Named::new(scheme, authority, target)?.of(site))
    }

    pub fn scheme(&self) -> Scheme {
        match self
            .bytes
            .get(..self.host_at)
            .is_some_and(|head| head.contains("https"))
        {
            true => Scheme::Https,
            false => Scheme::Http,
        }
    }

    /// Lower-case, with its port unless that is the scheme's default.
    pub fn host(&self) -> &str {
        self.bytes
            .get(self.host_at..self.target_at)
            .unwrap_or_default()
    }

    /// Path and query, exactly.
    pub fn target(&self) -> &str {
        self.bytes.get(self.target_at..).unwrap_or_default()
    }

    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The key of another target on the same site, scheme and host.
    pub fn sibling(&self, target: &str) -> Option<Self> {
        if !target_is_plain(target) || target.len() > TARGET_BYTES_MAX {
            return None;
        }
        let head = self.bytes.get(..self.target_at)?;
        let bytes = format!("{head}{target}").into();
        Some(Self {
            bytes,
            host_at: self.host_at,
            target_at: self.target_at,
        })
    }

    /// The same place under the other scheme.
    pub fn other_scheme(&self) -> Self {
        let site = self.bytes.split(':').next().unwrap_or_default();
        let other = match self.scheme() {
            Scheme::Http => Scheme::Https,
            Scheme::Https => Scheme::Http,
        };
        let (host, target) = (self.host(), self.target());
        let head = format!("{site}:{}:{}:", other.as_str(), host.len());
        let host_at = head.len();
        Self {
            bytes: format!("{head}{host}{target}").into(),
            host_at,
            target_at: host_at + host.len(),
        }
    }

    /// What it weighs in memory, in bytes.
    pub fn weight(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> Named<'a> {
    pub fn new(scheme: Scheme, authority: &str, target: &'a str) -> Result<Self, Unkeyable> {
        if authority.is_empty() {
            return Err(Unkeyable::NoHost);
        }
        let host = scope::host(authority, Some(scheme)).map_err(|_| Unkeyable::BadHost)?;
        if target.len() > TARGET_BYTES_MAX {
            return Err(Unkeyable::TargetTooLong);
        }
        if !target_is_plain(target) {
            return Err(Unkeyable::BadTarget);
        }
        Ok(Self {
            scheme,
            host,
            target,
        })
    }

    pub fn of(&self, site: Revision) -> Key {
        let Self {
            scheme,
            host,
            target,
        } = self;
        // The numbers in front say where each part ends, so no host can pretend to be the start of a path.
        let mut bytes = String::with_capacity(HEAD_BYTES + host.len() + target.len());
        let (site, host_bytes) = (site.0, host.len());
        let (mut site_digits, mut host_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        bytes.push_str(site_digits.format(site));
        bytes.push(':');
        bytes.push_str(scheme.as_str());
        bytes.push(':');
        bytes.push_str(host_digits.format(host_bytes));
        bytes.push(':');
        let host_at = bytes.len();
        bytes.push_str(host);
        let target_at = bytes.len();
        bytes.push_str(target);
        Key {
            bytes: bytes.into(),
            host_at,
            target_at,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme().as_str(),
            self.host(),
            self.target()
        )
    }
}

/// Origin-form, of bytes that a request to an origin can carry, and none of those by which an origin and a cache come
/// to read one path as two: an encoded NUL, CR or LF, or a backslash (web cache deception).
fn target_is_plain(target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let carried = |byte: u8| byte.is_ascii_graphic() && !b"\\#<>".contains(&byte);
    let mut threes = path.as_bytes().windows(3);
    let encoded = threes.any(|three| matches!(three, b"%00" | b"%0a" | b"%0A" | b"%0d" | b"%0D"));
    path.starts_with('/')
        && path.bytes().all(|byte| carried(byte) && byte != b'`')
        && query.bytes().all(|byte| carried(byte) && byte != b'"')
        && !encoded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(scheme: Scheme, host: &str, target: &str) -> Result<Key, Unkeyable> {
        Key::new(Revision(7), scheme, host, target)
    }

    #[test]
    fn a_key_keeps_path_and_query_exactly_and_folds_only_the_host() {
        let check = |scheme, host, target, expect: &str| {
            let shown = match key(scheme, host, target) {
                Ok(key) => format!("{key:?}"),
                Err(why) => format!("{why:?}"),
            };
            assert_eq!(shown, expect);
        };
        check(
            Scheme::Http,
            "Example.COM:80",
            "/A?b=1&a=%20",
            "http://example.com/A?b=1&a=%20",
        );
        check(
            Scheme::Https,
            "example.com:443",
            "/",
            "https://example.com/",
        );
        check(
            Scheme::Http,
            "example.com:443",
            "/",
            "http://example.com:443/",
        );
        check(Scheme::Http, "", "/", "NoHost");
        check(Scheme::Http, "a b", "/", "BadHost");
        check(Scheme::Http, "a@b", "/", "BadHost");
        check(Scheme::Http, "a", "*", "BadTarget");
        check(Scheme::Http, "a", "/x\\y", "BadTarget");
        check(Scheme::Http, "a", "/x%0d%0ay", "BadTarget");
        check(Scheme::Http, "a", "/x?y=%0a", "http://a/x?y=%0a");
        check(Scheme::Http, "a", "/é", "BadTarget");
        check(Scheme::Http, "a", "/<x>", "BadTarget");
        check(Scheme::Http, "a", "/`", "BadTarget");
        check(Scheme::Http, "a", "/x?`", "http://a/x?`");
        check(Scheme::Http, "a", "/x?\"", "BadTarget");
        check(Scheme::Http, "a", "/\"x", "http://a/\"x");
    }

    #[test]
    fn different_requests_never_share_a_key() {
        let parts = ["a", "a.b", "1", "11", "a:81"];
        let mut seen = std::collections::HashMap::new();
        for site in [1, 11] {
            for scheme in [Scheme::Http, Scheme::Https] {
                for host in parts {
                    for target in ["/", "/a", "/1", "/?1", "//"] {
                        let key = Key::new(Revision(site), scheme, host, target).unwrap();
                        assert_eq!(
                            (key.scheme(), key.host(), key.target()),
                            (scheme, host, target)
                        );
                        let other = key.other_scheme();
                        assert_ne!(other.scheme(), scheme);
                        assert_eq!((other.host(), other.target()), (host, target));
                        assert_eq!(other.other_scheme(), key);
                        assert!(seen.insert(key, ()).is_none(), "{site} {host} {target}");
                    }
                }
            }
        }
    }
}
