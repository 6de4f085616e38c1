//! What a cache did for a response, by what the response says of it. Pure.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use sfv::{BareItem, KeyRef, ListEntry, Parser};

/// What the client-side cache did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Answered from the cache, fresh.
    Hit,
    /// Answered from the cache though no longer fresh.
    Stale,
    /// The origin confirmed what the cache had.
    Revalidated,
    /// Waited for a request to the origin that another client had caused.
    Collapsed,
    /// Came from the origin.
    Miss,
    /// Passed by the cache on purpose.
    Bypass,
    /// No whole response came, or one that says the server failed (5xx).
    Error,
}

impl Class {
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::Revalidated,
        Self::Collapsed,
        Self::Miss,
        Self::Bypass,
        Self::Error,
    ];

    /// By `Cache-Status`, else `X-Cache`, else `Age`; what says nothing at all is a miss.
    pub fn of(status: u16, headers: &HeaderMap) -> Self {
        if status >= 500 {
            return Self::Error;
        }
        by_cache_status(headers)
            .or_else(|| by_x_cache(headers))
            .unwrap_or_else(|| by_age(headers))
    }

    /// As the report spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Collapsed => "collapsed",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Error => "error",
        }
    }
}

/// RFC 9211. A field that does not parse is ignored as a whole (RFC 9651 §4.2).
fn by_cache_status(headers: &HeaderMap) -> Option<Class> {
    let mut field = Vec::new();
    for line in headers.get_all("cache-status") {
        if !field.is_empty() {
            field.extend_from_slice(b", ");
        }
        field.extend_from_slice(line.as_bytes());
    }
    let mut members: sfv::List = Parser::new(&field).parse().ok()?;
    // §2: "the last member represents the cache closest to the user".
    let ListEntry::Item(cache) = members.pop()? else {
        return None;
    };
    let parameter = |name: &str| cache.params.get(KeyRef::from_str(name).ok()?);
    let is_true = |name: &str| parameter(name).and_then(BareItem::as_boolean) == Some(true);
    let integer = |name: &str| Some(i64::from(parameter(name)?.as_integer()?));
    if is_true("hit") {
        // §2.4: a lifetime that is over is told as a negative number.
        let stale = integer("ttl").is_some_and(|ttl| ttl < 0);
        return Some(if stale { Class::Stale } else { Class::Hit });
    }
    let forward = parameter("fwd")?.as_token()?.as_str();
    if is_true("collapsed") {
        return Some(Class::Collapsed);
    }
    // §2.3: the status that the next hop answered.
    let origin_status = integer("fwd-status");
    Some(match forward {
        "bypass" | "method" => Class::Bypass,
        "stale" if origin_status == Some(304) => Class::Revalidated,
        // The origin failed and the client did not notice: it was given what was there.
        "stale" if origin_status.is_some_and(|status| status >= 500) => Class::Stale,
        // §2.4 again: without an answer from the origin, what is past its lifetime can only be what was there.
        "stale" if origin_status.is_none() && integer("ttl").is_some_and(|ttl| ttl < 0) => {
            Class::Stale
        }
        _ => Class::Miss,
    })
}

/// No standard: the words that caches in wide use send, `HIT`, `MISS, HIT`, `TCP_HIT from host`,
/// `Hit from cloudfront`. The last of a list is nearest to the client.
fn by_x_cache(headers: &HeaderMap) -> Option<Class> {
    let line = headers
        .get_all("x-cache")
        .into_iter()
        .next_back()?
        .to_str()
        .ok()?;
    let word = line
        .rsplit(',')
        .next()?
        .split_ascii_whitespace()
        .next()?
        .to_ascii_uppercase();
    let class = match word.strip_prefix("TCP_").unwrap_or(&word) {
        "HIT" | "MEM_HIT" => Class::Hit,
        "STALE" | "UPDATING" => Class::Stale,
        "REVALIDATED" | "REFRESHHIT" | "REFRESH_HIT" | "REFRESH_UNMODIFIED" => Class::Revalidated,
        "MISS" | "EXPIRED" | "REFRESH_MODIFIED" => Class::Miss,
        "BYPASS" | "PASS" | "DYNAMIC" => Class::Bypass,
        _ => return None,
    };
    Some(class)
}

/// RFC 9111 §5.1: "The presence of an Age header field implies that the response was not generated or
/// validated by the origin server for this request." An age of 0 says too little to call it a hit.
fn by_age(headers: &HeaderMap) -> Class {
    let age = headers
        .get("age")
        .and_then(|age| age.to_str().ok()?.trim().parse::<u64>().ok());
    if age.is_some_and(|age| age > 0) {
        Class::Hit
    } else {
        Class::Miss
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_response_is_classed_by_the_best_it_says_of_itself() {
        use Class::*;
        let check = |status: u16, fields: &[(&'static str, &str)], expect: Class| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(Class::of(status, &headers), expect, "{status} {fields:?}");
        };
        let cache_status =
            |value: &'static str, expect| check(200, &[("cache-status", value)], expect);
        cache_status("edge; hit", Hit);
        cache_status("edge; hit; ttl=30", Hit);
        cache_status("edge; hit; ttl=-30", Stale);
        cache_status("edge; hit=?0; fwd=miss", Miss);
        cache_status("edge; fwd=uri-miss; fwd-status=200; stored", Miss);
        cache_status("edge; fwd=vary-miss", Miss);
        cache_status("edge; fwd=uri-miss; collapsed", Collapsed);
        cache_status("edge; fwd=uri-miss; collapsed=?0", Miss);
        cache_status("edge; fwd=stale; fwd-status=304", Revalidated);
        cache_status("edge; fwd=stale; fwd-status=200", Miss);
        cache_status("edge; fwd=stale; fwd-status=503", Stale);
        cache_status("edge; fwd=stale; ttl=-3", Stale);
        cache_status("edge; fwd=stale; fwd-status=200; ttl=-3", Miss);
        cache_status("edge; fwd=stale; fwd-status=304; ttl=-3", Revalidated);
        cache_status("edge; fwd=stale; fwd-status=404; ttl=-3", Miss);
        cache_status("edge; fwd=stale; ttl=3", Miss);
        cache_status("edge; fwd=uri-miss; ttl=-3", Miss);
        cache_status("edge; fwd=stale", Miss);
        cache_status("edge; fwd=bypass", Bypass);
        cache_status("edge; fwd=method", Bypass);
        cache_status("shield; hit, edge; fwd=miss", Miss);
        cache_status("shield; fwd=miss, edge; hit", Hit);
        cache_status("\"a, b\"; detail=\"x, y; hit\"; fwd=miss", Miss);
        check(
            200,
            &[("cache-status", "a; hit"), ("cache-status", "b; fwd=miss")],
            Miss,
        );
        // What does not parse, or says neither, is passed over.
        check(200, &[("cache-status", "edge; ;"), ("x-cache", "HIT")], Hit);
        check(
            200,
            &[("cache-status", "edge"), ("x-cache", "STALE")],
            Stale,
        );

        let x_cache = |value: &'static str, expect| check(200, &[("x-cache", value)], expect);
        x_cache("HIT", Hit);
        x_cache("hit", Hit);
        x_cache("HIT, MISS", Miss);
        x_cache("Hit from cloudfront", Hit);
        x_cache("TCP_MISS from host", Miss);
        x_cache("STALE", Stale);
        x_cache("REVALIDATED", Revalidated);
        x_cache("BYPASS", Bypass);
        check(200, &[("x-cache", "HIT"), ("x-cache", "MISS")], Miss);
        check(200, &[("x-cache", "sideways"), ("age", "7")], Hit);

        check(200, &[("age", "1")], Hit);
        check(200, &[("age", "0")], Miss);
        check(200, &[("age", "old")], Miss);
        check(200, &[], Miss);
        check(404, &[("x-cache", "HIT")], Hit);
        check(503, &[("x-cache", "HIT")], Error);
        check(503, &[("cache-status", "edge; fwd=stale; ttl=-3")], Error);
    }
}
