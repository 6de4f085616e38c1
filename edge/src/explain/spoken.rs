//! What each rule says of a request, in the order in which they are asked.

use std::time::SystemTime;

use http::StatusCode;

use super::report::Spoken;
use super::words;
use crate::answer::{Journey, is_here, question};
use crate::object::Object;
use crate::rules::coding::{self, Coding};
use crate::rules::ranges::Part;
use crate::rules::{directives, reuse, validation};
use crate::state::State;

/// `variants`: how many are stored, where there are any.
pub fn rules(
    state: &State,
    journey: &Journey,
    variants: Option<usize>,
    selected: Option<&Object>,
    now: SystemTime,
) -> Vec<Spoken> {
    let policy = journey.policy();
    let mut rules = Vec::new();
    let mut say = |section: &str, says: String| rules.push(Spoken::new(section, says));
    if !policy.cache {
        let says = "every request goes to the origin, nothing is stored";
        return vec![Spoken::new("cache = \"off\"", says)];
    }
    if !state.vouches() {
        let stance = format!("{:?}", policy.on_partition).to_lowercase();
        say(
            "on_partition",
            format!("cut off from the control plane: {stance}"),
        );
    }
    if directives::Request::read(&journey.fields) != directives::Request::default() {
        let obeyed = format!("{:?}", policy.client_directives).to_lowercase();
        say(
            "client_directives",
            format!("what the client says of caching: {obeyed}"),
        );
    }
    match (variants, selected) {
        (None, _) => say("RFC 9111 §4", "nothing is stored under this key".into()),
        (Some(count), None) => {
            say(
                "RFC 9111 §4.1",
                format!("none of {count} stored variants is selected by Vary"),
            );
        }
        (Some(count), Some(object)) => {
            say(
                "RFC 9111 §4.1",
                format!("one of {count} stored is selected by Vary"),
            );
            rules.extend(of_object(state, journey, object, now));
        }
    }
    rules
}

fn of_object(state: &State, journey: &Journey, object: &Object, now: SystemTime) -> Vec<Spoken> {
    let life = object.life(&state.ledger);
    let question = question(journey, object, life, state.vouches(), now);
    let mut rules: Vec<_> = words::alive(life).into_iter().collect();
    rules.push(words::reuse(reuse::reuse(question)));
    if let Some(stale) = reuse::on_error(question) {
        let stale = stale.as_secs_f64();
        let says = format!("should the origin fail, this may stand in, {stale:.1} s stale");
        rules.push(Spoken::new("RFC 5861 §4", says));
    }
    if !object.body.is_whole() {
        let says = match is_here(journey, object) {
            true => "the part that is asked for is here",
            false => "not all of it is here",
        };
        rules.push(Spoken::new("RFC 9111 §3.3", says));
    }
    let (head, received) = (&object.head, object.freshness.received);
    if object.status.is_success() && validation::not_modified(&journey.fields, head, received) {
        let says = "the client's own copy is still good: 304";
        rules.push(Spoken::new("RFC 9110 §13.2.2", says));
    }
    let part = journey.part(head, object.body.total());
    if part != Part::Whole && object.status == StatusCode::OK {
        rules.push(Spoken::new("RFC 9110 §14.2", words::part(&part)));
    }
    let coding = coding::coding(coding::Question {
        policy: journey.policy(),
        request: &journey.fields,
        status: object.status,
        head,
    });
    if coding != Coding::Identity(coding::Why::NotConfigured) {
        rules.push(words::coding(coding));
    }
    rules
}
