//! Sums of times: whatever a response says, and whatever the clocks show, they hold.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderValue, LAST_MODIFIED};
use seawall_config::site::{OnPartition, Policy};

use super::directives::WORDS;
use super::input::{Input, field, joined, value};
use crate::ledger::Life;
use crate::rules::dates::http_date;
use crate::rules::directives::{Named, Request, Response};
use crate::rules::freshness::{self, Arrival, Freshness};
use crate::rules::reuse::{self, Question, Reuse};

const DATES: [&str; 22] = [
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sun, ",
    "Sunday, ",
    "Sun ",
    "06",
    "31",
    " Nov ",
    "-Feb-",
    "1994",
    "94",
    " ",
    "08:49:37",
    "23:59:60",
    ":",
    " GMT",
    "0",
    "-1",
    ",",
];

/// The first second that HTTP cannot spell: that of the year 10000.
const DATES_END: u64 = 253_402_300_800;

fn date_line(input: &mut Input<'_>) -> Vec<HeaderValue> {
    match input.byte() % 4 {
        0 => Vec::new(),
        1 => input.lines(&DATES),
        _ => {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(input.number() % DATES_END);
            vec![value(&httpdate::fmt_http_date(at))]
        }
    }
}

pub fn dates(input: &mut Input<'_>) {
    let (lines, now) = (date_line(input), input.clock());
    let head = field(DATE, &lines);
    let sent = freshness::date_field(&head, now);
    let sent = http_date(sent.to_str().unwrap(), now).expect("a date that anybody can read");
    let said = head
        .get(DATE)
        .and_then(|line| http_date(line.to_str().ok()?, now));
    if let Some(said) = said {
        assert_eq!(sent, said, "{lines:?}");
        let since = now.duration_since(said).unwrap_or_default().as_secs();
        let age = freshness::age_with_new_date(&head, now);
        assert_eq!(age.unwrap_or_default(), since, "{lines:?}");
    }
}

/// A response that arrives; what it is judged to be with these lines of Age.
fn judge(input: &mut Input<'_>) -> impl Fn(&[HeaderValue]) -> Freshness + use<> {
    let mut head = HeaderMap::new();
    for name in [DATE, EXPIRES, LAST_MODIFIED] {
        head.extend(field(name, &date_line(input)));
    }
    head.extend(field(CACHE_CONTROL, &input.lines(&WORDS)));
    let directives = Response::read(&head);
    let status = StatusCode::from_u16(input.one_of(&[200, 206, 404, 500, 599])).unwrap();
    let (targeted, has_ttl, ttl) = (input.flag(), input.flag(), input.seconds());
    let (requested, received) = (input.clock(), input.clock());
    move |age| {
        let mut head = head.clone();
        head.extend(field(AGE, age));
        freshness::freshness(Arrival {
            status,
            head: &head,
            directives: &directives,
            targeted,
            default_ttl: has_ttl.then_some(ttl),
            negative_ttl: None,
            requested,
            received,
        })
    }
}

pub fn freshness(input: &mut Input<'_>) {
    let age = input.lines(&[
        "0",
        "60",
        "7200.0",
        "-1",
        "99999999999999999999",
        ",",
        " ",
        "a",
    ]);
    let judge = judge(input);
    let found = judge(&age);
    assert_eq!(judge(&joined(&age)), found, "Age: {age:?}");
    let (mut earlier, mut later) = (input.clock(), input.clock());
    if later < earlier {
        (earlier, later) = (later, earlier);
    }
    assert!(found.initial_age <= found.age(earlier), "{found:?}");
    assert!(found.age(earlier) <= found.age(later), "{found:?}");
    assert!(found.ttl(earlier) >= found.ttl(later), "{found:?}");
    for now in [earlier, later] {
        sums_agree(&found, now);
    }
}

fn sums_agree(found: &Freshness, now: SystemTime) {
    let (age, ttl) = (found.age(now), found.ttl(now));
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match found.left(now) {
        Ok(left) => {
            assert_eq!(age + left, found.lifetime);
            assert!(!left.is_zero() && ttl >= 1, "{found:?}");
            assert!(ttl >= whole(left) && ttl - 1 <= whole(left), "{found:?}");
        }
        Err(stale) => {
            assert_eq!(found.lifetime + stale, age);
            assert_eq!(ttl, -whole(stale), "{found:?}");
        }
    }
}

pub fn reuse(input: &mut Input<'_>) {
    let freshness = judge(input)(&[]);
    let stored = Response::read(&field(CACHE_CONTROL, &input.lines(&WORDS)));
    let client = Request::read(&field(CACHE_CONTROL, &input.lines(&WORDS)));
    let window = |input: &mut Input<'_>| input.flag().then(|| input.seconds());
    let partition = [
        OnPartition::Serve,
        OnPartition::Revalidate,
        OnPartition::Refuse,
    ];
    let policy = Policy {
        stale_while_revalidate: window(input),
        stale_if_error: window(input),
        on_partition: input.one_of(&partition),
        ..Policy::default()
    };
    let question = Question {
        freshness: &freshness,
        stored: &stored,
        client,
        policy: &policy,
        life: input.one_of(&[Life::Alive, Life::Alive, Life::SoftDead, Life::HardDead]),
        vouches: input.one_of(&[true, true, true, false]),
        now: input.clock(),
    };
    let left = freshness.left(question.now);
    let usable = question.life == Life::Alive
        && stored.no_cache != Named::Whole
        && (question.vouches || policy.on_partition == OnPartition::Serve);
    // §4.2.4: what prohibits a stale response.
    let extended = stored.stale_while_revalidate.or(stored.stale_if_error);
    let patient = !stored.must_revalidate
        && !stored.proxy_revalidate
        && (stored.s_maxage.is_none() || extended.is_some());
    match reuse::reuse(question) {
        Reuse::Fresh(time) => assert!(usable && left == Ok(time), "{question:?}"),
        Reuse::WhileRevalidating(time) | Reuse::StaleAccepted(time) => {
            assert!(usable && patient && left == Err(time), "{question:?}");
        }
        Reuse::Refuse => assert!(!question.vouches, "{question:?}"),
        Reuse::Validate(_) | Reuse::Forget => {}
    }
    if let Some(stale) = reuse::on_error(question) {
        assert!(usable && patient, "{question:?}");
        assert_eq!(left.err().unwrap_or_default(), stale, "{question:?}");
    }
}
