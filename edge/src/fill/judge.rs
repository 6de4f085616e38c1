//! What the rules say of a head that arrived. Pure.

use std::time::SystemTime;

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use seawall_config::site::{ClientDirectives, Policy, SetCookie};

use super::Arrived;
use crate::answer::Journey;
use crate::ledger::{Fingerprint, Fingerprints, united};
use crate::origin::Failure;
use crate::origin::exchange::length;
use crate::rules::directives;
use crate::rules::freshness::{Arrival, Freshness, date_field, freshness};
use crate::rules::storing::{Exchange, Storing, Why, storing};
use crate::rules::variants::Selection;
use crate::rules::{fields, invalidation, targeted, validation};

/// A head, whose it is, and when it came.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    pub journey: &'a Journey,
    /// Others may be answered from it, if it is stored.
    pub shared: bool,
    /// GET for a stored answer that another method speaks of.
    pub method: &'a Method,
    pub status: StatusCode,
    /// The answer's own, or the stored one that a 304 updated.
    pub head: &'a HeaderMap,
    /// The tags of what is stored already and becomes a part of it.
    pub made_of: &'a [Fingerprint],
    pub requested: SystemTime,
    pub received: SystemTime,
}

/// Whether it is kept, for how long, under which tags; and whether some of its tags were left out. `takes` says
/// whether the cache has room for a body of so many bytes.
pub fn judge(
    heard: Heard<'_>,
    prints: &Fingerprints,
    takes: impl Fn(u64) -> bool,
) -> Result<(Arrived, bool), Failure> {
    let Heard {
        journey,
        status,
        head,
        ..
    } = heard;
    let length = length(status, heard.method, head)?;
    let (directives, freshness, storing) = ask_rules(heard);
    let (tags, tags_cut) = tags(heard, prints);
    let storing = match storing {
        Storing::Keep if tags_cut => Storing::Refuse(Why::TooManyTags),
        storing => storing,
    };
    let keep = (heard.shared || is_for_others(heard)) && storing == Storing::Keep;
    let selection = Selection::new(head, &journey.fields);
    let kept = keep && takes(length.unwrap_or_default());
    let date = date_field(head, heard.received);
    let mut head = passed_on(head, keep, journey.policy());
    // RFC 9110 §6.6.1: every answer from this one, now and later, says when this one was made.
    head.insert(header::DATE, date);
    Ok((
        Arrived {
            status,
            said: status,
            head,
            length,
            storing,
            kept,
            overtaken: false,
            directives,
            freshness,
            selection,
            tags,
        },
        tags_cut,
    ))
}

/// The tags it is kept under, and whether they are more than are kept. What is stored goes on under the tags it came
/// with, whatever a later answer calls it: a purge of one of them takes the bytes, and may be on its way by now.
fn tags(heard: Heard<'_>, prints: &Fingerprints) -> (Box<[Fingerprint]>, bool) {
    let (tags, tags_cut) = fields::tags(heard.head);
    let (groups, groups_cut) = fields::groups(heard.head, "cache-groups");
    let key = &heard.journey.key;
    let groups = groups.iter().map(|group| prints.group(key, group));
    let said = tags.iter().map(|tag| prints.tag(tag)).chain(groups);
    let said: Vec<_> = said.collect();
    let all = united(heard.made_of, &said);
    let many = all.len() > fields::TAGS_AND_GROUPS_MAX;
    (all, tags_cut || groups_cut || many)
}

/// Whether others may be answered from what the origin said to one client's own conditions: only from the thing
/// itself, or a part of it.
fn is_for_others(heard: Heard<'_>) -> bool {
    let thing = match heard.status {
        StatusCode::OK => true,
        // RFC 9110 §15.3.7: an answer to If-Range leaves out what the client is taken to know of the whole.
        StatusCode::PARTIAL_CONTENT => !heard.journey.fields.contains_key(header::IF_RANGE),
        _ => false,
    };
    thing && heard.journey.wanted.is_none()
}

fn ask_rules(heard: Heard<'_>) -> (directives::Response, Freshness, Storing) {
    let Heard {
        journey,
        status,
        head,
        requested,
        received,
        ..
    } = heard;
    let policy = journey.policy();
    let found = targeted::read(head, policy.surrogate_control);
    let targeted = found.is_some();
    let directives = found.unwrap_or_else(|| directives::Response::read(head));
    let freshness = freshness(Arrival {
        status,
        head,
        directives: &directives,
        targeted,
        default_ttl: policy.default_ttl,
        negative_ttl: policy.negative_ttl,
        requested,
        received,
    });
    let honours = policy.client_directives == ClientDirectives::Honour;
    let storing = storing(Exchange {
        method: heard.method,
        request: &journey.fields,
        client_no_store: honours && directives::Request::read(&journey.fields).no_store,
        status,
        response: head,
        located: invalidation::is_located(&journey.key, head),
        directives: &directives,
        freshness: &freshness,
        policy,
    });
    (directives, freshness, storing)
}

/// The fields that go on to the client that asked.
fn passed_on(head: &HeaderMap, keep: bool, policy: &Policy) -> HeaderMap {
    // Copied: a value that was parsed keeps the whole buffer it was read into.
    let copies = head
        .iter()
        .map(|(name, value)| (name.clone(), validation::copied(value)));
    let mut head: HeaderMap = copies.collect();
    fields::strip_hop(&mut head);
    if keep && policy.set_cookie == SetCookie::Strip {
        head.remove(header::SET_COOKIE);
    }
    head
}
