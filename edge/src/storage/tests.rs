//! The rules of a shelf.

use std::borrow::Cow;
use std::sync::Weak;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header;
use seawall_config::Revision;
use seawall_config::scope::Scheme;

use super::*;
use crate::object::samples::parts;
use crate::object::{Body, Parts};
use crate::rules::variants::Selection;

fn object(birth: u64, language: &str, body: &'static str) -> Arc<Object> {
    let vary = [(header::VARY, "accept-language".parse().unwrap())]
        .into_iter()
        .collect();
    let request = [(header::ACCEPT_LANGUAGE, language.parse().unwrap())]
        .into_iter()
        .collect();
    Arc::new(Object::new(Parts {
        selection: Selection::new(&vary, &request),
        head: Cow::Owned(vary),
        body: Body::new([Bytes::from(body)]),
        ..parts(birth)
    }))
}

fn births(storage: &Storage, key: &Key) -> Vec<u64> {
    storage
        .get(key)
        .iter()
        .flat_map(|shelf| shelf.iter().map(|object| object.birth.revision.0))
        .collect()
}

#[test]
fn an_older_fill_never_replaces_a_newer_one() {
    let storage = Storage::new(1 << 20, |_| {});
    let (old, new) = (object(1, "en", "old"), object(2, "en", "new"));
    assert_eq!(storage.put(&new), Put::Stored);
    assert_eq!(storage.put(&old), Put::Outdated);
    assert_eq!(
        storage.put(&object(1, "de", "another variant")),
        Put::Stored
    );
    assert_eq!(births(&storage, &new.key), [2, 1]);
}

#[test]
fn a_validation_updates_only_what_it_validated() {
    let storage = Storage::new(1 << 20, |_| {});
    let (first, second) = (object(1, "en", "first"), object(2, "en", "second"));
    storage.put(&first);
    storage.put(&second);
    assert_eq!(
        storage.replace(first.id, &object(3, "en", "first again")),
        Put::Gone
    );
    assert_eq!(
        storage.replace(second.id, &object(3, "en", "second again")),
        Put::Stored
    );
    assert_eq!(births(&storage, &first.key), [3]);
    let there = storage.get(&first.key).unwrap()[0].id;
    storage.remove(&first.key, &[there]);
    assert!(storage.get(&first.key).is_none());
}

#[test]
fn of_several_that_a_request_selects_the_most_recent_is_used() {
    let check = |section: &str, shelf: &[(u64, &str, Option<u64>)], expect: u64| {
        let shelf: Vec<_> = shelf
            .iter()
            .map(|(birth, vary, date)| dated(*birth, vary, *date))
            .collect();
        let found = Storage::select(&shelf, &HeaderMap::new());
        let found = found.map_or(0, |object| object.birth.revision.0);
        assert_eq!(found, expect, "{section}: {shelf:?}");
    };
    let (late, early) = (Some(2000), Some(1000));
    check("4", &[(1, "a", late)], 1);
    check("4", &[(1, "a", late), (2, "b", early)], 1);
    check("4", &[(1, "a", early), (2, "b", late)], 2);
    check("4", &[(1, "a", late), (2, "b", early), (3, "c", early)], 1);
    check("4", &[(1, "a", early), (2, "b", late), (3, "c", early)], 2);
    // Of the same second, or without a Date, the one that came last.
    check("4", &[(1, "a", late), (2, "b", late), (3, "c", late)], 3);
    check("4", &[(1, "a", None), (2, "b", None)], 2);
}

/// One that every request without the field `vary` selects.
fn dated(birth: u64, vary: &str, date: Option<u64>) -> Arc<Object> {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut head = HeaderMap::new();
    head.insert(header::VARY, vary.parse().unwrap());
    let date = date.map(|seconds| httpdate::fmt_http_date(at(seconds)).parse().unwrap());
    head.extend(date.map(|date| (header::DATE, date)));
    Arc::new(Object::new(Parts {
        selection: Selection::new(&head, &HeaderMap::new()),
        head: Cow::Owned(head),
        ..parts(birth)
    }))
}

#[test]
fn what_leaves_its_shelf_is_told_unless_it_lives_on() {
    let (sender, left) = std::sync::mpsc::channel();
    let storage = Storage::new(1 << 20, move |object| {
        sender.send(object.id).expect("the test listens")
    });
    let told = || left.try_iter().collect::<Vec<_>>();
    let (first, second) = (object(1, "en", "first"), object(2, "en", "second"));
    let other = object(1, "de", "another variant");
    for object in [&first, &other] {
        storage.put(object);
    }
    assert!(told().is_empty());
    // Its head was updated, and nothing else.
    let updated = object(1, "en", "first");
    storage.replace(first.id, &updated);
    assert!(told().is_empty());
    storage.put(&second);
    assert_eq!(told(), [updated.id]);
    assert_eq!(storage.put(&first), Put::Outdated);
    storage.remove(&second.key, &[second.id]);
    assert_eq!(told(), [second.id]);
    storage.remove(&second.key, &[second.id, other.id]);
    assert_eq!(told(), [other.id]);
}

#[test]
fn variants_of_a_url_are_bounded() {
    let storage = Storage::new(1 << 24, |_| {});
    for n in 0..=VARIANTS_MAX as u64 {
        storage.put(&object(n, &format!("x-{n}"), ""));
    }
    let births = births(&storage, &object(0, "", "").key);
    assert_eq!(
        (births.len(), births[0], births[VARIANTS_MAX - 1]),
        (VARIANTS_MAX, 1, VARIANTS_MAX as u64)
    );
}

/// Of a URL of its own.
fn large(n: u64, bytes: usize) -> Arc<Object> {
    let key = Key::new(Revision(1), Scheme::Http, "a", &format!("/{n}"));
    Arc::new(Object::new(Parts {
        key: key.unwrap(),
        body: Body::new([Bytes::from(vec![b'x'; bytes])]),
        ..parts(1)
    }))
}

#[test]
fn large_objects_that_come_fast_are_not_held_beyond_the_bound() {
    const MIB: u64 = 1 << 20;
    const BOUND: u64 = 16 * MIB;
    let storage = Storage::new(BOUND, |_| {});
    let mut put: Vec<Weak<Object>> = Vec::new();
    for n in 0..200 {
        let object = large(n, MIB as usize);
        storage.put(&object);
        put.push(Arc::downgrade(&object));
        drop(object);
        let held = put.iter().filter(|object| object.strong_count() > 0);
        let held = held.count() as u64 * MIB;
        assert!(held <= BOUND + BOUND / 4, "{held} bytes after {n}");
    }
}

#[test]
fn nothing_on_a_shelf_was_told_to_leave() {
    let (sender, told) = std::sync::mpsc::channel();
    let storage = Storage::new(1 << 20, move |object| {
        sender.send(object.id).expect("the test listens")
    });
    for n in 0..200 {
        let object = large(n, 20 << 10);
        storage.put(&object);
        storage.weigh_again(&object.key);
    }
    let told: Vec<_> = told.try_iter().collect();
    let shelves: Vec<_> = storage.shelves().collect();
    let held: Vec<_> = shelves.iter().flat_map(|shelf| shelf.iter()).collect();
    assert!(!told.is_empty() && !held.is_empty());
    for object in held {
        assert!(!told.contains(&object.id), "{:?}", object.key);
    }
}
