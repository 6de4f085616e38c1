//! The first look at a request: is it one we may answer, for whom, and under which key? Pure.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use seawall_config::scope::Scheme;
use seawall_config::{Epoch, Revision, Token};

use crate::answer::{Journey, Wanted};
use crate::key::{Named, TARGET_BYTES_MAX, Unkeyable};
use crate::ledger::Birth;
use crate::origin::request::Pseudonym;
use crate::rules::fields;
use crate::snapshot::{Served, Snapshot};

/// Bytes of a request's header block.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Fields of a request.
pub const FIELDS_MAX: usize = 100;

/// The method that other caches have for it.
const PURGE: &str = "PURGE";
/// Carries a [`Token`]: read your purge, at any edge.
pub const MIN_REVISION: &str = "seawall-min-revision";

/// A request line and its fields, as a door read them.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a Method,
    pub scheme: Scheme,
    /// Where the target named one (absolute-form, HTTP/2's `:authority`).
    pub authority: Option<&'a str>,
    /// Path and query; None where the target has no such form.
    pub target: Option<&'a str>,
    pub fields: &'a Arc<HeaderMap>,
    pub client: Option<SocketAddr>,
}

/// Whose request it is.
#[derive(Debug)]
pub enum Admitted {
    /// GET or HEAD without a body: answered from here.
    Ours(Journey),
    /// `PURGE`, of a site that lets this client: passed on to a control plane.
    Purges(Journey),
    /// Anything else that may pass to the origin.
    Passes(Journey),
}

impl Admitted {
    pub fn journey(&self) -> &Journey {
        let (Self::Ours(journey) | Self::Purges(journey) | Self::Passes(journey)) = self;
        journey
    }
}

/// Why a request goes no further. Where the message itself is in doubt the connection is closed, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    HeadTooLarge,
    TargetTooLong,
    BadTarget,
    BadHost,
    /// Two lengths, or a length and a coding.
    AmbiguousLength,
    ProtectedNominated,
    /// `Seawall-Min-Revision` is malformed, or of another epoch.
    BadToken,
    MethodNotAllowed,
    /// `PURGE` by a client that the site does not name, or with a body.
    MayNotPurge,
    NoConfiguration,
    NoSite,
    Loop,
    /// The certificate that the client was shown is not this host's, or the one it had to show was for another's.
    Misdirected,
    /// The site asks for a certificate, which nobody can show in clear.
    NoCertificate,
}

/// `birth` says what a fetch for the site it is routed to is born as.
pub fn admit(
    asked: Asked<'_>,
    snapshot: &Arc<Snapshot>,
    by: &Pseudonym,
    birth: impl FnOnce(&Served) -> Birth,
) -> Result<Admitted, Refused> {
    let Asked {
        method,
        scheme,
        fields,
        ..
    } = asked;
    let bytes: usize = fields
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if bytes > HEAD_BYTES_MAX || fields.len() > FIELDS_MAX {
        return Err(Refused::HeadTooLarge);
    }
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refused::MethodNotAllowed);
    }
    let target = asked.target.ok_or(Refused::BadTarget)?;
    let authority = authority(asked)?;
    let has_body = body_follows(fields)?;
    if fields::nominates_protected(fields) {
        return Err(Refused::ProtectedNominated);
    }
    if !snapshot.is_configured() {
        return Err(Refused::NoConfiguration);
    }
    // Routed by the same host the key will hold.
    let named = Named::new(scheme, authority, target)?;
    let served = snapshot
        .routes()
        .find(&named.host)
        .ok_or(Refused::NoSite)?
        .clone();
    if scheme == Scheme::Http && served.clients.is_some() {
        return Err(Refused::NoCertificate);
    }
    if by.loops(fields, snapshot.epoch.0) {
        return Err(Refused::Loop);
    }
    let wanted = wanted(fields, snapshot.epoch)?;
    let journey = Journey {
        key: named.of(served.document.created),
        birth: birth(&served),
        wanted: wanted
            .filter(|wanted| *wanted > snapshot.revision)
            .map(|revision| Wanted {
                revision,
                since_ms: u64::MAX,
            }),
        snapshot: snapshot.clone(),
        served,
        method: method.clone(),
        fields: own_words(fields),
        client: asked.client,
    };
    let upgrades = journey.served.site.websocket && asks_for_websocket(method, fields);
    sorted(journey, has_body, upgrades)
}

/// Who answers it.
fn sorted(journey: Journey, has_body: bool, upgrades: bool) -> Result<Admitted, Refused> {
    let ours = matches!(journey.method, Method::GET | Method::HEAD) && !has_body && !upgrades;
    Ok(match journey.served.site.purge_from.is_empty() {
        _ if ours => Admitted::Ours(journey),
        false if journey.method.as_str() == PURGE => match !has_body && may_purge(&journey) {
            true => Admitted::Purges(journey),
            false => return Err(Refused::MayNotPurge),
        },
        _ => Admitted::Passes(journey),
    })
}

fn may_purge(journey: &Journey) -> bool {
    let client = journey.client.map(|client| client.ip());
    client.is_some_and(|client| journey.served.site.may_purge(client))
}

/// What the client says of its request, without what belongs to the connection: rules and origin see the same.
fn own_words(fields: &Arc<HeaderMap>) -> Arc<HeaderMap> {
    let crumbs = fields.get_all(header::COOKIE).iter();
    let crumbs: Vec<_> = crumbs.map(HeaderValue::as_bytes).collect();
    if crumbs.len() <= 1 && !fields::has_hop(fields) {
        return fields.clone();
    }
    let mut own = (**fields).clone();
    fields::strip_hop(&mut own);
    // RFC 9113 §8.2.3: the crumbs of an HTTP/2 Cookie are one field again before anyone else reads them.
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        own.insert(header::COOKIE, cookie);
    }
    Arc::new(own)
}

/// The one protocol that is passed on, where the site allows it: RFC 9110 §7.8 lets any other wish be ignored.
fn asks_for_websocket(method: &Method, fields: &HeaderMap) -> bool {
    let upgrade = fields.get(header::UPGRADE).map(HeaderValue::as_bytes);
    *method == Method::GET && upgrade.is_some_and(|wish| wish.eq_ignore_ascii_case(b"websocket"))
}

/// RFC 9112 §3.2: one Host, and where the target names the authority, that one counts and Host agrees.
fn authority(asked: Asked<'_>) -> Result<&str, Refused> {
    let mut hosts = asked.fields.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Refused::BadHost),
        (Some(host), None) => Some(host.to_str().map_err(|_| Refused::BadHost)?),
        (None, _) => None,
    };
    match (asked.authority, host) {
        (Some(named), Some(host)) if !named.eq_ignore_ascii_case(host) => Err(Refused::BadHost),
        (Some(named), _) => Ok(named),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(Refused::BadHost),
    }
}

/// The revision a client has read about in a receipt, and wants to be served from at least.
fn wanted(fields: &HeaderMap, epoch: Epoch) -> Result<Option<Revision>, Refused> {
    let Some(line) = fields.get(MIN_REVISION) else {
        return Ok(None);
    };
    let token = line
        .to_str()
        .ok()
        .and_then(|line| line.parse::<Token>().ok());
    match token.filter(|token| token.epoch == epoch) {
        Some(token) => Ok(Some(token.revision)),
        None => Err(Refused::BadToken),
    }
}

/// Whether a body follows; a request that two readers could frame differently is refused (RFC 9112 §6.1, §6.3).
fn body_follows(fields: &HeaderMap) -> Result<bool, Refused> {
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let codings = fields.get_all(header::TRANSFER_ENCODING).iter().count();
    let Some(length) = lengths.next() else {
        return Ok(codings > 0);
    };
    let digits = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if codings > 0 || !digits || lengths.any(|other| other != length) {
        return Err(Refused::AmbiguousLength);
    }
    Ok(length.as_bytes().iter().any(|digit| *digit != b'0'))
}

impl Refused {
    pub fn status(self) -> StatusCode {
        match self {
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::BadTarget
            | Self::BadHost
            | Self::AmbiguousLength
            | Self::ProtectedNominated
            | Self::BadToken => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::MayNotPurge | Self::NoCertificate => StatusCode::FORBIDDEN,
            Self::NoConfiguration => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSite => StatusCode::NOT_FOUND,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    pub fn detail(self) -> &'static str {
        match self {
            Self::HeadTooLarge => {
                "the header block is larger than 32 KiB or has more than 100 fields"
            }
            Self::TargetTooLong => "the request target is longer than 16 KiB",
            Self::BadTarget => "the request target is not a plain path",
            Self::BadHost => "Host is missing, doubled, malformed or not what the target names",
            Self::AmbiguousLength => "the length of the body is ambiguous",
            Self::ProtectedNominated => "Connection names a field that is not its own",
            Self::BadToken => {
                "Seawall-Min-Revision is not a token of this deployment: <epoch>-<revision>"
            }
            Self::MethodNotAllowed => "this method is not served",
            Self::MayNotPurge => {
                "PURGE is for clients that the site's purge_from names, and has no body"
            }
            Self::NoConfiguration => "no configuration yet; the control plane has not been reached",
            Self::NoSite => "no site answers for this host",
            Self::Loop => "this request has been here before (CDN-Loop)",
            Self::Misdirected => "this connection was made for another host",
            Self::NoCertificate => "this site asks for a client certificate; ask over https",
        }
    }

    /// Whether the connection is closed after the answer.
    pub fn closes(self) -> bool {
        !matches!(
            self,
            Self::BadToken
                | Self::NoConfiguration
                | Self::NoSite
                | Self::Loop
                | Self::Misdirected
                | Self::NoCertificate
        )
    }
}

impl From<Unkeyable> for Refused {
    fn from(why: Unkeyable) -> Self {
        match why {
            Unkeyable::NoHost | Unkeyable::BadHost => Self::BadHost,
            Unkeyable::BadTarget => Self::BadTarget,
            Unkeyable::TargetTooLong => Self::TargetTooLong,
        }
    }
}

const _: () = assert!(
    TARGET_BYTES_MAX == 16 * 1024,
    "the text of TargetTooLong says so"
);

#[cfg(test)]
mod tests;
