//! What each rule says of a request, in the order in which [`decide`](crate::answer::decide) asks them.

use std::sync::Arc;

use super::Looked;
use super::report::Spoken;
use super::words;
use crate::answer::{Apart, Refusal, Verdict, is_current, is_here, question, range};
use crate::fill::fetch::Stored;
use crate::object::Object;
use crate::rules::coding::{self, Coding};
use crate::rules::ranges::Part;
use crate::rules::{directives, reuse};

/// `joins`: what it takes a fetch for is under way already.
pub fn rules(looked: &Looked<'_>, verdict: &Verdict, joins: bool) -> Vec<Spoken> {
    let policy = looked.journey.policy();
    let mut rules = Vec::new();
    if !looked.vouches {
        rules.push(words::cut_off(policy.on_partition));
    }
    // These are decided before anything that is stored is looked at.
    match verdict {
        Verdict::Refuse(Refusal::Fenced) => return rules,
        Verdict::Alone {
            apart: apart @ Apart::CacheOff,
            ..
        } => {
            rules.push(words::apart(*apart));
            return rules;
        }
        _ if looked.journey.wanted.is_some() => {
            rules.push(words::too_early());
            return rules;
        }
        _ => {}
    }
    let client = directives::Request::read(&looked.journey.fields);
    if client != directives::Request::default() {
        rules.push(words::client(policy.client_directives));
    }
    let count = looked.shelf.as_ref().map(|shelf| shelf.len());
    rules.push(words::selected(count, looked.selected.is_some()));
    if let Some(object) = &looked.selected {
        rules.extend(of_object(looked, object));
    }
    rules.extend(of_verdict(looked, verdict, joins));
    rules
}

/// Whether what is selected may be used.
fn of_object(looked: &Looked<'_>, object: &Object) -> Vec<Spoken> {
    let life = object.life(&looked.state.ledger);
    let question = question(looked.journey, object, life, looked.vouches, looked.now);
    let mut rules: Vec<_> = words::alive(life).into_iter().collect();
    rules.push(words::reuse(reuse::reuse(question), life));
    if !object.body.is_whole() {
        let says = match is_here(looked.journey, object) {
            true => "the part that is asked for is here",
            false => "not all of it is here",
        };
        rules.push(Spoken::new("RFC 9111 §3.3", says));
    }
    rules
}

/// What follows.
fn of_verdict(looked: &Looked<'_>, verdict: &Verdict, joins: bool) -> Vec<Spoken> {
    match verdict {
        Verdict::Serve { object, .. } => of_answer(looked, object),
        Verdict::Refuse(refusal) => vec![words::refusal(*refusal)],
        Verdict::Alone {
            apart, stand_in, ..
        } => {
            let stand_in = of_stand_in(looked, stand_in.as_ref());
            [words::apart(*apart)].into_iter().chain(stand_in).collect()
        }
        Verdict::Fetch {
            stored, stand_in, ..
        } => {
            let asks = match (joins, stored) {
                (true, _) => Some(words::joins()),
                (false, Stored::Nothing) if stand_in.is_none() => None,
                (false, stored) => Some(words::asks(stored)),
            };
            let stand_in = of_stand_in(looked, stand_in.as_ref());
            asks.into_iter().chain(stand_in).collect()
        }
    }
}

/// What the client gets of what is stored.
fn of_answer(looked: &Looked<'_>, object: &Object) -> Vec<Spoken> {
    let journey = looked.journey;
    let (head, status) = (&object.head, object.status);
    let mut rules = Vec::new();
    if is_current(journey, status, head, object.freshness.received) {
        let says = "the client's own copy is still good: 304";
        rules.push(Spoken::new("RFC 9110 §13.2.2", says));
    } else {
        let part = range(journey, status, head, Some(object.body.total()));
        if part != Part::Whole {
            rules.push(Spoken::new("RFC 9110 §14.2", words::part(&part)));
        }
    }
    let coding = coding::coding(coding::Question {
        policy: journey.policy(),
        request: &journey.fields,
        status,
        head,
    });
    if coding != Coding::Identity(coding::Why::NotConfigured) {
        rules.push(words::coding(coding));
    }
    rules
}

/// Whether what is stored may be served should the origin fail.
fn of_stand_in(looked: &Looked<'_>, stand_in: Option<&Arc<Object>>) -> Option<Spoken> {
    let object = stand_in.filter(|object| is_here(looked.journey, object))?;
    let life = object.life(&looked.state.ledger);
    let question = question(looked.journey, object, life, looked.vouches, looked.now);
    let says = match reuse::on_error(question) {
        Some(_) => "should the origin fail, what is stored may stand in for it",
        None => "should the origin fail, nothing stands in for it",
    };
    Some(Spoken::new("RFC 5861 §4", says))
}
