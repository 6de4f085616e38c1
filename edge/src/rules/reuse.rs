//! May a stored response be used for this request (RFC 9111 §4)?

use std::time::{Duration, SystemTime};

use http::StatusCode;
use seawall_config::site::{OnPartition, Policy};

use super::cache_status::Fwd;
use super::directives::{self, Named};
use super::freshness::Freshness;
use crate::ledger::Life;

/// What is asked, of what, and what is known.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub freshness: &'a Freshness,
    pub stored: &'a directives::Response,
    /// The client's directives; the default where the site ignores them.
    pub client: directives::Request,
    pub policy: &'a Policy,
    /// What the ledger says of the stored response, now.
    pub life: Life,
    /// Whether this edge may vouch for what it stored.
    pub vouches: bool,
    pub now: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Use it; it stays fresh for so long.
    Fresh(Duration),
    /// Use it, stale since so long, and have it validated meanwhile (RFC 5861 §3).
    WhileRevalidating(Duration),
    /// Use it though it is stale: the client said that it may be (§5.2.1.2).
    StaleAccepted(Duration),
    /// Not without asking the origin, which may say that it is still good.
    Validate(Why),
    /// Not at all, and its validators are not sent.
    Forget,
    /// Nobody may be answered from or through this edge for now.
    Refuse,
}

/// Why the origin has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Expired,
    NoCache,
    ClientDirective,
    SoftPurge,
}

impl From<Why> for Fwd {
    /// RFC 9211 §2.2: "request": what is stored would do, but for what the request says.
    fn from(why: Why) -> Self {
        match why {
            Why::ClientDirective => Self::Request,
            Why::Expired | Why::NoCache | Why::SoftPurge => Self::Stale,
        }
    }
}

pub fn reuse(question: Question<'_>) -> Reuse {
    let Question {
        freshness,
        stored,
        client,
        policy,
        life,
        now,
        ..
    } = question;
    // Hard is judged first, and a partition before freshness: what cannot be vouched for is not used.
    if life == Life::HardDead {
        return Reuse::Forget;
    }
    if !question.vouches {
        match policy.on_partition {
            OnPartition::Serve => {}
            OnPartition::Revalidate => return Reuse::Forget,
            OnPartition::Refuse => return Reuse::Refuse,
        }
    }
    if life == Life::SoftDead {
        return Reuse::Validate(Why::SoftPurge);
    }
    // §4: "unless the stored response … does not contain the no-cache directive, unless it is … validated"
    if stored.no_cache == Named::Whole {
        return Reuse::Validate(Why::NoCache);
    }
    // §5.2.1.4, §5.2.1.1
    let too_old = client.no_cache || client.max_age.is_some_and(|max| freshness.age(now) > max);
    match freshness.left(now) {
        // §5.2.1.3
        Ok(left) if too_old || client.min_fresh.is_some_and(|wanted| left < wanted) => {
            Reuse::Validate(Why::ClientDirective)
        }
        Ok(left) => Reuse::Fresh(left),
        Err(_) if too_old => Reuse::Validate(Why::Expired),
        Err(stale)
            if client.max_stale.is_some_and(|most| stale <= most)
                && may_be_stale(stored, freshness) =>
        {
            Reuse::StaleAccepted(stale)
        }
        // §5.2.1.1: "Unless the max-stale request directive is also present, the client does not wish to receive a
        // stale response."
        Err(_) if client.max_age.is_some() || client.min_fresh.is_some() => {
            Reuse::Validate(Why::Expired)
        }
        Err(stale) => {
            let (own, site) = (stored.stale_while_revalidate, policy.stale_while_revalidate);
            match window((stored, freshness), own, site) {
                Some(window) if stale < window => Reuse::WhileRevalidating(stale),
                _ => Reuse::Validate(Why::Expired),
            }
        }
    }
}

/// Whether a stored response may stand in for an origin that fails (RFC 5861 §4): stale since so long.
pub fn on_error(question: Question<'_>) -> Option<Duration> {
    let Question {
        freshness,
        stored,
        policy,
        life,
        now,
        ..
    } = question;
    // Never after a purge; and where an edge cannot vouch, only where the site would serve anyway.
    if life != Life::Alive || !(question.vouches || policy.on_partition == OnPartition::Serve) {
        return None;
    }
    let stale = freshness.left(now).err().unwrap_or_default();
    let (own, site) = (stored.stale_if_error, policy.stale_if_error);
    let window = window((stored, freshness), own, site);
    (stored.no_cache.is_absent() && stale < window?).then_some(stale)
}

/// RFC 5861 §4: the statuses that count as an origin's failure.
pub fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// For how long a response may be used stale: what it says itself, else what the site says where nothing forbids it.
fn window(
    (stored, freshness): (&directives::Response, &Freshness),
    own: Option<Duration>,
    site: Option<Duration>,
) -> Option<Duration> {
    let forbidden = stored.must_revalidate || stored.proxy_revalidate;
    // An origin that says for how long beside its s-maxage means both.
    let own = own.filter(|_| !forbidden);
    own.or(site.filter(|_| may_be_stale(stored, freshness)))
}

/// §4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol
/// directive". §5.2.2.10: s-maxage has the semantics of proxy-revalidate.
pub fn is_never_stale(stored: &directives::Response) -> bool {
    stored.must_revalidate || stored.proxy_revalidate || stored.s_maxage.is_some()
}

/// And what was never fresh was never anybody's but the client's that it was made for, as far as anyone said: it is kept
/// because the origin can say whom else it is for, by a 304. Only the origin's own window is a word of it.
fn may_be_stale(stored: &directives::Response, freshness: &Freshness) -> bool {
    !is_never_stale(stored) && !freshness.lifetime.is_zero()
}

#[cfg(test)]
mod tests;
