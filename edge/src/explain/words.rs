//! Where each reason of a rule is written down, and how it is told to a person.

use super::report::Spoken;
use crate::ledger::Life;
use crate::rules::coding::{self, Coding};
use crate::rules::freshness::By;
use crate::rules::ranges::Part;
use crate::rules::reuse::{Reuse, Why};
use crate::rules::storing;

const RFC_5861_3: &str = "RFC 5861 §3";

pub fn by(by: By) -> Spoken {
    let (section, says) = match by {
        By::SMaxage => ("RFC 9111 §5.2.2.10", "s-maxage"),
        By::MaxAge => ("RFC 9111 §5.2.2.1", "max-age"),
        By::Expires => ("RFC 9111 §5.3", "Expires - Date"),
        By::Site => ("default_ttl", "the site's, for what says nothing"),
        By::Heuristic => ("RFC 9111 §4.2.2", "a tenth of Date - Last-Modified"),
        By::Nothing => ("RFC 9111 §4.2.1", "nothing says how long"),
    };
    Spoken::new(section, says)
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

pub fn reuse(reuse: Reuse) -> Spoken {
    let seconds = |duration: std::time::Duration| format!("{:.1} s", duration.as_secs_f64());
    match reuse {
        Reuse::Fresh(left) => Spoken::new(
            "RFC 9111 §4.2",
            format!("fresh for {}: it may be used", seconds(left)),
        ),
        Reuse::WhileRevalidating(stale) => {
            let stale = seconds(stale);
            Spoken::new(
                RFC_5861_3,
                format!("stale for {stale}: used, while one fetch asks the origin"),
            )
        }
        Reuse::StaleAccepted(stale) => {
            let stale = seconds(stale);
            Spoken::new(
                "RFC 9111 §5.2.1.2",
                format!("stale for {stale}: the client accepts that"),
            )
        }
        Reuse::Validate(why) => validate(why),
        Reuse::Forget => Spoken::new(
            "purge",
            "it was purged, or cannot be vouched for: not used, and its validators are not sent",
        ),
        Reuse::Refuse => Spoken::new(
            "on_partition",
            "cut off from the control plane: nobody is answered",
        ),
    }
}

fn validate(why: Why) -> Spoken {
    match why {
        Why::Expired => Spoken::new(
            "RFC 9111 §4.2.4",
            "stale, and nothing allows that: the origin is asked",
        ),
        Why::NoCache => Spoken::new(
            "RFC 9111 §5.2.2.4",
            "no-cache: the origin is asked each time",
        ),
        Why::ClientDirective => Spoken::new("RFC 9111 §5.2.1", "the client wants the origin asked"),
        Why::SoftPurge => Spoken::new("purge", "soft-purged: the origin is asked"),
    }
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
