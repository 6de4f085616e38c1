//! What an origin sees of a request: everything it says is ours, or covered by the key, or the client's own
//! word about itself.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_http::RequestHeader;

use crate::admit::MIN_REVISION;
use crate::answer::Journey;
use crate::fill::fetch::Stored;
use crate::object::Object;
use crate::rules::{fields, ranges, targeted, validation};

/// How often one deployment may pass a request on (RFC 8586).
const HOPS_MAX: usize = 3;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What this edge calls itself on the way to an origin.
#[derive(Clone, Debug)]
pub struct Pseudonym {
    /// The edge's id: a token.
    pub node: String,
    /// `1.1 <edge id>`.
    pub via: HeaderValue,
}

impl Pseudonym {
    pub fn new(node: &str) -> Self {
        let via = HeaderValue::from_str(&format!("1.1 {node}"));
        Self {
            node: node.to_owned(),
            via: via.unwrap_or_else(|_| HeaderValue::from_static("1.1 seawall")),
        }
    }

    /// `seawall-<deployment>;node=<edge id>`. The deployment is named by its store's epoch.
    fn member(&self, deployment: u64) -> String {
        format!("seawall-{deployment};node={}", self.node)
    }

    /// RFC 8586 §2: whether a request has been here already, or in this deployment too often.
    pub fn loops(&self, request: &HeaderMap, deployment: u64) -> bool {
        let lines = request
            .get_all(CDN_LOOP)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let members: Vec<_> = lines
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .collect();
        if members.is_empty() {
            return false;
        }
        let here = self.member(deployment);
        let ours = format!("seawall-{deployment}");
        let of_ours =
            |member: &&&str| member.split(';').next().map(str::trim) == Some(ours.as_str());
        members.contains(&here.as_str()) || members.iter().filter(of_ours).count() > HOPS_MAX
    }

    /// Adds Via, CDN-Loop and the forwarded fields, in place of whatever a client said there.
    pub fn sign(&self, head: &mut HeaderMap, journey: &Journey) {
        fields::strip_unkeyed(head);
        head.remove(MIN_REVISION);
        head.append(header::VIA, self.via.clone());
        if let Some(here) = value(self.member(journey.snapshot.epoch.0)) {
            head.append(CDN_LOOP, here);
        }
        let mut set = |name: HeaderName, text: String| {
            if let Some(value) = value(text) {
                head.insert(name, value);
            }
        };
        if let Some(client) = journey.client {
            set(
                fields::FORWARDED_FOR,
                client.ip().to_canonical().to_string(),
            );
        }
        set(FORWARDED_HOST, journey.key.host().to_owned());
        set(FORWARDED_PROTO, journey.key.scheme().as_str().to_owned());
        if journey.policy().surrogate_control {
            let (name, text) = targeted::CAPABILITY;
            set(HeaderName::from_static(name), text.to_owned());
        }
        let host = journey.served.pool.host().unwrap_or(journey.key.host());
        set(header::HOST, host.to_owned());
    }
}

/// Every value here was checked where it came in; one that is no field value is simply not sent.
fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

/// The request of a fetch; `shared`: others may be answered from it, so nothing of one client's own
/// conditions and ranges is in it. `stored`: what is asked about, or needs the rest.
pub fn fetch(
    journey: &Journey,
    shared: bool,
    stored: &Stored,
    by: &Pseudonym,
) -> Option<RequestHeader> {
    let mut head = (*journey.fields).clone();
    fields::strip_hop(&mut head);
    head.remove(header::CONTENT_LENGTH);
    head.remove(header::EXPECT);
    if shared {
        for name in validation::CONDITIONAL {
            head.remove(name);
        }
    }
    // RFC 9110 §8.8.1: where answers may be encoded here, a date does not tell the origin's bytes from those a client
    // has a part of. Without the range it gets the whole.
    if !journey.policy().compress.is_empty() && ranges::only_if_dated(&head) {
        head.remove(header::RANGE);
        head.remove(header::IF_RANGE);
    }
    match stored {
        Stored::Nothing => {}
        Stored::Candidates(stored) => {
            add_conditions(stored, &mut head);
        }
        Stored::Part(part) => {
            if let Some(missing) = part.body.missing() {
                validation::add_range(&part.head, missing, part.body.total(), &mut head);
            }
        }
    }
    by.sign(&mut head, journey);
    let (mut parts, ()) = http::Request::new(()).into_parts();
    (parts.method, parts.headers) = (journey.method.clone(), head);
    let mut request = RequestHeader::from(parts);
    let target = journey.key.target().as_bytes();
    request.set_raw_path(target).ok()?;
    Some(request)
}

fn add_conditions(stored: &[Arc<Object>], head: &mut HeaderMap) -> bool {
    match stored {
        [one] => validation::add_conditions(&one.head, head),
        several => validation::add_tags(several.iter().map(|object| &object.head), head),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_seen_by_node_and_by_deployment() {
        let edge = Pseudonym::new("edge-1");
        let check = |line: &str, expect: bool| {
            let head: HeaderMap = [(
                "cdn-loop".parse::<header::HeaderName>().unwrap(),
                line.parse().unwrap(),
            )]
            .into_iter()
            .collect();
            assert_eq!(edge.loops(&head, 7), expect, "{line}");
        };
        check("seawall-7;node=edge-1", true);
        check("other, seawall-7;node=edge-1, more", true);
        check("seawall-8;node=edge-1", false);
        check(
            "seawall-7;node=a, seawall-7;node=b, seawall-7;node=c",
            false,
        );
        check(
            "seawall-7;node=a, seawall-7;node=b, seawall-7;node=c, seawall-7 ;node=d",
            true,
        );
    }
}
