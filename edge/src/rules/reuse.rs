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
mod tests {
    use super::*;
    use crate::rules::directives::{Request, Response};
    use crate::rules::freshness::By;

    const FRESH: u64 = 60;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn ask<'a>(
        stored: &'a Response,
        policy: &'a Policy,
        freshness: &'a Freshness,
        age: u64,
    ) -> Question<'a> {
        let now = SystemTime::UNIX_EPOCH + seconds(age);
        let client = Request::default();
        Question {
            freshness,
            stored,
            client,
            policy,
            life: Life::Alive,
            vouches: true,
            now,
        }
    }

    #[test]
    fn a_stored_response_is_used_only_when_every_sentence_allows_it() {
        let freshness = Freshness {
            lifetime: seconds(FRESH),
            by: By::MaxAge,
            initial_age: Duration::ZERO,
            received: SystemTime::UNIX_EPOCH,
        };
        let check = |section: &str,
                     stored: Response,
                     age: u64,
                     change: fn(&mut Question<'_>),
                     expect: Reuse| {
            let policy = Policy::default();
            let mut question = ask(&stored, &policy, &freshness, age);
            change(&mut question);
            assert_eq!(reuse(question), expect, "{section} at {age}");
        };
        let plain = Response::default;
        let swr = || Response {
            stale_while_revalidate: Some(seconds(10)),
            ..plain()
        };
        check("4.2", plain(), 10, |_| (), Reuse::Fresh(seconds(50)));
        check("4.2", plain(), 60, |_| (), Reuse::Validate(Why::Expired));
        check(
            "purge",
            plain(),
            10,
            |q| q.life = Life::HardDead,
            Reuse::Forget,
        );
        check(
            "purge",
            plain(),
            10,
            |q| q.life = Life::SoftDead,
            Reuse::Validate(Why::SoftPurge),
        );
        check(
            "purge",
            swr(),
            65,
            |q| q.life = Life::SoftDead,
            Reuse::Validate(Why::SoftPurge),
        );
        check(
            "5.2.2.4",
            Response {
                no_cache: Named::Whole,
                ..plain()
            },
            10,
            |_| (),
            Reuse::Validate(Why::NoCache),
        );
        check(
            "5.2.1.4",
            plain(),
            10,
            |q| q.client.no_cache = true,
            Reuse::Validate(Why::ClientDirective),
        );
        check(
            "5.2.1.1",
            plain(),
            10,
            |q| q.client.max_age = Some(seconds(5)),
            Reuse::Validate(Why::ClientDirective),
        );
        check(
            "5.2.1.1",
            plain(),
            5,
            |q| q.client.max_age = Some(seconds(5)),
            Reuse::Fresh(seconds(55)),
        );
        check(
            "5.2.1.3",
            plain(),
            10,
            |q| q.client.min_fresh = Some(seconds(51)),
            Reuse::Validate(Why::ClientDirective),
        );
        check(
            "5.2.1.2",
            plain(),
            65,
            |q| q.client.max_stale = Some(seconds(5)),
            Reuse::StaleAccepted(seconds(5)),
        );
        check(
            "5.2.1.2",
            plain(),
            66,
            |q| q.client.max_stale = Some(seconds(5)),
            Reuse::Validate(Why::Expired),
        );
        let must = || Response {
            must_revalidate: true,
            ..swr()
        };
        check(
            "5.2.2.2",
            must(),
            65,
            |q| q.client.max_stale = Some(seconds(50)),
            Reuse::Validate(Why::Expired),
        );
        check(
            "5861 3",
            swr(),
            69,
            |_| (),
            Reuse::WhileRevalidating(seconds(9)),
        );
        check("5861 3", swr(), 70, |_| (), Reuse::Validate(Why::Expired));
        let shared = Response {
            s_maxage: Some(seconds(60)),
            ..plain()
        };
        check(
            "5.2.2.10",
            shared,
            65,
            |q| q.client.max_stale = Some(seconds(50)),
            Reuse::Validate(Why::Expired),
        );
    }

    #[test]
    fn an_edge_that_cannot_vouch_does_what_the_site_says() {
        let (stored, freshness) = (
            Response::default(),
            Freshness {
                lifetime: seconds(FRESH),
                by: By::MaxAge,
                initial_age: Duration::ZERO,
                received: SystemTime::UNIX_EPOCH,
            },
        );
        let check = |on_partition, expect: Reuse, stands_in: bool| {
            let policy = Policy {
                on_partition,
                stale_if_error: Some(seconds(1000)),
                ..Policy::default()
            };
            let question = Question {
                vouches: false,
                ..ask(&stored, &policy, &freshness, 10)
            };
            assert_eq!(reuse(question), expect);
            assert_eq!(on_error(question).is_some(), stands_in);
        };
        check(OnPartition::Serve, Reuse::Fresh(seconds(50)), true);
        check(OnPartition::Revalidate, Reuse::Forget, false);
        check(OnPartition::Refuse, Reuse::Refuse, false);
    }

    #[test]
    fn a_failing_origin_is_stood_in_for_within_the_window_and_never_after_a_purge() {
        let freshness = Freshness {
            lifetime: seconds(FRESH),
            by: By::MaxAge,
            initial_age: Duration::ZERO,
            received: SystemTime::UNIX_EPOCH,
        };
        let policy = Policy {
            stale_if_error: Some(seconds(10)),
            ..Policy::default()
        };
        let check = |stored: Response, age: u64, life: Life, expect: Option<u64>| {
            let question = Question {
                life,
                ..ask(&stored, &policy, &freshness, age)
            };
            assert_eq!(
                on_error(question),
                expect.map(seconds),
                "{stored:?} at {age}"
            );
        };
        check(Response::default(), 65, Life::Alive, Some(5));
        check(Response::default(), 70, Life::Alive, None);
        check(Response::default(), 65, Life::SoftDead, None);
        check(Response::default(), 65, Life::HardDead, None);
        check(
            Response {
                must_revalidate: true,
                ..Response::default()
            },
            65,
            Life::Alive,
            None,
        );
        check(
            Response {
                stale_if_error: Some(seconds(3)),
                ..Response::default()
            },
            65,
            Life::Alive,
            None,
        );
    }
}
