//! What a client is told: status, fields and body of each kind of answer.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use seawall_config::site::ContentCoding;

use super::head::{Head, View, part_of};
use super::multipart::Several;
use super::{Journey, Refusal};
use crate::encode::stream::Stream;
use crate::fill::Arrived;
use crate::fill::stream::Reader;
use crate::object::lead::carries_length;
use crate::object::{Body, Object};
use crate::origin::Failure;
use crate::rules::cache_status::{Forwarded, Fwd, Handling, Told};
use crate::rules::ranges::Part;
use crate::rules::storing::Storing;
use crate::rules::validation;

/// A `Retry-After` in seconds, for answers that will be different soon.
const RETRY_AFTER_S: u64 = 5;
/// And for those that are refused because too many came at once.
const TURN_AFTER_S: u64 = 1;

/// An answer ready to be written; the door adds what is its own (Via, Connection, framing).
pub struct Answer {
    pub status: StatusCode,
    pub head: Head,
    pub told: Told,
    pub body: Content,
    /// What the body is to be encoded in, where that can be done; see [`super::coded`].
    pub(super) coding: Option<ContentCoding>,
}

/// The body of an answer.
pub enum Content {
    /// None follows, whatever Content-Length says (HEAD, 304).
    Nothing,
    /// A text of ours.
    Text(String),
    /// From `first` up to, not including, `end`.
    Stored {
        body: Body,
        first: u64,
        end: u64,
    },
    /// Several parts of it, as `multipart/byteranges`.
    Several(Body, Several),
    Arriving(Reader),
    /// All of a stored one, encoded.
    Encoded(Bytes),
    /// Encoded while it is written.
    Encoding(Box<Stream>),
}

impl Content {
    /// The next piece of a body that is on its way; None at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Arriving(reader) => reader.next().await,
            Self::Encoding(stream) => stream.next().await,
            _ => Ok(None),
        }
    }
}

impl Answer {
    /// From what is stored.
    pub fn stored(journey: &Journey, object: &Arc<Object>, now: SystemTime) -> Self {
        Self::from_object(journey, object, Told::hit(object.freshness.ttl(now)), now)
    }

    /// From what is stored, after something was asked of the origin.
    pub(super) fn forwarded(
        journey: &Journey,
        object: &Arc<Object>,
        handling: Handling,
        now: SystemTime,
    ) -> Self {
        let told = Told {
            handling,
            ttl: Some(object.freshness.ttl(now)),
            detail: None,
        };
        Self::from_object(journey, object, told, now)
    }

    fn from_object(journey: &Journey, object: &Arc<Object>, told: Told, now: SystemTime) -> Self {
        let plain = Self::plain_from_object(journey, object, told, now);
        plain.coded(journey, object.status, &object.head, Some(&object.body))
    }

    fn plain_from_object(
        journey: &Journey,
        object: &Arc<Object>,
        told: Told,
        now: SystemTime,
    ) -> Self {
        let age_s = object.freshness.age(now).as_secs();
        if is_current(
            journey,
            object.status,
            &object.head,
            object.freshness.received,
        ) {
            let head = Head::stored(object, age_s, View::NotModified);
            return Self::of(StatusCode::NOT_MODIFIED, head, told, Content::Nothing);
        }
        let total = object.body.total();
        let aged = || {
            let mut head = object.head.clone();
            head.insert(header::AGE, age_s.into());
            head
        };
        if journey.method == Method::HEAD {
            let mut head = aged();
            head.entry(header::CONTENT_LENGTH).or_insert(total.into());
            return Self::new(object.status, head, told, Content::Nothing);
        }
        match range(journey, object.status, &object.head, Some(total)) {
            Part::Whole => {
                let body = Content::Stored {
                    body: object.body.clone(),
                    first: 0,
                    end: total,
                };
                let head = Head::stored(object, age_s, View::Whole);
                Self::of(object.status, head, told, body)
            }
            Part::Bytes { first, last } => {
                let body = Content::Stored {
                    body: object.body.clone(),
                    first,
                    end: last + 1,
                };
                let head = Head::stored(object, age_s, View::Part { first, last });
                Self::of(StatusCode::PARTIAL_CONTENT, head, told, body)
            }
            Part::Several(parts) => {
                let mut head = aged();
                let several = Several::new(&parts, total, &head);
                several.describe(&mut head);
                let body = Content::Several(object.body.clone(), several);
                Self::new(StatusCode::PARTIAL_CONTENT, head, told, body)
            }
            Part::Unsatisfiable => Self::unsatisfiable(&object.head, told, total),
        }
    }

    /// From a fill, while it arrives.
    pub(super) fn arriving(
        journey: &Journey,
        arrived: &Arrived,
        reader: Reader,
        why: Fwd,
        collapsed: bool,
        now: SystemTime,
    ) -> Self {
        let plain = Self::plain_arriving(journey, arrived, reader, why, collapsed, now);
        plain.coded(journey, arrived.status, &arrived.head, None)
    }

    fn plain_arriving(
        journey: &Journey,
        arrived: &Arrived,
        mut reader: Reader,
        why: Fwd,
        collapsed: bool,
        now: SystemTime,
    ) -> Self {
        // RFC 9211 §2.5: "stored" is whether the response was stored.
        let stored = arrived.kept && !arrived.overtaken;
        let forwarded = Forwarded {
            why,
            status: Some(arrived.said.as_u16()),
            stored,
            collapsed,
        };
        let detail = match arrived.storing {
            Storing::Refuse(why) if reader.fill().shared => Some(why.as_str()),
            _ => None,
        };
        let ttl = stored.then(|| arrived.freshness.ttl(arrived.freshness.received));
        let told = Told {
            handling: Handling::Forwarded(forwarded),
            ttl,
            detail,
        };
        let mut head = head_of(arrived, collapsed, now);
        if journey.method == Method::HEAD {
            return Self::new(arrived.status, head, told, Content::Nothing);
        }
        // A fill for one client carried that client's own conditions: the origin has answered them.
        if reader.fill().shared
            && is_current(
                journey,
                arrived.status,
                &arrived.head,
                arrived.freshness.received,
            )
        {
            return Self::new(
                StatusCode::NOT_MODIFIED,
                validation::not_modified_head(&head),
                told,
                Content::Nothing,
            );
        }
        match range(journey, arrived.status, &arrived.head, arrived.length) {
            // Several parts of what is still to come would have to be sent in its order: the whole is sent.
            Part::Whole | Part::Several(_) => {
                Self::new(arrived.status, head, told, Content::Arriving(reader))
            }
            Part::Bytes { first, last } => {
                partial(&mut head, first, last, arrived.length.unwrap_or_default());
                reader.narrow(first, last + 1);
                Self::new(
                    StatusCode::PARTIAL_CONTENT,
                    head,
                    told,
                    Content::Arriving(reader),
                )
            }
            Part::Unsatisfiable => {
                Self::unsatisfiable(&head, told, arrived.length.unwrap_or_default())
            }
        }
    }

    /// No answer from the origin.
    /// `must_ask`: what is stored may not be used without the origin's word.
    pub(super) fn failed(failure: Failure, must_ask: bool, why: Fwd, collapsed: bool) -> Self {
        let status = match must_ask {
            true => failure.status_for_stored(),
            false => failure.status(),
        };
        let forwarded = Forwarded {
            collapsed,
            ..why.into()
        };
        let told = Told {
            handling: Handling::Forwarded(forwarded),
            ttl: None,
            detail: Some(failure.detail()),
        };
        Self::text(status, told, failure.detail())
    }

    pub(super) fn refused(refusal: super::Refusal) -> Self {
        let told = Told::generated(refusal.detail());
        let mut answer = Self::text(refusal.status(), told, refusal.detail());
        let retry_after_s = match refusal {
            Refusal::OnlyIfCached => None,
            Refusal::Fenced => Some(RETRY_AFTER_S),
            Refusal::RefetchRate => Some(TURN_AFTER_S),
        };
        answer
            .head
            .own()
            .extend(retry_after_s.map(|after| (header::RETRY_AFTER, HeaderValue::from(after))));
        answer
    }

    /// A plain answer of ours, for what goes wrong before anything is looked up.
    pub fn text(status: StatusCode, told: Told, text: &str) -> Self {
        let mut head = HeaderMap::new();
        let body = format!(
            "{} {}: {text}\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error")
        );
        head.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        head.insert(header::CONTENT_LENGTH, body.len().into());
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self::new(status, head, told, Content::Text(body))
    }

    /// A document of a control plane's.
    pub fn json(status: StatusCode, told: Told, document: String) -> Self {
        let mut head = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        head.insert(header::CONTENT_TYPE, json);
        head.insert(header::CONTENT_LENGTH, document.len().into());
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self::new(status, head, told, Content::Text(document))
    }

    fn unsatisfiable(stored: &HeaderMap, told: Told, total: u64) -> Self {
        // What is stored says of itself for how long it is fresh, and not of this error.
        let mut head = HeaderMap::new();
        let date = stored.get(header::DATE).cloned();
        head.extend(date.map(|date| (header::DATE, date)));
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // RFC 9110 §15.5.17: Content-Range tells how long it is.
        if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
            head.insert(header::CONTENT_RANGE, value);
        }
        head.insert(header::CONTENT_LENGTH, 0.into());
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            head,
            told,
            Content::Nothing,
        )
    }

    fn new(status: StatusCode, mut head: HeaderMap, told: Told, body: Content) -> Self {
        if !carries_length(status) {
            head.remove(header::CONTENT_LENGTH);
        }
        Self::of(status, head.into(), told, body)
    }

    fn of(status: StatusCode, head: Head, told: Told, body: Content) -> Self {
        Self {
            status,
            head,
            told,
            body,
            coding: None,
        }
    }
}

/// Whether a client's own copy is still good. RFC 9110 §13.2.1: a condition counts only where the answer without
/// it would be a success.
pub fn is_current(
    journey: &Journey,
    status: StatusCode,
    head: &HeaderMap,
    received: SystemTime,
) -> bool {
    status.is_success() && validation::not_modified(&journey.fields, head, received)
}

/// The part a request gets; only of a 200, and only where the length is known.
pub fn range(journey: &Journey, status: StatusCode, head: &HeaderMap, total: Option<u64>) -> Part {
    match (status, total) {
        (StatusCode::OK, Some(total)) if journey.method == Method::GET => journey.part(head, total),
        _ => Part::Whole,
    }
}

/// What an answer says on its way, to who asked for it or to who waited with that one.
fn head_of(arrived: &Arrived, collapsed: bool, now: SystemTime) -> HeaderMap {
    if !collapsed {
        return arrived.head.clone();
    }
    let mut head = arrived.shared_head().into_owned();
    head.insert(header::AGE, arrived.freshness.age(now).as_secs().into());
    head
}

fn partial(head: &mut HeaderMap, first: u64, last: u64, total: u64) {
    if let Some(part) = part_of(first, last, total) {
        head.insert(header::CONTENT_RANGE, part);
    }
    head.insert(header::CONTENT_LENGTH, (last + 1 - first).into());
}
