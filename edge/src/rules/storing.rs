//! May a response be stored (RFC 9111 §3)?

use http::header::{AUTHORIZATION, HeaderName, SET_COOKIE, VARY};
use http::{HeaderMap, Method, StatusCode};
use seawall_config::site::{Policy, SetCookie};

use super::directives::{Named, Response};
use super::fields::FORWARDED_FOR;
use super::freshness::{By, Freshness};
use super::ranges;

/// What storing decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storing {
    Keep,
    Refuse(Why),
}

/// Why a response is not stored, and so not shared with anyone but the client that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    SiteOff,
    Method,
    ClientNoStore,
    NoStore,
    Private,
    Authorization,
    SetCookie,
    VaryAny,
    /// More tags than are kept: a purge of one that was cut would miss it.
    TooManyTags,
    Status,
    /// Part of something, and it is not clear of what.
    Part,
    /// Nothing says that it is fresh, and there is nothing to validate it with.
    NoFreshness,
}

/// Everything the rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    pub method: &'a Method,
    pub request: &'a HeaderMap,
    /// The client's `no-store`, where the site honours it.
    pub client_no_store: bool,
    pub status: StatusCode,
    pub response: &'a HeaderMap,
    /// Its Content-Location is the request's own URL.
    pub located: bool,
    pub directives: &'a Response,
    pub freshness: &'a Freshness,
    pub policy: &'a Policy,
}

pub fn storing(exchange: Exchange<'_>) -> Storing {
    match not_ours(exchange)
        .or_else(|| forbidden(exchange))
        .or_else(|| of_no_use(exchange))
    {
        Some(why) => Storing::Refuse(why),
        None => Storing::Keep,
    }
}

/// What this cache does not store, whatever the response says.
fn not_ours(exchange: Exchange<'_>) -> Option<Why> {
    let Exchange { status, policy, .. } = exchange;
    if !policy.cache {
        return Some(Why::SiteOff);
    }
    // §3: "the request method is understood by the cache"
    let understood = match *exchange.method {
        Method::GET => true,
        Method::POST => is_what_get_brings(exchange),
        _ => false,
    };
    if !understood {
        return Some(Why::Method);
    }
    // §3: "the response status code is final"; and a 304 is no response of its own.
    if status.is_informational() || status == StatusCode::NOT_MODIFIED {
        return Some(Why::Status);
    }
    // §3.3: a part is kept where it says, and truly, of what it is one.
    let part = ranges::content_range(exchange.response);
    let placed = part.is_some_and(|part| ranges::agrees(part, exchange.response));
    (status == StatusCode::PARTIAL_CONTENT && !placed).then_some(Why::Part)
}

/// RFC 9110 §9.3.3: "Responses to POST requests are only cacheable when they include explicit freshness information …
/// and a Content-Location header field that has the same value as the POST's target URI". §8.7: a success then brings
/// what a GET would; but a 201 or 204 still speaks of the request that made it.
fn is_what_get_brings(exchange: Exchange<'_>) -> bool {
    let answers_get = matches!(
        exchange.status,
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION
    );
    answers_get && exchange.located && exchange.freshness.by.is_explicit()
}

/// What the response, or the client, forbids.
fn forbidden(exchange: Exchange<'_>) -> Option<Why> {
    let Exchange {
        request,
        status,
        response,
        directives,
        freshness,
        policy,
        ..
    } = exchange;
    // §5.2.1.5
    if exchange.client_no_store {
        return Some(Why::ClientNoStore);
    }
    // §5.2.2.3: with must-understand, no-store counts only where the status is not understood.
    match (directives.must_understand, directives.no_store) {
        (true, _) if !understands(status) => return Some(Why::Status),
        (false, true) => return Some(Why::NoStore),
        _ => {}
    }
    // §3: "if the cache is shared: the private response directive is … not present" (named fields: §5.2.2.7)
    if directives.private == Named::Whole {
        return Some(Why::Private);
    }
    // §3.5: a shared cache stores an answer to Authorization only if one of these allows it.
    let allowed = directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    if request.contains_key(AUTHORIZATION) && !allowed {
        return Some(Why::Authorization);
    }
    if varies_beyond_keeping(response) {
        return Some(Why::VaryAny);
    }
    let cookie = response.contains_key(SET_COOKIE);
    match policy.set_cookie {
        SetCookie::Refuse if cookie => Some(Why::SetCookie),
        SetCookie::Store if cookie && !freshness.by.is_explicit() => Some(Why::SetCookie),
        _ => None,
    }
}

/// §4.1: "A stored response with a Vary header field value containing a member "*" always fails to match." So does one
/// with a member that names no field; and one that depends on who asks, which is this edge's word and not the client's.
fn varies_beyond_keeping(response: &HeaderMap) -> bool {
    let lines = response.get_all(VARY).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let mut members = members.map(<[u8]>::trim_ascii).filter(|m| !m.is_empty());
    members.any(|member| {
        let name = HeaderName::from_bytes(member);
        // "*" is a token, too.
        member == b"*" || name.map_or(true, |name| name == FORWARDED_FOR)
    })
}

/// What could never be used again, or only by a guess that HTTP does not allow.
fn of_no_use(exchange: Exchange<'_>) -> Option<Why> {
    let Exchange {
        status,
        response,
        directives,
        freshness,
        ..
    } = exchange;
    if freshness.lifetime.is_zero() && !has_validator(response) {
        return Some(Why::NoFreshness);
    }
    // §3: one of: public, private, Expires, max-age, s-maxage, a heuristically cacheable status.
    let said = freshness.by.is_explicit() || directives.public;
    if !said && !heuristically_cacheable(status) {
        return Some(Why::Status);
    }
    // An error is stored only when it says so, by a heuristic, or where the site asks for it; a site's default is not
    // meant for it.
    let error = status.is_client_error() || status.is_server_error();
    let meant = matches!(freshness.by, By::Heuristic | By::Negative);
    (error && !said && !meant).then_some(Why::NoFreshness)
}

impl Why {
    /// Whether it is in the answer, not in what one client asked or in how.
    pub fn is_of_the_answer(self) -> bool {
        !matches!(
            self,
            Self::SiteOff | Self::Method | Self::ClientNoStore | Self::Authorization | Self::Part
        )
    }

    /// Whether it lies in who asked: then it tells nothing of what is stored for others.
    pub fn is_of_client(self) -> bool {
        matches!(self, Self::ClientNoStore | Self::Authorization)
    }

    /// For `Cache-Status` details and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SiteOff => "caching is off here",
            Self::Method => "method",
            Self::ClientNoStore => "the client said no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "answers Authorization",
            Self::SetCookie => "Set-Cookie",
            Self::VaryAny => "Vary: *",
            Self::TooManyTags => "too many tags",
            Self::Status => "status",
            Self::Part => "a part without its place",
            Self::NoFreshness => "no freshness and no validator",
        }
    }
}

fn has_validator(head: &HeaderMap) -> bool {
    head.contains_key(http::header::ETAG) || head.contains_key(http::header::LAST_MODIFIED)
}

/// RFC 9110 §15.1.
fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// The final statuses RFC 9110 defines caching for; 304 never comes this far.
fn understands(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=303 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

#[cfg(test)]
mod tests;
