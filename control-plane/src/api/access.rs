//! Who may do what: by the token that is shown, or the certificate. Pure; [`super::gate`] asks.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use seawall_config::tokens::{TokenEntry, TokenScope};
use seawall_config::{Scope, Site};
use subtle::ConstantTimeEq;

/// Bytes of a token that is looked at; ours have 43.
const TOKEN_BYTES_MAX: usize = 256;

/// Where programs that were written for others show their token.
pub(super) const FASTLY_KEY: &str = "fastly-key";
const CLOUDFLARE_KEY: &str = "x-auth-key";

/// Whom an API lets in.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everyone on this machine: `seawall run` and `seawall demo`, on loopback.
    Open,
    /// Who shows a token, or an edge's certificate.
    Guarded(Tokens),
}

/// The tokens that are let in; can be exchanged while they are in use.
#[derive(Clone, Debug, Default)]
// std's: nothing awaits while it is held.
pub struct Tokens(Arc<Mutex<Arc<[TokenEntry]>>>);

/// Where a request comes from; whoever accepts connections puts it among its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub address: IpAddr,
    /// The edge whose certificate was shown, and found good.
    pub edge: Option<String>,
}

/// Who asks, as far as that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Someone on this machine, where nobody is asked who he is.
    Anyone,
    Token(TokenEntry),
    /// By its certificate.
    Edge(String),
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To see anything at all.
    See,
    /// To see what belongs to all sites.
    SeeAll,
    /// To see the site that the address names.
    SeeSite,
    /// To look a site up by what it is; which of them are seen is looked at then: [`Who::sees`].
    FindSite,
    /// To purge; what exactly is looked at when the request has been read: [`may_purge`].
    Purge,
    /// To change the site that the address names.
    WriteSite,
    /// To change what belongs to all sites.
    WriteAll,
    /// To follow the feed: an edge, or whoever may see all.
    Follow,
    /// To be the edge that the address names.
    BeEdge,
    /// To purge as that edge, what its clients may purge there.
    PurgeAsEdge,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nothing was shown, or what nobody knows.
    Unknown,
    /// What is missing, for a person.
    Forbidden(String),
}

impl Tokens {
    pub fn new(entries: Vec<TokenEntry>) -> Self {
        let tokens = Self::default();
        tokens.replace(entries);
        tokens
    }

    /// From now on only these.
    pub fn replace(&self, entries: Vec<TokenEntry>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = entries.into();
    }

    /// The entry of a token. Every entry is compared, and each in constant time.
    fn find(&self, token: &str) -> Option<TokenEntry> {
        let entries = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let hash = hash_of(token);
        let mut found = None;
        for entry in entries.iter() {
            if bool::from(hash.ct_eq(&entry.sha256)) {
                found = Some(entry.clone());
            }
        }
        found
    }
}

impl Caller {
    /// Someone of whom nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            edge: None,
        }
    }
}

impl Who {
    /// As the audit log calls them.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Anyone => "anyone on this machine",
            Self::Token(token) => &token.name,
            Self::Edge(id) => id,
        }
    }

    /// Whether they may do that; `named`: the site, or the edge, that the address names.
    pub(super) fn may(&self, right: Right, named: Option<&str>) -> Result<(), Denied> {
        let token = match self {
            Self::Anyone => return Ok(()),
            Self::Edge(id) => {
                return match right {
                    Right::See | Right::Follow => Ok(()),
                    Right::BeEdge | Right::PurgeAsEdge if named == Some(id) => Ok(()),
                    _ => Err(forbidden(format!(
                        "this is the certificate of the edge {id:?}, and lets in nothing but that edge"
                    ))),
                };
            }
            Self::Token(token) => token,
        };
        let wanted: &[TokenScope] = match right {
            Right::See => return Ok(()),
            Right::SeeAll => &[TokenScope::Read],
            Right::SeeSite | Right::FindSite => &[TokenScope::Read, TokenScope::Write],
            Right::Purge => &[TokenScope::Purge],
            Right::WriteSite | Right::WriteAll => &[TokenScope::Write],
            Right::Follow => &[TokenScope::Edge, TokenScope::Read],
            Right::BeEdge | Right::PurgeAsEdge => &[TokenScope::Edge],
        };
        if !wanted.iter().any(|scope| token.scopes.contains(scope)) {
            let wanted: Vec<_> = wanted.iter().map(|scope| scope.as_str()).collect();
            let why = format!(
                "the token {:?} has not the scope {}",
                token.name,
                wanted.join(" or ")
            );
            return Err(forbidden(why));
        }
        let is_limited = !token.sites.is_empty();
        let is_its_own = named.is_some_and(|site| token.sites.iter().any(|own| own == site));
        match right {
            Right::SeeSite | Right::WriteSite if is_limited && !is_its_own => Err(limited(token)),
            Right::SeeAll | Right::WriteAll | Right::Follow if is_limited => Err(limited(token)),
            Right::BeEdge | Right::PurgeAsEdge if !token.may_be(named) => Err(forbidden(format!(
                "the token {:?} is limited to its edges: {}",
                token.name,
                token.edges.join(", ")
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a site is among those that they may look up.
    pub(super) fn sees(&self, site: &str) -> bool {
        let limit = self.limit();
        limit.is_none_or(|own| own.iter().any(|name| name == site))
    }

    /// The sites they are limited to; None: to none.
    pub(super) fn limit(&self) -> Option<&[String]> {
        match self {
            Self::Token(token) if !token.sites.is_empty() => Some(&token.sites),
            _ => None,
        }
    }
}

/// Who asks. A token is believed before a certificate: it was shown on purpose.
pub(super) fn identify(
    access: &Access,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Who, Denied> {
    let Access::Guarded(tokens) = access else {
        return Ok(Who::Anyone);
    };
    let shown = [AUTHORIZATION.as_str(), FASTLY_KEY, CLOUDFLARE_KEY];
    if let Some(name) = shown.iter().find(|name| headers.contains_key(**name)) {
        let token = match *name == AUTHORIZATION.as_str() {
            true => bearer(headers),
            false => only(headers, name),
        };
        let token = token.filter(|token| token.len() <= TOKEN_BYTES_MAX);
        let token = token.and_then(|token| tokens.find(token));
        return token.map(Who::Token).ok_or(Denied::Unknown);
    }
    caller.edge.clone().map(Who::Edge).ok_or(Denied::Unknown)
}

/// Whether a token that is limited to `sites` may purge these scopes: the sites themselves, and what belongs to hosts
/// that they name exactly, which no other site can have.
pub(super) fn may_purge(scopes: &[Scope], sites: &[Site]) -> Result<(), Denied> {
    let owns = |host: &str| {
        let name = match host.rfind(':') {
            Some(at) if !host.ends_with(']') => host.get(..at).unwrap_or(host),
            _ => host,
        };
        let hosts = sites.iter().flat_map(|site| &site.hosts);
        hosts.into_iter().any(|pattern| pattern.to_string() == name)
    };
    for scope in scopes {
        let is_its_own = match scope {
            Scope::Site(name) => sites.iter().any(|site| site.name == *name),
            Scope::Host(host) => owns(host),
            Scope::Prefix(target) | Scope::Url(target) => owns(&target.host),
            Scope::Everything | Scope::Tag(_) => false,
        };
        if !is_its_own {
            return Err(forbidden(format!(
                "{scope} is not only its own: a token that is limited to sites purges these, and hosts, prefixes and \
                 URLs of hosts that they name exactly"
            )));
        }
    }
    Ok(())
}

/// Whether a token that is limited to sites may put this. Hosts are given by whoever may write all sites: or one site
/// could take what comes for another, or for nobody.
pub(super) fn may_put(there: Option<&Site>, wanted: &Site) -> Result<(), Denied> {
    let Some(there) = there else {
        let why = "a token that is limited to sites makes none: who may write all sites does";
        return Err(forbidden(why.into()));
    };
    match wanted.hosts.iter().find(|host| !there.hosts.contains(host)) {
        None => Ok(()),
        Some(host) => Err(forbidden(format!(
            "{host} is not among the site's hosts: a token that is limited to sites leaves hosts as they are, or fewer"
        ))),
    }
}

/// What is kept of a token. It has 256 random bits, so nothing slower is needed.
pub fn hash_of(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    let fine = scheme.eq_ignore_ascii_case("bearer");
    fine.then_some(token.trim())
}

/// The value of a field that is said once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    only.to_str().ok()
}

fn limited(token: &TokenEntry) -> Denied {
    forbidden(format!(
        "the token {:?} is limited to its sites: {}",
        token.name,
        token.sites.join(", ")
    ))
}

fn forbidden(why: String) -> Denied {
    Denied::Forbidden(why)
}

#[cfg(test)]
#[path = "access/tests.rs"]
mod tests;
