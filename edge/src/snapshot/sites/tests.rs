//! What is built, what is shared, what stays in force, and what receipts are told of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::snapshot::Snapshot;
use seawall_config::Epoch;
use serde_json::{Value, json};

fn document(name: &str, created: u64, revision: u64, site: &Value) -> Arc<Document> {
    Arc::new(Document {
        name: name.into(),
        created: Revision(created),
        revision: Revision(revision),
        text: site.to_string().into(),
    })
}

fn good(name: &str, created: u64, revision: u64, hosts: &[&str]) -> Arc<Document> {
    let site =
        json!({"name": name, "hosts": hosts, "origin": format!("http://127.0.0.1:{revision}")});
    document(name, created, revision, &site)
}

fn bad(name: &str, created: u64, revision: u64) -> Arc<Document> {
    let site = json!({"name": name, "hosts": [], "origin": revision});
    document(name, created, revision, &site)
}

fn all(documents: &[Arc<Document>]) -> Shards<Arc<Document>> {
    let mut all = Shards::default();
    for document in documents {
        all.insert(&document.name, document.clone());
    }
    all
}

fn booted(revision: u64, documents: &[Arc<Document>]) -> Snapshot {
    Snapshot::default().reset(Epoch(1), Revision(revision), &all(documents))
}

impl Snapshot {
    fn put(&self, revision: u64, document: &Arc<Document>) -> Self {
        self.after(Revision(revision), [Change::Put(document)].into_iter())
    }

    fn host(&self, host: &str) -> Option<(String, u64)> {
        let served = self.routes().find(host)?;
        Some((served.name.to_string(), served.document.revision.0))
    }

    fn birth(&self, name: &str) -> u64 {
        self.birth_revision(self.sites.served.get(name).unwrap()).0
    }

    /// `site since` or `behind site since`, one each.
    fn refusals(&self) -> String {
        let told = self.sites.refusals.iter().map(|refused| {
            let site = refused.site.as_deref().unwrap_or("any");
            let behind = if refused.behind { "behind " } else { "" };
            format!("{behind}{site} {}", refused.since)
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

fn says(name: &str, revision: u64) -> Option<(String, u64)> {
    Some((name.to_owned(), revision))
}

#[test]
fn a_refused_site_acts_as_if_the_edge_had_stopped_where_its_good_version_was_the_newest() {
    let one = booted(
        5,
        &[good("a", 1, 5, &["a.test"]), good("b", 2, 2, &["b.test"])],
    )
    .at(Revision(8));
    let two = one.put(9, &bad("a", 1, 9));
    assert_eq!(
        (two.host("a.test"), two.host("b.test")),
        (says("a", 5), says("b", 2))
    );
    assert_eq!((two.birth("a"), two.birth("b")), (8, 9));
    assert_eq!(two.refusals(), "a 9");
    let problem = &two.problems()[0];
    assert_eq!(problem.path, "site a: hosts");
    assert!(
        problem.message.ends_with("(version 5 stays in force)"),
        "{}",
        problem.message
    );

    // A later bad version, a purge, a resync: nothing of that makes the good one any younger.
    let three = two.at(Revision(12)).put(20, &bad("a", 1, 20));
    let four = three.reset(
        Epoch(1),
        Revision(30),
        &all(&[bad("a", 1, 25), good("b", 2, 2, &["b.test"])]),
    );
    for later in [&three, &four] {
        assert_eq!(
            (later.host("a.test"), later.birth("a"), later.refusals()),
            (says("a", 5), 8, "a 9".into())
        );
        assert!(Arc::ptr_eq(
            later.sites.served.get("a").unwrap(),
            one.sites.served.get("a").unwrap()
        ));
    }
    let mended = four.put(31, &good("a", 1, 31, &["a.test"]));
    assert_eq!(
        (mended.host("a.test"), mended.birth("a")),
        (says("a", 31), 31)
    );
    assert_eq!(
        (mended.refusals(), mended.problems()),
        (String::new(), &[][..])
    );
}

#[test]
fn what_is_kept_is_kept_across_a_restart() {
    let before = booted(5, &[good("a", 1, 5, &["a.test"])])
        .at(Revision(8))
        .put(9, &bad("a", 1, 9));
    let kept = before.kept();
    let again = |documents: &[Arc<Document>]| {
        let kept = kept.iter().map(|kept| (&kept.document, kept.until));
        let sites = Arc::new(Sites::kept(kept));
        let booted = Snapshot {
            epoch: Epoch(1),
            sites,
            ..Snapshot::default()
        };
        booted.reset(Epoch(1), Revision(30), &all(documents))
    };
    let restarted = again(&[bad("a", 1, 9)]);
    assert_eq!(
        (restarted.host("a.test"), restarted.birth("a")),
        (says("a", 5), 8)
    );
    assert_eq!(
        (restarted.refusals(), restarted.kept()),
        ("a 9".into(), kept.clone())
    );
    assert_eq!(restarted.problems(), before.problems());
    // Mended, rolled back, deleted, and another site of this name meanwhile.
    assert_eq!(again(&[good("a", 1, 20, &["a.test"])]).birth("a"), 30);
    assert_eq!(again(&[good("a", 1, 5, &["a.test"])]).birth("a"), 30);
    assert_eq!(again(&[]).host("a.test"), None);
    assert_eq!(again(&[bad("a", 15, 15)]).host("a.test"), None);
}

#[test]
fn a_version_that_was_good_is_good_again_and_not_built_again() {
    let one = booted(5, &[good("a", 1, 5, &["a.test"])]);
    let again = Arc::new(Document {
        revision: Revision(7),
        ..(*good("a", 1, 5, &["a.test"])).clone()
    });
    let back = one.put(6, &bad("a", 1, 6)).put(7, &again);
    assert_eq!(
        (back.birth("a"), back.refusals(), back.problems().len()),
        (7, String::new(), 0)
    );
    assert_eq!(back.sites.built, 2);
}

#[test]
fn a_new_epoch_kills_all_that_an_old_version_fetches() {
    let one = booted(
        50,
        &[good("a", 1, 5, &["a.test"]), good("b", 2, 2, &["b.test"])],
    )
    .put(60, &bad("b", 2, 60));
    let two = one.reset(
        Epoch(2),
        Revision(20),
        &all(&[bad("a", 1, 9), bad("b", 2, 60)]),
    );
    assert_eq!(
        (two.birth("a"), two.birth("b"), two.refusals()),
        (0, 0, "a 1, b 1".into())
    );
    assert_eq!(two.host("a.test"), says("a", 5));
}

#[test]
fn a_site_that_never_was_good_is_not_served_and_not_a_former_one_either() {
    let one = booted(
        5,
        &[good("a", 1, 5, &["a.test"]), good("rest", 2, 2, &["*"])],
    );
    let two = one.put(9, &bad("new", 9, 9)).put(10, &bad("a", 10, 10));
    assert_eq!(
        two.host("a.test"),
        says("rest", 2),
        "deleted and created again, it is another site"
    );
    assert_eq!(two.refusals(), "a 10, new 9");
    assert!(
        two.problems()
            .iter()
            .all(|problem| problem.message.ends_with("(no version of it is served)"))
    );
    let gone = two.after(
        Revision(11),
        ["new", "a", "none"].into_iter().map(Change::Delete),
    );
    assert_eq!((gone.refusals(), gone.problems()), (String::new(), &[][..]));
}

#[test]
fn whoever_stands_behind_an_old_version_is_told_too() {
    let check = |kept: &str, others: &[(&str, &str)], expect: &str| {
        let mut documents = vec![good("a", 3, 3, &[kept])];
        documents.extend(others.iter().map(|(name, host)| good(name, 4, 4, &[host])));
        let snapshot = booted(5, &documents).put(9, &bad("a", 3, 9));
        assert_eq!(snapshot.refusals(), expect, "{kept} {others:?}");
    };
    check("a.test", &[("b", "b.test")], "a 6");
    check("a.test", &[("b", "a.test"), ("c", "*")], "a 6, behind b 6");
    check(
        "x.a.test",
        &[("b", "*.a.test"), ("c", "*.test")],
        "a 6, behind b 6",
    );
    check(
        "*.a.test",
        &[("b", "x.a.test"), ("c", "*.test")],
        "a 6, behind c 6",
    );
    check("*.a.test", &[("c", "*")], "a 6, behind c 6");
    check("*", &[("b", "b.test")], "a 6");
}

#[test]
fn more_refused_sites_than_can_be_named_are_told_as_all() {
    let count = REFUSED_SITES_MAX as u64 + 1;
    let documents: Vec<_> = (1..=count)
        .map(|n| bad(&format!("s{n}"), n + 1, n + 1))
        .collect();
    assert_eq!(booted(99, &documents).refusals(), "any 2");
    assert_eq!(
        booted(99, &documents[1..]).sites.refusals.len(),
        REFUSED_SITES_MAX
    );
}

#[test]
fn what_says_the_same_builds_nothing() {
    let mut documents: Vec<_> = (1..=100)
        .map(|n| good(&format!("s{n}"), n, n, &[&format!("{n}.test")]))
        .collect();
    let one = booted(100, &documents);
    assert_eq!(one.sites.built, 100);
    let again = Arc::new(Document {
        revision: Revision(101),
        ..(*documents[6]).clone()
    });
    let two = one.put(101, &again);
    assert!(
        Arc::ptr_eq(&one.sites, &two.sites),
        "not even the table is another"
    );
    let three = two.reset(Epoch(1), Revision(200), &all(&documents));
    assert!(
        Arc::ptr_eq(&one.sites, &three.sites),
        "nor after a whole picture"
    );
    documents[6] = good("s7", 7, 201, &["7.test"]);
    let four = three.reset(Epoch(1), Revision(201), &all(&documents));
    assert_eq!(
        (four.sites.built, four.host("7.test")),
        (101, says("s7", 201))
    );
    for (name, served) in one.sites.served.iter().filter(|(name, _)| *name != "s7") {
        assert!(
            Arc::ptr_eq(served, four.sites.served.get(name).unwrap()),
            "{name}"
        );
    }
    // A refused document that comes again is not tried again.
    let five = four.put(202, &bad("s7", 7, 202));
    let six = five.reset(
        Epoch(1),
        Revision(210),
        &all(&[&documents[..6], &[bad("s7", 7, 202)], &documents[7..]].concat()),
    );
    assert!(Arc::ptr_eq(&five.sites, &six.sites));
}

#[test]
fn a_panic_while_a_site_is_built_is_a_problem_of_that_site_alone() {
    let before = booted(5, &[good("a", 1, 1, &["a.test"])]).sites;
    let explodes: Build = |document, before| match document.name.as_str() {
        "a" => panic!("no bytes left for {}", document.name),
        _ => Served::build(document, before),
    };
    let changes = [good("a", 1, 9, &["a.test"]), good("b", 9, 9, &["b.test"])];
    let after = before
        .built_by(explodes, changes.iter().map(Change::Put), Revision(8))
        .unwrap();
    let problem = &after.problems[0];
    assert_eq!((after.problems.len(), problem.path.as_str()), (1, "site a"));
    assert_eq!(
        problem.message,
        "building it panicked, which is a fault of this edge: no bytes left for a (version 1 stays in force)"
    );
    assert_eq!(
        after.routes.find("a.test").unwrap().document.revision,
        Revision(1)
    );
    assert_eq!(
        after.routes.find("b.test").unwrap().document.revision,
        Revision(9)
    );
}

#[test]
fn an_exact_host_wins_over_a_wildcard_and_a_longer_wildcard_over_a_shorter() {
    let snapshot = booted(
        9,
        &[
            good("any", 1, 1, &["*"]),
            good("below", 2, 2, &["*.example.com"]),
            good("deeper", 3, 3, &["*.a.example.com"]),
            good("exact", 4, 4, &["www.example.com"]),
        ],
    );
    let check = |host: &str, expect: &str| {
        assert_eq!(
            snapshot.host(host).map(|(name, _)| name).as_deref(),
            Some(expect),
            "{host}"
        );
    };
    check("www.example.com", "exact");
    check("www.example.com:8080", "exact");
    check("x.example.com", "below");
    check("x.a.example.com", "deeper");
    check("y.x.a.example.com", "deeper");
    check("example.com", "any");
    check("[::1]:80", "any");
}

#[test]
fn of_two_sites_that_claim_a_host_the_older_has_it_until_it_lets_go() {
    let one = booted(
        6,
        &[
            good("new", 5, 5, &["a.test"]),
            good("old", 4, 6, &["a.test", "*"]),
        ],
    );
    assert_eq!(
        (one.host("a.test"), one.problems().len()),
        (says("old", 6), 1)
    );
    assert_eq!(
        one.problems()[0].message,
        "host \"a.test\" belongs to site old"
    );
    let two = one.put(7, &good("old", 4, 7, &["*"]));
    assert_eq!(
        (two.host("a.test"), two.problems()),
        (says("new", 5), &[][..])
    );
    assert_eq!(two.host("b.test"), says("old", 7));
    let three = two.put(8, &good("old", 4, 8, &["a.test"]));
    assert_eq!(
        (three.host("a.test"), three.problems().len()),
        (says("old", 8), 1)
    );
    let four = three.after(Revision(9), [Change::Delete("old")].into_iter());
    assert_eq!(
        (four.host("a.test"), four.problems()),
        (says("new", 5), &[][..])
    );
    assert_eq!(four.host("b.test"), None);
}
