//! An edge that hears of no control plane: what it does then is the site's to say, and the answers tell it.

use std::collections::BTreeMap;
use std::thread;

use serde_json::json;

use crate::support::{Connection, Origin, Response, Role, eventually, ok};

const SITES: [&str; 3] = ["serve", "revalidate", "refuse"];

/// Of the site that is fetched again: so many requests a second, and what waits for a second.
const REFETCH_RATE: usize = 5;
/// All that may be asked of its origin at once: a tenth of a second's worth, what waits, and the one that is due.
const ASKED_MAX: usize = REFETCH_RATE + 2;

/// A control plane, and an edge that holds a page of a site of each kind.
fn fleet(origin: &Origin) -> (Role, Role) {
    let plane = Role::control_plane();
    for site in SITES {
        let body = json!({
            "hosts": [format!("{site}.test")], "origin": origin.url(), "on_partition": site,
            "refetch_rate": REFETCH_RATE, "debug_from": ["127.0.0.1"],
        });
        plane.ask("PUT", &format!("/v1/sites/{site}"), &body);
    }
    let edge = Role::edge(&plane);
    for site in SITES {
        edge.eventually_serves(&format!("{site}.test"));
    }
    eventually("it vouches", || edge.metric("seawall_vouching") == 1.0);
    for site in SITES {
        edge.get(&format!("{site}.test")).is("HIT", "a");
    }
    (plane, edge)
}

/// What many clients get who ask at once, by status.
fn at_once(edge: &Role, clients: usize, fields: &[(&str, &str)]) -> BTreeMap<u16, Vec<Response>> {
    let ask = || Connection::open(edge.listen()).request("GET", "/a", fields, b"");
    let answers = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        let answers = clients.into_iter().map(|it| it.join().unwrap());
        answers.collect::<Vec<_>>()
    });
    let mut by_status = BTreeMap::<_, Vec<_>>::new();
    for answer in answers {
        by_status.entry(answer.status).or_default().push(answer);
    }
    by_status
}

#[test]
fn an_edge_that_is_cut_off_does_as_the_site_says_and_says_so() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3_600).etag("\"1\""));
    let (plane, edge) = fleet(&origin);
    plane.stop();
    eventually("it vouches for nothing", || {
        edge.metric("seawall_vouching") == 0.0
    });

    let served = edge.get("serve.test");
    served.is("HIT", "a");
    let told = served.cache_status().to_owned();
    assert!(
        told.contains(r#"detail="not vouched for: on_partition = serve""#),
        "{told}"
    );

    edge.get("refuse.test").fails(503, "cut off");

    let before = origin.requests("/a");
    let answers = at_once(&edge, 40, &[("host", "revalidate.test")]);
    let asked = origin.requests("/a") - before;
    assert_eq!(answers[&200].len(), asked, "each was fetched for itself");
    // Who comes late may find the next second begun.
    assert!((1..=2 * ASKED_MAX).contains(&asked), "{asked}");
    for answer in &answers[&200] {
        answer.is("MISS", "a");
        let told = answer.cache_status();
        assert!(
            told.contains(r#"detail="not vouched for: on_partition = revalidate""#),
            "{told}"
        );
    }
    for answer in &answers[&503] {
        assert_eq!(answer.field("retry-after"), Some("1"));
        assert!(answer.text().contains("refetch_rate"), "{}", answer.text());
    }
    let fields = &origin.last("/a");
    assert_eq!(fields.field("if-none-match"), None, "without validators");

    plane.cont();
    eventually("it vouches again", || {
        edge.metric("seawall_vouching") == 1.0
    });
    edge.get("refuse.test").is("HIT", "a");
    edge.get("revalidate.test").is("HIT", "a");
}

#[test]
fn a_revision_that_is_not_reached_is_fetched_at_the_rate_of_the_site() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3_600));
    let (plane, edge) = fleet(&origin);
    let order = json!({"urls": ["http://elsewhere.test/"]});
    let receipt = plane.ask("POST", "/v1/purges?wait=complete", &order);
    let token = receipt["token"].as_str().unwrap();
    let reached = [("host", "serve.test"), ("seawall-min-revision", token)];
    Connection::open(edge.listen())
        .request("GET", "/a", &reached, b"")
        .is("HIT", "a");

    let epoch = token.split('-').next().unwrap();
    let later = format!("{epoch}-{}", u64::MAX / 2);
    let unreached = [("host", "serve.test"), ("seawall-min-revision", &later)];
    let before = origin.requests("/a");
    let answers = at_once(&edge, 40, &unreached);
    let asked = origin.requests("/a") - before;
    // Those that came before it was fetched share a fetch; those that come too fast get what others get.
    assert!((1..=2 * ASKED_MAX).contains(&asked), "{asked}");
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&200]);

    // However many strangers make up revisions, the turns of who has no choice are not taken.
    let pages: Vec<_> = (0..40).map(|n| format!("/page-{n}")).collect();
    for page in &pages {
        origin.says(page, ok("page").max_age(3_600));
    }
    let statuses = thread::scope(|scope| {
        let ask = |page| Connection::open(edge.listen()).request("GET", page, &unreached, b"");
        let clients: Vec<_> = pages
            .iter()
            .map(|page| scope.spawn(move || ask(page)))
            .collect();
        let statuses = clients.into_iter().map(|it| it.join().unwrap().status);
        statuses.collect::<Vec<_>>()
    });
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}
