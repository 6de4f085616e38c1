//! What a customer configures: hosts, origin, rules. Checked types; [`Site::from_document`] is the way in.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::reader::echo;

mod address;
mod document;
mod origin;

pub use address::{block, origin_address, server};
pub use document::DOCUMENT_BYTES_MAX;
pub(crate) use document::Taken;
pub use origin::{
    Balance, Breaker, Check, ClientCertificate, Ejection, Health, ORIGIN_DENY_MAX, Origin,
    OriginTls, PRIORITY_MAX, REQUESTS_MAX, SERVERS_MAX, STATUSES_MAX, Server,
};

/// Hosts of one site.
pub const HOSTS_MAX: usize = 1_000;
/// Blocks of addresses whose clients may debug.
pub const DEBUG_FROM_MAX: usize = 64;
/// Blocks of addresses whose clients may purge at an edge.
pub const PURGE_FROM_MAX: usize = 64;
/// Requests a second to the origin for what cannot be vouched for.
pub const REFETCH_RATE_MAX: u64 = 1_000_000;
/// Bytes of the body of an error page.
pub const ERROR_PAGE_BYTES_MAX: usize = 16 * 1024;
/// How long a 404 may be kept that does not say so itself: whoever puts something there is not kept waiting.
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(10);
/// How long an answer of an origin may take in all, where the site does not say it.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// And where it does.
pub const FETCH_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Rules of one site.
pub const RULES_MAX: usize = 1_000;

/// Checked: every value is in range, every host and URL is well-formed.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub name: String,
    pub hosts: Vec<HostPattern>,
    pub origin: Origin,
    /// PEM of the authorities that sign its clients' certificates. None: no certificate is asked for.
    pub client_ca: Option<String>,
    /// Whether a client may speak to the origin over a web socket.
    pub websocket: bool,
    /// Which clients are told the key of an answer, and details of why it is as it is.
    pub debug_from: Vec<IpNet>,
    /// Which clients may purge a URL at an edge.
    pub purge_from: Vec<IpNet>,
    /// Requests a second to the origin for what may be stored and cannot be vouched for, of one edge.
    pub refetch_rate: u32,
    /// The body of an edge's own 502, 503 and 504.
    pub error_page: Option<ErrorPage>,
    /// What holds where no rule matches.
    pub policy: Policy,
    /// In order; the first whose path matches decides.
    pub rules: Vec<Rule>,
}

/// Which hosts a site answers for. An exact host wins over a wildcard, a longer wildcard over a shorter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `*`: every host that no other site names.
    Any,
    /// `*.example.com`: every host below it, not itself. Holds `example.com`.
    Below(String),
    /// `www.example.com`, without a port: every port is meant.
    Exact(String),
}

/// `[site.error_page]`: what a client reads where there is nothing else to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// With `{status}` where the status stands.
    pub body: String,
    pub content_type: String,
}

/// What a path rule or the site itself says of caching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Off: every request goes to the origin, nothing is stored.
    pub cache: bool,
    /// For responses that say nothing of freshness. Overrides no directive.
    pub default_ttl: Option<Duration>,
    /// For a 404 or 410 that says nothing of freshness; at most [`NEGATIVE_TTL_MAX`].
    pub negative_ttl: Option<Duration>,
    pub set_cookie: SetCookie,
    pub client_directives: ClientDirectives,
    /// Whether `Surrogate-Control` is read as a targeted field.
    pub surrogate_control: bool,
    /// Whether requests for the same thing share one fetch.
    pub collapse: bool,
    /// For responses that do not say it themselves.
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
    /// What an edge may encode answers in, the best first; nothing is compressed where it is empty.
    pub compress: Vec<ContentCoding>,
    pub on_partition: OnPartition,
}

/// `[[site.rule]]`: a path, and the policy that holds there (the site's, with the rule's own words over it).
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub path: PathPattern,
    pub policy: Policy,
}

/// A path in which `*` stands for any run of characters, matched against the whole path without the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(pub String);

/// What to do with a response that carries `Set-Cookie`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCookie {
    #[default]
    Refuse,
    /// Store it with its cookie, when its freshness is explicit.
    Store,
    /// Store and send it without its cookie.
    Strip,
}

/// Whether a client's `Cache-Control` and `Pragma` are obeyed (`only-if-cached` and `no-transform` always are).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    #[default]
    Ignore,
    Honour,
}

/// A content coding (RFC 9110 §8.4.1) that an edge can put an answer into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    Zstd,
    Brotli,
    Gzip,
}

/// What an edge does on a site's behalf while it cannot vouch for its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPartition {
    #[default]
    Serve,
    Revalidate,
    Refuse,
}

impl Site {
    /// The policy for a path (without its query).
    pub fn policy(&self, path: &str) -> &Policy {
        self.rule(path).map_or(&self.policy, |rule| &rule.policy)
    }

    /// The rule for a path: the first that matches.
    pub fn rule(&self, path: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.path.matches(path))
    }

    /// Whether a client at this address may see behind the answers.
    pub fn may_debug(&self, client: IpAddr) -> bool {
        is_among(client, &self.debug_from)
    }

    /// Whether a client at this address may purge a URL where it is served.
    pub fn may_purge(&self, client: IpAddr) -> bool {
        is_among(client, &self.purge_from)
    }
}

/// Whether a client's address is in one of the blocks.
pub fn is_among(client: IpAddr, blocks: &[IpNet]) -> bool {
    let client = client.to_canonical();
    blocks.iter().any(|block| block.contains(&client))
}

impl HostPattern {
    /// Whether it matches a host, without a port.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == host,
            Self::Below(above) => host
                .strip_suffix(above.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        }
    }
}

impl ContentCoding {
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As HTTP and the configuration spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(host) => write!(f, "*.{host}"),
            Self::Exact(host) => f.write_str(host),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cache: true,
            default_ttl: None,
            negative_ttl: None,
            set_cookie: SetCookie::default(),
            client_directives: ClientDirectives::default(),
            surrogate_control: false,
            collapse: true,
            stale_while_revalidate: None,
            stale_if_error: None,
            compress: Vec::new(),
            on_partition: OnPartition::default(),
        }
    }
}

impl Policy {
    /// The words that hold, as the configuration spells them; those that say nothing are left out.
    pub fn words(&self) -> Vec<String> {
        let word = |name: &str, value: &dyn fmt::Debug| {
            format!("{name} = {}", format!("{value:?}").to_lowercase())
        };
        let times = [
            ("default_ttl", self.default_ttl),
            ("negative_ttl", self.negative_ttl),
            ("stale_while_revalidate", self.stale_while_revalidate),
            ("stale_if_error", self.stale_if_error),
        ];
        let mut words = vec![
            format!("cache = {}", if self.cache { "on" } else { "off" }),
            word("set_cookie", &self.set_cookie),
            word("client_directives", &self.client_directives),
            word("surrogate_control", &self.surrogate_control),
            word("collapse", &self.collapse),
            word("on_partition", &self.on_partition),
        ];
        if !self.compress.is_empty() {
            let codings: Vec<_> = self.compress.iter().map(|coding| coding.as_str()).collect();
            words.push(format!("compress = {}", codings.join(" ")));
        }
        words.extend(
            times
                .iter()
                .filter_map(|(name, time)| time.map(|time| word(name, &time))),
        );
        words
    }
}

impl PathPattern {
    /// Whether the pattern covers the whole of `path`. Linear in both: a stranger chooses the path.
    pub fn matches(&self, path: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = path.strip_prefix(first) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A site's name: what metrics, purges and files call it.
pub fn site_name(text: &str) -> Result<String, String> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let begins = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if begins && text.len() <= 63 && text.bytes().all(fine) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not a site name: 1 to 63 of a-z 0-9 - _ . beginning with a letter or digit",
        echo(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let check = |pattern: &str, path: &str, expect: bool| {
            assert_eq!(
                PathPattern(pattern.into()).matches(path),
                expect,
                "{pattern} {path}"
            );
        };
        check("/a", "/a", true);
        check("/a", "/ab", false);
        check("/a/*", "/a/b/c", true);
        check("/a/*", "/a", false);
        check("*.jpg", "/x/y.jpg", true);
        check("*.jpg", "/x/y.jpg.html", false);
        check("/a/*/c", "/a/b/c", true);
        check("/a/*/c", "/a/c", false);
        check("/*a*a", "/a", false);
        check("*", "", true);
    }
}
