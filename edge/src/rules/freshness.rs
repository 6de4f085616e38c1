//! For how long a response is fresh, and how old it is (RFC 9111 §4.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::dates::http_date;
use super::directives::{self, delta_seconds};

/// RFC 9111 §4.2.2 suggests a tenth of the time since the last modification.
const HEURISTIC_DIVISOR: u32 = 10;
/// A heuristic is a guess; a day bounds how wrong it can be.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Since 1970, the last second that a Date can spell: years have four digits. A clock may show any other.
pub(super) const DATE_MAX: Duration = Duration::from_secs(253_402_300_799);

/// How long a stored response is fresh, and how old it was when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub lifetime: Duration,
    pub by: By,
    /// §4.2.3 corrected_initial_age.
    pub initial_age: Duration,
    /// §4.2.3 response_time: when its head arrived.
    pub received: SystemTime,
}

/// What set the lifetime, first match first (§4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    SMaxage,
    MaxAge,
    Expires,
    /// The site's `default_ttl`.
    Site,
    /// The site's `negative_ttl`.
    Negative,
    Heuristic,
    Nothing,
}

/// What the initial age is made of (§4.2.3); whichever is more counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeBy {
    /// apparent_age: since its Date.
    Date,
    /// age_value and response_delay: its Age, and the time the origin took to answer.
    Age { said: Duration, delay: Duration },
}

impl By {
    /// Whether the response itself said so.
    pub fn is_explicit(self) -> bool {
        matches!(self, Self::SMaxage | Self::MaxAge | Self::Expires)
    }
}

impl Freshness {
    /// §4.2.3 current_age. A clock that was set back makes it no younger than it arrived.
    pub fn age(&self, now: SystemTime) -> Duration {
        self.initial_age
            .saturating_add(now.duration_since(self.received).unwrap_or_default())
    }

    /// What the initial age of a stored response with this head is made of.
    pub fn age_by(&self, head: &HeaderMap) -> AgeBy {
        let apparent = self.received.duration_since(date(head, self.received));
        let said = age_value(head);
        match apparent {
            Ok(apparent) if apparent == self.initial_age && apparent > said => AgeBy::Date,
            _ => AgeBy::Age {
                said,
                delay: self.initial_age.saturating_sub(said),
            },
        }
    }

    /// What `Cache-Status` calls ttl (RFC 9211 §2.4): whole seconds, at least 1 while fresh, else 0 or less.
    pub fn ttl(&self, now: SystemTime) -> i64 {
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        match self.left(now) {
            Ok(left) => seconds(
                left.as_secs()
                    .saturating_add(u64::from(left.subsec_nanos() > 0)),
            ),
            Err(stale) => -seconds(stale.as_secs()),
        }
    }

    /// Fresh for so long, or stale since so long.
    pub fn left(&self, now: SystemTime) -> Result<Duration, Duration> {
        let age = self.age(now);
        // §4.2: "response_is_fresh = (freshness_lifetime > current_age)"
        match self.lifetime.checked_sub(age) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(age.saturating_sub(self.lifetime)),
        }
    }
}

/// What is known of a response as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub status: StatusCode,
    pub head: &'a HeaderMap,
    /// Cache-Control, or the targeted field that replaces it.
    pub directives: &'a directives::Response,
    /// A targeted field also replaces Expires (RFC 9213 §2.2).
    pub targeted: bool,
    /// The site's `default_ttl`.
    pub default_ttl: Option<Duration>,
    /// The site's `negative_ttl`.
    pub negative_ttl: Option<Duration>,
    pub requested: SystemTime,
    pub received: SystemTime,
}

pub fn freshness(arrival: Arrival<'_>) -> Freshness {
    let (lifetime, by) = lifetime(arrival);
    Freshness {
        lifetime,
        by,
        initial_age: initial_age(arrival),
        received: arrival.received,
    }
}

/// §4.2.1: "the first of these" that is there decides.
fn lifetime(arrival: Arrival<'_>) -> (Duration, By) {
    let Arrival {
        head,
        directives,
        received,
        ..
    } = arrival;
    if let Some(s_maxage) = directives.s_maxage {
        return (s_maxage, By::SMaxage);
    }
    if let Some(max_age) = directives.max_age {
        return (max_age, By::MaxAge);
    }
    let mut expires = head.get_all(EXPIRES).iter();
    if let (false, Some(first)) = (arrival.targeted, expires.next()) {
        // §5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as
        // representing a time in the past". Two different lines are as invalid.
        let same = expires.all(|other| other == first);
        let text = first.to_str().ok().filter(|_| same);
        let at = text.and_then(|text| http_date(text, received));
        let date = date(head, received);
        return (
            at.and_then(|at| at.duration_since(date).ok())
                .unwrap_or_default(),
            By::Expires,
        );
    }
    // That nothing is there may change any moment: what says otherwise itself is believed, a heuristic included.
    let absent = matches!(arrival.status, StatusCode::NOT_FOUND | StatusCode::GONE);
    if let Some(ttl) = arrival.negative_ttl.filter(|_| absent) {
        let guess = heuristic(arrival).map(|guess| (guess, By::Heuristic));
        return guess.unwrap_or((ttl, By::Negative));
    }
    if let Some(ttl) = arrival.default_ttl {
        return (ttl, By::Site);
    }
    heuristic(arrival).map_or((Duration::ZERO, By::Nothing), |guess| {
        (guess, By::Heuristic)
    })
}

/// §4.2.2, for the statuses that RFC 9110 §15.1 calls heuristically cacheable, and only with Last-Modified.
fn heuristic(arrival: Arrival<'_>) -> Option<Duration> {
    let by_status = matches!(
        arrival.status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    );
    if !by_status && !arrival.directives.public {
        return None;
    }
    let modified = arrival.head.get(LAST_MODIFIED)?.to_str().ok()?;
    let modified = http_date(modified, arrival.received)?;
    let since = date(arrival.head, arrival.received)
        .duration_since(modified)
        .ok()?;
    Some((since / HEURISTIC_DIVISOR).min(HEURISTIC_MAX))
}

/// §4.2.3 corrected_initial_age = max(apparent_age, age_value + response_delay).
fn initial_age(arrival: Arrival<'_>) -> Duration {
    let Arrival {
        head,
        requested,
        received,
        ..
    } = arrival;
    let apparent = received
        .duration_since(date(head, received))
        .unwrap_or_default();
    let delay = received.duration_since(requested).unwrap_or_default();
    apparent.max(age_value(head).saturating_add(delay))
}

/// §5.1: with several, the first counts, whatever the others are; a value that is not delta-seconds is ignored.
fn age_value(head: &HeaderMap) -> Duration {
    let members = head
        .get(AGE)
        .map(|line| line.as_bytes().split(|b| *b == b','));
    let first = members.and_then(|mut members| members.next());
    let first = first.and_then(|first| std::str::from_utf8(first.trim_ascii()).ok());
    first.and_then(delta_seconds).unwrap_or_default()
}

/// The Date of a response; the time it arrived, where there is none (RFC 9110 §6.6.1).
pub fn date(head: &HeaderMap, received: SystemTime) -> SystemTime {
    head.get(DATE)
        .and_then(|line| line.to_str().ok())
        .and_then(|text| http_date(text, received))
        .unwrap_or(received)
}

/// The Date to send on, in the one format that may be sent (RFC 9110 §5.6.7). §6.6.1: where there is none, the
/// time it was received; and in the place of an invalid one, too.
pub fn date_field(head: &HeaderMap, received: SystemTime) -> HeaderValue {
    let date = date(head, received).clamp(UNIX_EPOCH, UNIX_EPOCH + DATE_MAX);
    HeaderValue::from_str(&httpdate::fmt_http_date(date))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The Age that must be said along with a Date of `now`, put over the one in `head`: else nobody could tell any
/// more how old it is (§4.2.3 apparent_age). None where what is said already is enough.
pub fn age_with_new_date(head: &HeaderMap, now: SystemTime) -> Option<u64> {
    let apparent = now.duration_since(date(head, now)).unwrap_or_default();
    (apparent.as_secs() > age_value(head).as_secs()).then_some(apparent.as_secs())
}

#[cfg(test)]
mod tests;
