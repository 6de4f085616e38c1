use super::*;
use crate::explain::report::Spoken;

fn sum(age: &[(u64, &str)], fresh: bool) -> Sum {
    let term = |(ms, says): &(u64, &str)| Term {
        ms: *ms,
        says: (*says).to_owned(),
    };
    Sum {
        lifetime_ms: 60_000,
        by: Spoken::new("RFC 9111 §5.2.2.1", "max-age"),
        age: age.iter().map(term).collect(),
        fresh,
    }
}

fn stored() -> Stored {
    Stored {
        selected: true,
        differs: Vec::new(),
        status: 200,
        bytes_here: 10,
        bytes_total: 10,
        born: 7,
        selects: vec!["accept-language: de".into()],
        says: vec!["cache-control: max-age=60".into(), "etag: \"1\"".into()],
        read: Some(Spoken::new("Cache-Control, RFC 9111 §5.2", "max-age=60")),
        tags: vec!["a".into(), "b".into()],
        groups: Vec::new(),
        freshness: sum(&[(500, "since its Date"), (1_500, "here")], true),
        against: Vec::new(),
    }
}

fn report() -> Report {
    let edge = EdgeView {
        id: "edge-1".into(),
        place: "local".into(),
        epoch: 5,
        revision: 9,
        vouches: true,
    };
    let mut report = Report::new("GET http://a/b".into(), edge);
    report.site = Some(SiteView {
        name: "shop".into(),
        created: 1,
        changed: 2,
        host: "*".into(),
        rule: None,
        policy: vec!["cache = on".into(), "collapse = true".into()],
    });
    report.key = Some("http://a/b".into());
    report.scopes = vec!["everything".into(), "site shop".into()];
    report.verdict = Decision::new(Kind::Serve, "a hit");
    report
}

#[test]
fn a_report_reads_from_the_edge_to_the_verdict() {
    let mut report = report();
    report.stored = vec![stored()];
    report.rules = vec![
        Spoken::new("RFC 9111 §4.1", "one of 1 stored is selected by Vary"),
        Spoken::new("purge", "none counts against it"),
    ];
    report.answer = Some("200".into());
    let expect = "\
GET http://a/b
edge      edge-1 in local, vouches, at revision 9 of epoch 5
site      shop by host *, no path rule; created at revision 1, changed at 2
          cache = on · collapse = true
key       http://a/b
scopes    everything
          site shop
stored    200, 10 bytes, born at revision 7: selected
            for     accept-language: de
            says    cache-control: max-age=60 · etag: \"1\"
            read    max-age=60 (Cache-Control, RFC 9111 §5.2)
            tags    a b
            sum       lifetime 60 s (max-age, RFC 9111 §5.2.2.1)
                    - age 2 s (0.500 s since its Date + 1.500 s here, RFC 9111 §4.2.3)
                    = fresh for 58 s
rules     RFC 9111 §4.1  one of 1 stored is selected by Vary
          purge          none counts against it
verdict   serve: a hit
answer    200
";
    assert_eq!(report.to_string(), expect);
}

#[test]
fn what_is_not_there_is_said_or_left_out() {
    let mut report = report();
    report.verdict = Decision::new(Kind::Fetch, "fwd=uri-miss");
    report.not_stored = Some(Spoken::new("RFC 9111 §5.2.2.5", "no-store"));
    report.asks = vec!["GET /b".into(), "host: a".into()];
    let text = report.to_string();
    let expect = "\
stored    nothing
          the last answer was not: no-store (RFC 9111 §5.2.2.5)
verdict   fetch: fwd=uri-miss
asks      GET /b
          host: a
";
    assert!(text.ends_with(expect), "{text}");
    (report.site, report.key, report.not_stored) = (None, None, None);
    (report.scopes, report.asks) = (Vec::new(), Vec::new());
    report.verdict = Decision::new(Kind::Refuse, "404");
    let expect = "\
GET http://a/b
edge      edge-1 in local, vouches, at revision 9 of epoch 5
verdict   refuse: 404
";
    assert_eq!(report.to_string(), expect);
}

#[test]
fn a_variant_says_why_it_is_not_used() {
    let check = |stored: Stored, part: &str| {
        let text = stored.to_string();
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    };
    let other = || Stored {
        selected: false,
        ..stored()
    };
    let differs = vec!["accept-language: en".to_owned(), "no cookie".to_owned()];
    check(
        Stored { differs, ..other() },
        "not selected, the request says accept-language: en · no cookie",
    );
    check(other(), "not selected, a newer one is");
    let part = Stored {
        bytes_here: 4,
        ..stored()
    };
    check(part, "200, 4 of 10 bytes, born");
    let against = vec!["tag a, hard, at revision 8".into(), "everything".into()];
    check(
        Stored {
            against,
            ..stored()
        },
        "  purged  tag a, hard, at revision 8\n          everything\n",
    );
}

#[test]
fn a_sum_can_be_checked_by_hand() {
    let check = |age: &[(u64, &str)], fresh: bool, expect: &str| {
        let text = sum(age, fresh).to_string();
        let (_, found) = text.split_once("\n- ").expect("an age");
        assert_eq!(found, expect);
    };
    check(
        &[(0, "by its Age"), (3, "on the way"), (12_000, "here")],
        true,
        "age 12.003 s (0 s by its Age + 0.003 s on the way + 12 s here, RFC 9111 §4.2.3)\n= fresh for 47.997 s",
    );
    check(
        &[(61_005, "since its Date")],
        false,
        "age 61.005 s (61.005 s since its Date, RFC 9111 §4.2.3)\n= stale for 1.005 s",
    );
    // The rule has the last word, also where milliseconds are too coarse to show why.
    check(
        &[(59_999, "here")],
        false,
        "age 59.999 s (59.999 s here, RFC 9111 §4.2.3)\n= stale for 0 s",
    );
    check(
        &[(u64::MAX, "by its Age"), (1, "here")],
        false,
        &format!(
            "age {n} s ({n} s by its Age + 0.001 s here, RFC 9111 §4.2.3)\n= stale for {left} s",
            n = "18446744073709551.615",
            left = "18446744073709491.615"
        ),
    );
}

#[test]
fn what_others_say_steers_no_terminal() {
    let mut report = report();
    report.asks = vec!["x: a\u{1b}[2J\u{9b}1m".into()];
    let text = report.to_string();
    assert!(text.contains("x: a\u{fffd}[2J\u{fffd}1m"), "{text:?}");
}
