//! Killed, cut off, damaged, asked to stop: what was acknowledged is there, and what can be served is served.

mod alone;
mod stopping;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Connection, Folder, Origin, Seawall, eventually, ok};

const KILLS: usize = 5;
/// The sites that are written over and over.
const SITES: usize = 3;

#[test]
fn what_was_acknowledged_outlives_kill_9_again_and_again() {
    let origin = Origin::start();
    origin.says("/page", ok("page").max_age(3600));
    let mut seawall = Seawall::run(&origin);
    seawall.get("/page").is("MISS", "page");
    let first = seawall.purge(json!({"tags": ["first"]}));
    let mut known = Known::default();
    for kill in 0..KILLS {
        killed_at_work(&mut seawall, &mut known, &origin, 10 + 7 * kill);
        let began = Instant::now();
        seawall.restart();
        println!(
            "ready {:.0?} after kill -9 number {}",
            began.elapsed(),
            kill + 1
        );

        let answer = seawall.get("/page");
        assert_eq!((answer.status, answer.text()), (200, "page".into()));
        for (name, site) in &known.sites {
            site.is_there(&seawall, name);
        }
        for (revision, token) in &known.purges {
            let (status, receipt, _) = seawall.api("GET", &format!("/v1/purges/{revision}"), None);
            assert_eq!(
                (status, &receipt["token"]),
                (200, &json!(token)),
                "purge {revision}: {receipt}"
            );
        }
        let newest = known.newest;
        let next = seawall.purge(json!({"tags": ["next"]}));
        known.purged(&next);
        assert!(
            known.newest > newest,
            "revision {} after {newest}",
            known.newest
        );
        assert_eq!(epoch(&next), epoch(&first), "the epoch stays");
        // A token from before all kills still means something.
        let token = first["token"].as_str().unwrap();
        let answer = seawall.get_with("/page", &[("seawall-min-revision", token)]);
        assert_eq!(answer.status, 200, "an old token");
    }
    println!(
        "{} site versions and {} purges acknowledged, none lost",
        known.versions,
        known.purges.len()
    );
    assert!(known.versions > 0 && known.purges.len() > KILLS);
}

/// What an operator was told is done.
#[derive(Default)]
struct Known {
    sites: BTreeMap<String, Site>,
    /// Revision and token.
    purges: Vec<(u64, String)>,
    newest: u64,
    attempts: usize,
    versions: usize,
}

#[derive(Default)]
struct Site {
    /// Revision and document.
    acknowledged: Option<(u64, Value)>,
    /// Sent, and not answered before the kill: it may be there or not.
    attempted: Option<Value>,
}

/// Writes sites and purges, and asks for a page, until it is killed after so many were acknowledged.
fn killed_at_work(seawall: &mut Seawall, known: &mut Known, origin: &Origin, enough: usize) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut operator = Operator {
        connection: Connection::open(seawall.admin()),
        origin: origin.url(),
        acknowledged: acknowledged.clone(),
    };
    let over = Over::default();
    let (mut client, until) = (seawall.connect(), over.0.clone());
    thread::scope(|threads| {
        threads.spawn(|| operator.work(known));
        threads.spawn(move || {
            // 0: the connection ended with the process.
            while !until.load(Ordering::Relaxed)
                && client.request("GET", "/page", &[], b"").status == 200
            {}
        });
        eventually("enough is acknowledged", || {
            acknowledged.load(Ordering::Relaxed) >= enough
        });
        seawall.kill_9();
        drop(over);
    });
}

/// True once it is dropped: also when the test fails.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Operator {
    connection: Connection,
    origin: String,
    acknowledged: Arc<AtomicUsize>,
}

impl Operator {
    fn work(&mut self, known: &mut Known) {
        for turn in 0.. {
            let name = format!("site-{}", turn % SITES);
            // Never the same document twice: writing what is there already changes no revision.
            known.attempts += 1;
            let document = json!({
                "name": name, "hosts": [format!("{name}.test")], "origin": self.origin,
                "cache": {"default_ttl": format!("{}s", known.attempts)},
            });
            let site = known.sites.entry(name.clone()).or_default();
            site.attempted = Some(document.clone());
            let Some((_, revision)) = self.ask("PUT", &format!("/v1/sites/{name}"), &document)
            else {
                return;
            };
            site.acknowledged = Some((revision, document));
            site.attempted = None;
            known.saw(revision);
            known.versions += 1;

            let purge = json!({"tags": [format!("tag-{turn}")]});
            let Some((receipt, _)) = self.ask("POST", "/v1/purges", &purge) else {
                return;
            };
            known.purged(&receipt);
        }
    }

    /// The document and the revision of an acknowledgement; None when there is none.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Option<(Value, u64)> {
        let json = [("content-type", "application/json")];
        let answer = self
            .connection
            .request(method, path, &json, body.to_string().as_bytes());
        if answer.status == 0 || !answer.complete {
            return None;
        }
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let etag = answer
            .field("etag")
            .map(|etag| etag.trim_matches('"').parse().unwrap());
        Some((
            serde_json::from_slice(&answer.body).unwrap(),
            etag.unwrap_or(0),
        ))
    }
}

impl Known {
    fn saw(&mut self, revision: u64) {
        assert!(
            revision > self.newest,
            "revision {revision} after {}",
            self.newest
        );
        self.newest = revision;
    }

    fn purged(&mut self, receipt: &Value) {
        let revision = receipt["revision"].as_u64().unwrap();
        self.saw(revision);
        self.purges
            .push((revision, receipt["token"].as_str().unwrap().to_owned()));
    }
}

impl Site {
    /// As it was acknowledged last; or as it was attempted after that.
    fn is_there(&self, seawall: &Seawall, name: &str) {
        let Some((revision, document)) = &self.acknowledged else {
            return;
        };
        let (status, found, fields) = seawall.api("GET", &format!("/v1/sites/{name}"), None);
        assert_eq!(status, 200, "{name}: {found}");
        let etag = fields.iter().find(|(field, _)| field == "etag").unwrap();
        let found_revision: u64 = etag.1.trim_matches('"').parse().unwrap();
        if Some(&found) == self.attempted.as_ref() {
            assert!(found_revision >= *revision, "{name}");
        } else {
            assert_eq!((found_revision, &found), (*revision, document), "{name}");
        }
        let host = format!("{name}.test");
        let answer = seawall.get_with("/page", &[("host", &host)]);
        assert_eq!(
            (answer.status, answer.text()),
            (200, "page".into()),
            "{name}"
        );
    }
}

fn epoch(receipt: &Value) -> &str {
    receipt["token"]
        .as_str()
        .unwrap()
        .split_once('-')
        .unwrap()
        .0
}

#[test]
fn what_was_purged_before_kill_9_is_not_served_after_it() {
    let origin = Origin::start();
    let mut seawall = Seawall::run(&origin);
    origin.says("/a", ok("v1").max_age(3600));
    seawall.get("/a").is("MISS", "v1");
    seawall.get("/a").is("HIT", "v1");
    origin.says("/a", ok("v2").max_age(3600));
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    seawall.kill_9();
    seawall.restart();
    seawall.get("/a").is("MISS", "v2");
}

#[test]
fn a_bad_file_of_sites_keeps_the_last_good_one() {
    let origin = Origin::start();
    origin.says("/a", ok("here"));
    let sites = |name: &str, host: &str, word: &str| {
        let origin = origin.url();
        format!("[[site]]\nname = \"{name}\"\nhosts = [\"{host}\"]\n{word} = \"{origin}\"\n")
    };
    let mut seawall = Seawall::run_config(&sites("one", "one.test", "origin"));
    let folder: Folder = seawall.folder().clone();
    let serves =
        |seawall: &Seawall, host: &str| seawall.get_with("/a", &[("host", host)]).status == 200;
    assert!(serves(&seawall, "one.test"));

    for (bad, says) in [
        (sites("two", "two.test", "orign"), "did you mean"),
        ("[[site]\n".to_owned(), "sites.toml"),
        (
            String::from_utf8_lossy(&[b'a'; 100]).into_owned(),
            "sites.toml",
        ),
    ] {
        let before = seawall.process().output().len();
        folder.write("sites.toml", &bad);
        eventually("the bad file is found", || {
            let said = seawall.process().output().split_off(before);
            said.contains("the sites are as before") && said.contains(says)
        });
        assert!(serves(&seawall, "one.test") && !serves(&seawall, "two.test"));
    }
    folder.write("sites.toml", sites("two", "two.test", "origin"));
    eventually("the good file is served", || serves(&seawall, "two.test"));
    assert!(
        !serves(&seawall, "one.test"),
        "a site that the file no longer has"
    );
}
