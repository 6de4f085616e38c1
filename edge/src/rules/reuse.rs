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
    // §5.2.1.4, §5.2.1.1, §5.2.1.3
    if client.no_cache || client.max_age.is_some_and(|max| freshness.age(now) > max) {
        return Reuse::Validate(Why::ClientDirective);
    }
    match freshness.left(now) {
        Ok(left) if client.min_fresh.is_some_and(|wanted| left < wanted) => {
            Reuse::Validate(Why::ClientDirective)
        }
        Ok(left) => Reuse::Fresh(left),
        Err(_) if !may_be_stale(stored) => Reuse::Validate(Why::Expired),
        Err(stale) if client.max_stale.is_some_and(|most| stale <= most) => {
            Reuse::StaleAccepted(stale)
        }
        Err(stale)
            if within(
                stale,
                stored
                    .stale_while_revalidate
                    .or(policy.stale_while_revalidate),
            ) =>
        {
            Reuse::WhileRevalidating(stale)
        }
        Err(_) => Reuse::Validate(Why::Expired),
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
    let allowed = may_be_stale(stored) && stored.no_cache.is_absent();
    (allowed && within(stale, stored.stale_if_error.or(policy.stale_if_error))).then_some(stale)
}

/// RFC 5861 §4: the statuses that count as an origin's failure.
pub fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// §4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol
/// directive". §5.2.2.10: s-maxage has the semantics of proxy-revalidate.
fn may_be_stale(stored: &directives::Response) -> bool {
    let extended = stored.stale_while_revalidate.is_some() || stored.stale_if_error.is_some();
    !stored.must_revalidate && !stored.proxy_revalidate && (stored.s_maxage.is_none() || extended)
}

fn within(stale: Duration, window: Option<Duration>) -> bool {
    window.is_some_and(|window| stale < window)
}

#[cfg(test)]
mod tests;
