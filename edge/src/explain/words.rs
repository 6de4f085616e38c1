//! Where each reason of a rule is written down, and how it is told to a person.

use http::header::HeaderName;
use seawall_config::scope::{Mode, Scope};
use seawall_config::site::{ClientDirectives, OnPartition};

use super::report::{Decision, Kind, Spoken};
use crate::answer::{Apart, Refusal, Verdict};
use crate::fill::fetch::Stored;
use crate::ledger::{Against, Life};
use crate::rules::coding::{self, Coding};
use crate::rules::directives::{Named, Response};
use crate::rules::freshness::By;
use crate::rules::ranges::Part;
use crate::rules::reuse::{Reuse, Why};
use crate::rules::storing;

pub fn by(by: By) -> Spoken {
    let (section, says) = match by {
        By::SMaxage => ("RFC 9111 §5.2.2.10", "s-maxage"),
        By::MaxAge => ("RFC 9111 §5.2.2.1", "max-age"),
        By::Expires => ("RFC 9111 §5.3", "Expires - Date"),
        By::Site => ("default_ttl", "the site's, for what says nothing"),
        By::Negative => ("negative_ttl", "the site's, for what is not there"),
        By::Heuristic => ("RFC 9111 §4.2.2", "a tenth of Date - Last-Modified"),
        By::Nothing => ("RFC 9111 §4.2.1", "nothing says how long"),
    };
    Spoken::new(section, says)
}

/// What was read, as Cache-Control spells it.
pub fn directives(read: &Response) -> Vec<String> {
    let flags = [
        ("no-store", read.no_store),
        ("public", read.public),
        ("must-revalidate", read.must_revalidate),
        ("proxy-revalidate", read.proxy_revalidate),
        ("must-understand", read.must_understand),
    ];
    let flags = flags.into_iter().filter(|(_, said)| *said);
    let flags = flags.map(|(name, _)| name.to_owned());
    let named = [("no-cache", &read.no_cache), ("private", &read.private)];
    let named = named.into_iter().filter_map(|(name, said)| match said {
        Named::Absent => None,
        Named::Whole => Some(name.to_owned()),
        Named::Fields(fields) => {
            let fields: Vec<_> = fields.iter().map(HeaderName::as_str).collect();
            Some(format!("{name}=\"{}\"", fields.join(", ")))
        }
    });
    let times = [
        ("max-age", read.max_age),
        ("s-maxage", read.s_maxage),
        ("stale-while-revalidate", read.stale_while_revalidate),
        ("stale-if-error", read.stale_if_error),
    ];
    let times = times
        .into_iter()
        .filter_map(|(name, time)| Some(format!("{name}={}", time?.as_secs())));
    flags.chain(named).chain(times).collect()
}

pub fn against(scope: &Scope, purge: Against) -> String {
    match purge {
        Against::Purge(Mode::Hard, at) => format!("{scope}, hard, at revision {at}"),
        Against::Purge(Mode::Soft, at) => format!("{scope}, soft, at revision {at}"),
        Against::Invalidation => format!("{scope}, by an unsafe method here"),
    }
}

pub fn cut_off(stance: OnPartition) -> Spoken {
    let says = match stance {
        OnPartition::Serve => "serves on",
        OnPartition::Revalidate => "uses nothing that is stored",
        OnPartition::Refuse => "answers nobody",
    };
    Spoken::new(
        "on_partition",
        format!("cut off from the control plane, this edge {says}"),
    )
}

pub fn client(directives: ClientDirectives) -> Spoken {
    let says = match directives {
        ClientDirectives::Honour => "what the client says of caching is honoured",
        ClientDirectives::Ignore => {
            "what the client says of caching is ignored, but for only-if-cached"
        }
    };
    Spoken::new("client_directives", says)
}

/// `count`: how many variants are stored, where there are any.
pub fn selected(count: Option<usize>, one: bool) -> Spoken {
    match (count, one) {
        (None, _) => Spoken::new("RFC 9111 §4", "nothing is stored under this key"),
        (Some(count), true) => {
            let says = format!("one of {count} stored is selected by Vary");
            Spoken::new("RFC 9111 §4.1", says)
        }
        (Some(count), false) => {
            let says = format!("none of {count} stored is selected by Vary");
            Spoken::new("RFC 9111 §4.1", says)
        }
    }
}

/// What was purged is told by what follows from it.
pub fn alive(life: Life) -> Option<Spoken> {
    (life == Life::Alive).then(|| Spoken::new("purge", "none counts against it"))
}

pub fn part(part: &Part) -> String {
    let bytes = |(first, last): &(u64, u64)| format!("bytes {first} to {last}");
    match part {
        Part::Whole => "all of it".into(),
        Part::Bytes { first, last } => format!("206: {}", bytes(&(*first, *last))),
        Part::Several(parts) => {
            let parts: Vec<_> = parts.iter().map(bytes).collect();
            format!("206 in parts: {}", parts.join(", "))
        }
        Part::Unsatisfiable => "416: none of that is there".into(),
    }
}

pub fn reuse(reuse: Reuse, life: Life) -> Spoken {
    let (section, says) = match reuse {
        Reuse::Fresh(_) => ("RFC 9111 §4.2", "fresh: it may be used"),
        Reuse::WhileRevalidating(_) => (
            "RFC 5861 §3",
            "stale, and may be used while one fetch asks the origin",
        ),
        Reuse::StaleAccepted(_) => ("RFC 9111 §5.2.1.2", "stale, and the client accepts that"),
        Reuse::Validate(why) => validate(why),
        Reuse::Forget if life == Life::HardDead => (
            "purge",
            "hard-purged: not used, and its validators are not sent",
        ),
        Reuse::Forget => (
            "on_partition",
            "nobody vouches for it: not used, and its validators are not sent",
        ),
        Reuse::Refuse => ("on_partition", "nobody vouches for it: nobody is answered"),
    };
    Spoken::new(section, says)
}

fn validate(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::Expired => (
            "RFC 9111 §4.2.4",
            "stale, and nothing allows that: the origin is asked",
        ),
        Why::NoCache => (
            "RFC 9111 §5.2.2.4",
            "no-cache: the origin is asked each time",
        ),
        Why::ClientDirective => ("RFC 9111 §5.2.1", "the client wants the origin asked"),
        Why::SoftPurge => ("purge", "soft-purged: the origin is asked"),
    }
}

pub fn joins() -> Spoken {
    let says = "a fetch for it is under way, and is waited for";
    Spoken::new("RFC 9111 §4", says)
}

pub fn asks(stored: &Stored) -> Spoken {
    match stored {
        Stored::Nothing => Spoken::new(
            "RFC 9111 §4.3.1",
            "it has no validator: all of it is asked for",
        ),
        Stored::Candidates(stored) => {
            let says = format!(
                "the origin is asked about the validators of {}",
                stored.len()
            );
            Spoken::new("RFC 9111 §4.3.1", says)
        }
        Stored::Part(_) => Spoken::new("RFC 9111 §3.3", "only the rest is asked for"),
    }
}

pub fn apart(apart: Apart) -> Spoken {
    let (section, says) = match apart {
        Apart::CacheOff => (
            "cache = \"off\"",
            "every request goes to the origin, nothing is stored",
        ),
        Apart::Head => (
            "RFC 9110 §9.3.2",
            "a HEAD brings no body that others could share",
        ),
        Apart::OneRange => (
            "RFC 9110 §14.2",
            "one range is asked for as it is, unless a body under way is near it",
        ),
        Apart::ForOne => (
            "RFC 9111 §4",
            "the last answer was for its client alone: nobody waits for the next",
        ),
    };
    Spoken::new(section, says)
}

pub fn too_early() -> Spoken {
    let says = "this edge is not there yet: it would wait a moment, then ask the origin";
    Spoken::new("Seawall-Min-Revision", says)
}

pub fn refusal(refusal: Refusal) -> Spoken {
    match refusal {
        Refusal::OnlyIfCached => {
            let says = "only-if-cached, and nothing that is stored will do";
            Spoken::new("RFC 9111 §5.2.1.7", says)
        }
        Refusal::Fenced => cut_off(OnPartition::Refuse),
        Refusal::RefetchRate => Spoken::new(
            "refetch_rate",
            "the origin is asked as often as the site allows",
        ),
    }
}

/// `joins`: what it takes a fetch for is under way already.
pub fn decision(verdict: &Verdict, joins: bool) -> Decision {
    let (kind, why) = match verdict {
        Verdict::Serve { behind: false, .. } => (Kind::Serve, "a hit".into()),
        Verdict::Serve { behind: true, .. } => {
            let why = "a hit, stale, while one fetch asks the origin";
            (Kind::Serve, why.into())
        }
        Verdict::Fetch { why, stored, .. } => {
            let (kind, how) = match stored {
                _ if joins => (
                    Kind::Join,
                    "with those who wait for a fetch that is under way",
                ),
                Stored::Nothing => (Kind::Fetch, "all of it, once for all who wait"),
                Stored::Candidates(_) => (Kind::Validate, "whether what is stored is still good"),
                Stored::Part(_) => (Kind::Fetch, "the rest of it, once for all who wait"),
            };
            (kind, format!("fwd={}, {how}", why.as_str()))
        }
        Verdict::Alone { why, .. } => {
            let why = format!("fwd={}, the origin is asked for this client", why.as_str());
            (Kind::Alone, why)
        }
        Verdict::Refuse(refusal) => {
            let status = refusal.status().as_u16();
            (Kind::Refuse, format!("{status} {}", refusal.detail()))
        }
    };
    Decision { kind, why }
}

pub fn coding(coding: Coding) -> Spoken {
    let why = match coding {
        Coding::Encode(coding) => {
            return Spoken::new("RFC 9110 §12.5.3", format!("sent in {}", coding.as_str()));
        }
        Coding::Identity(why) => why,
    };
    let (section, says) = match why {
        coding::Why::NotConfigured => ("compress", "the site encodes nothing"),
        coding::Why::Status => ("RFC 9110 §8.4", "no content, or a part of it"),
        coding::Why::HasCoding => ("RFC 9110 §8.4", "the origin encoded it"),
        coding::Why::NoTransform => ("RFC 9110 §7.7", "no-transform"),
        coding::Why::Type => ("compress", "a type that gains nothing"),
        coding::Why::Small => ("compress", "too small to gain"),
        coding::Why::ClientSaysNothing => {
            ("RFC 9110 §12.5.3", "the client says nothing of codings")
        }
        coding::Why::ClientLikesNone => (
            "RFC 9110 §12.5.3",
            "the client takes none of the site's codings",
        ),
        coding::Why::ClientWantsRange => ("RFC 9110 §14.2", "the client asks for a part"),
        coding::Why::ClientNoTransform => ("RFC 9111 §5.2.1.6", "the client says no-transform"),
    };
    Spoken::new(section, format!("sent as it is: {says}"))
}

pub fn not_stored(why: storing::Why) -> Spoken {
    use storing::Why as W;
    let section = match why {
        W::SiteOff => "cache = \"off\"",
        W::Method => "RFC 9111 §3",
        W::ClientNoStore => "RFC 9111 §5.2.1.5",
        W::NoStore => "RFC 9111 §5.2.2.5",
        W::Private => "RFC 9111 §5.2.2.7",
        W::Authorization => "RFC 9111 §3.5",
        W::SetCookie => "set_cookie",
        W::VaryAny => "RFC 9111 §4.1",
        W::TooManyTags => "tags of one object",
        W::Status => "RFC 9111 §3",
        W::Part => "RFC 9111 §3.3",
        W::NoFreshness => "RFC 9111 §4.2.1",
    };
    Spoken::new(section, why.as_str())
}
