//! Asked to stop: what is under way ends well, unless somebody insists.

use crate::support::{Connection, Gate, Origin, Response, Seawall, eventually, ok};
use std::thread::JoinHandle;

#[test]
fn sigterm_lets_a_request_under_way_finish_and_wants_no_new_one() {
    let origin = Origin::start();
    let mut seawall = Seawall::run(&origin);
    let (gate, under_way) = under_way(&origin, &seawall);
    seawall.terminate();
    eventually("it drains", || {
        seawall.process().output().contains("draining")
    });
    let ready = Connection::open(seawall.admin()).request("GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 503, "no new work, please: {}", ready.text());
    assert!(ready.text().contains("draining"), "{}", ready.text());
    gate.open();
    let answer = under_way.join().unwrap();
    assert_eq!(
        (answer.status, answer.body.len(), answer.complete),
        (200, 100_000, true)
    );
    let ended = seawall.process().end();
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_anyone() {
    let origin = Origin::start();
    let mut seawall = Seawall::run(&origin);
    let (_gate, under_way) = under_way(&origin, &seawall);
    seawall.interrupt();
    eventually("it drains", || {
        seawall.process().output().contains("draining")
    });
    assert_eq!(seawall.process().ended(), None, "one Ctrl-C drains");
    seawall.interrupt();
    let ended = seawall.process().end();
    assert_eq!(ended.code(), Some(130));
    assert!(
        !under_way.join().unwrap().complete,
        "what was cut does not look whole"
    );
}

#[test]
fn an_idle_one_stops_at_the_first_word() {
    let origin = Origin::start();
    let mut seawall = Seawall::run(&origin);
    origin.says("/a", ok("a"));
    // Open, and idle.
    let mut client = seawall.connect();
    assert_eq!(client.request("GET", "/a", &[], b"").status, 200);
    seawall.interrupt();
    assert_eq!(seawall.process().end().code(), Some(0));
    assert!(client.is_closed());
}

/// A request whose client has the head and half of the body.
fn under_way(origin: &Origin, seawall: &Seawall) -> (Gate, JoinHandle<Response>) {
    let (answer, gate) = ok(vec![b'x'; 100_000]).max_age(60).gate_body(50_000);
    origin.says("/slow", answer);
    let mut client = seawall.connect();
    client.send("GET", "/slow", &[], b"");
    origin.wait_for("/slow", 1);
    (gate, std::thread::spawn(move || client.answer("GET")))
}
