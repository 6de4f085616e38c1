#![allow(clippy::unwrap_used)]
use super::*;
use seawall_config::scope::{host, prefix, tag, target};

const SITE: &str = "shop";

fn key(url: &str) -> Key {
    let target = target(url).unwrap();
    Key::new(
        Revision(1),
        target.scheme.unwrap(),
        &target.host,
        &target.path,
    )
    .unwrap()
}

fn scope(text: &str) -> Scope {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("all", _) => Scope::Everything,
        ("site", name) => Scope::Site(name.into()),
        ("host", name) => Scope::Host(host(name, None).unwrap()),
        ("tag", name) => Scope::Tag(tag(name).unwrap()),
        ("url", url) => Scope::Url(target(url).unwrap()),
        (_, url) => Scope::Prefix(prefix(url).unwrap()),
    }
}

#[test]
fn a_purge_covers_its_scope_and_nothing_else() {
    let check = |purged: &str, url: &str, tags: &[&str], expect: Life| {
        let mut ledger = Ledger::default();
        let prints: Vec<_> = tags.iter().map(|tag| ledger.prints().tag(tag)).collect();
        let (before, at, after) = (
            ledger.birth(Revision(9)),
            Revision(10),
            ledger.birth(Revision(10)),
        );
        ledger.purge(&[scope(purged)], Mode::Hard, at);
        assert_eq!(
            ledger.judge(SITE, &key(url), Some(&prints), before),
            expect,
            "{purged} on {url}"
        );
        assert_eq!(
            ledger.judge(SITE, &key(url), Some(&prints), after),
            Life::Alive,
            "born at the purge"
        );
    };
    let (dead, alive) = (Life::HardDead, Life::Alive);
    check("all", "http://a/x", &[], dead);
    check("site shop", "http://a/x", &[], dead);
    check("site other", "http://a/x", &[], alive);
    check("host a", "http://a/x", &[], dead);
    check("host a", "http://a:8080/x", &[], dead);
    check("host a:8080", "http://a:8080/x", &[], dead);
    check("host a:8080", "http://a/x", &[], alive);
    check("host a", "http://b/x", &[], alive);
    check("url http://a/x", "http://a/x", &[], dead);
    check("url http://a/x", "https://a/x", &[], alive);
    check("url //a/x", "https://a/x", &[], dead);
    check("url http://a/x", "http://a/x?y", &[], alive);
    check("url http://a/x?y", "http://a/x?y", &[], dead);
    check("prefix http://a/b", "http://a/b", &[], dead);
    check("prefix http://a/b", "http://a/b/", &[], dead);
    check("prefix http://a/b", "http://a/b/c", &[], dead);
    check("prefix http://a/b/", "http://a/b/c", &[], dead);
    check("prefix http://a/b", "http://a/b?c", &[], dead);
    check("prefix http://a/b", "http://a/bc", &[], alive);
    check("prefix a/", "https://a/any/thing?x", &[], dead);
    check("tag news", "http://a/x", &["sport", "news"], dead);
    check("tag news", "http://a/x", &["sport"], alive);
}

#[test]
fn soft_is_judged_after_hard_and_marks_are_only_raised() {
    let mut ledger = Ledger::default();
    let life = |ledger: &Ledger, born| {
        ledger.judge(
            SITE,
            &key("http://a/x"),
            Some(&[]),
            ledger.birth(Revision(born)),
        )
    };
    ledger.purge(&[scope("url //a/x")], Mode::Soft, Revision(20));
    ledger.purge(&[scope("host a")], Mode::Hard, Revision(10));
    ledger.purge(&[scope("host a")], Mode::Hard, Revision(5));
    assert_eq!(
        [9, 10, 19, 20].map(|born| life(&ledger, born)),
        [Life::HardDead, Life::SoftDead, Life::SoftDead, Life::Alive]
    );
    ledger.raise_floor(Revision(30));
    assert_eq!(
        [29, 30].map(|born| life(&ledger, born)),
        [Life::HardDead, Life::Alive]
    );
}

#[test]
fn an_unsafe_method_beats_a_get_in_flight() {
    let mut ledger = Ledger::default();
    let in_flight = ledger.birth(Revision(5));
    ledger.invalidate(&key("http://a/x"));
    let later = ledger.birth(Revision(5));
    assert_eq!(
        ledger.judge(SITE, &key("http://a/x"), Some(&[]), in_flight),
        Life::HardDead
    );
    assert_eq!(
        ledger.judge(SITE, &key("https://a/x"), Some(&[]), in_flight),
        Life::HardDead,
        "both schemes"
    );
    assert_eq!(
        ledger.judge(SITE, &key("http://a/x"), Some(&[]), later),
        Life::Alive
    );
    assert_eq!(
        ledger.judge(SITE, &key("http://a/y"), Some(&[]), in_flight),
        Life::Alive
    );
}

#[test]
fn while_its_tags_are_unknown_any_tag_purge_counts() {
    let mut ledger = Ledger::default();
    let birth = ledger.birth(Revision(5));
    ledger.purge(&[scope("tag news")], Mode::Hard, Revision(6));
    assert_eq!(
        ledger.judge(SITE, &key("http://a/x"), None, birth),
        Life::HardDead
    );
    assert_eq!(
        ledger.judge(SITE, &key("http://a/x"), Some(&[]), birth),
        Life::Alive
    );
}

#[test]
fn forgetting_never_resurrects_and_folding_only_widens() {
    let mut ledger = Ledger::default();
    ledger.purge(&[scope("url //a/x")], Mode::Hard, Revision(10));
    ledger.forget(Birth {
        revision: Revision(9),
        ..Birth::default()
    });
    assert_eq!(ledger.len(), 1, "something born at 9 may still be there");
    ledger.forget(Birth {
        revision: Revision(10),
        ..Birth::default()
    });
    assert_eq!(ledger.len(), 0);

    for i in 0..=HOST_ENTRIES_MAX {
        let at = Revision(20 + i as u64);
        ledger.purge(&[scope(&format!("url //a/{i}"))], Mode::Hard, at);
    }
    assert_eq!(ledger.len(), 1, "folded into the host");
    let life =
        |url: &str, born| ledger.judge(SITE, &key(url), Some(&[]), ledger.birth(Revision(born)));
    assert_eq!(life("http://a/0", 19), Life::HardDead);
    assert_eq!(
        life("http://a/never-purged", 21),
        Life::HardDead,
        "too much, never too little"
    );
    assert_eq!(life("http://b/0", 19), Life::Alive);
}

#[test]
fn another_epoch_leaves_nothing_alive() {
    let mut ledger = Ledger::default();
    let birth = ledger.birth(Revision(1_000));
    ledger.begin_epoch(Epoch(2));
    assert_eq!(
        ledger.judge(SITE, &key("http://a/x"), Some(&[]), birth),
        Life::HardDead
    );
    assert_eq!(
        ledger.judge(
            SITE,
            &key("http://a/x"),
            Some(&[]),
            ledger.birth(Revision(1))
        ),
        Life::Alive
    );
}

#[test]
fn a_floor_is_no_later_than_either_birth_in_any_part() {
    let birth = |revision, local| Birth {
        epoch: Epoch(1),
        revision: Revision(revision),
        local,
    };
    // One site is kept at an old version, another has a fill that began before a local invalidation.
    assert_eq!(birth(5, 10).floor(birth(100, 3)), birth(5, 3));
}

#[test]
fn a_group_is_invalidated_on_its_own_origin_only() {
    let mut ledger = Ledger::default();
    let born = ledger.birth(Revision(5));
    ledger.invalidate_group(&key("http://a/form"), "news");
    let life = |url: &str, group: &str| {
        let tags = [ledger.prints().group(&key(url), group)];
        ledger.judge(SITE, &key(url), Some(&tags), born)
    };
    assert_eq!(life("http://a/x", "news"), Life::HardDead);
    assert_eq!(life("http://a/x", "sport"), Life::Alive);
    assert_eq!(life("http://b/x", "news"), Life::Alive);
    assert_eq!(life("https://a/x", "news"), Life::Alive);
    assert_eq!(
        ledger.judge(SITE, &key("http://a/x"), None, born),
        Life::HardDead,
        "its groups are not known yet"
    );
}

#[test]
fn what_is_made_of_two_has_the_tags_of_both() {
    let check = |one: &[Fingerprint], other: &[Fingerprint], expect: &[Fingerprint]| {
        assert_eq!(*united(one, other), *expect, "{one:?} {other:?}");
    };
    check(&[], &[], &[]);
    check(&[2], &[], &[2]);
    check(&[], &[2], &[2]);
    check(&[2, 1], &[2, 3], &[1, 2, 3]);
}
