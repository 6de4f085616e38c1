//! Which answers are kept by their status, and for how long: explicit freshness, heuristics, Age, Expires,
//! must-understand.

use crate::support::{Answer, Origin, Seawall, ok};

const YEARS_AGO: &str = "Wed, 01 Jan 2020 00:00:00 GMT";

/// What a second request for the same gets.
fn second(seawall: &Seawall, origin: &Origin, target: &str, answer: Answer) -> String {
    origin.says(target, answer);
    seawall.get(target);
    seawall.get(target).x_cache().to_owned()
}

#[test]
fn explicit_freshness_keeps_an_answer_of_any_status() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let finals = [
        200, 201, 202, 203, 204, 205, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401, 403, 404,
        405, 410, 414, 418, 429, 451, 499, 500, 501, 502, 503, 504, 599,
    ];
    for status in finals {
        let answer = |control| ok("").status(status).field("cache-control", control);
        let found =
            |name: &str, answer| second(&seawall, &origin, &format!("/{name}-{status}"), answer);
        assert_eq!(
            found("fresh", answer("max-age=60")),
            "HIT",
            "9111 3: {status}"
        );
        assert_eq!(
            found("shared", answer("s-maxage=60")),
            "HIT",
            "9111 3: {status}"
        );
        assert_eq!(found("silent", answer("x=y")), "MISS", "9111 3: {status}");
        assert_eq!(
            found("never", answer("max-age=60, no-store")),
            "MISS",
            "9111 5.2.2.5: {status}"
        );
    }
}

#[test]
fn heuristics_need_last_modified_and_a_status_that_allows_them() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |status: u16, control: &str, expect: &str| {
        let answer = ok("").status(status).field("last-modified", YEARS_AGO);
        let target = format!("/{status}-{control}");
        let found = second(
            &seawall,
            &origin,
            &target,
            answer.field("cache-control", control),
        );
        assert_eq!(found, expect, "9111 4.2.2: {status} {control}");
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check(status, "x", "HIT");
    }
    for status in [201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599] {
        check(status, "x", "MISS");
        check(status, "public", "HIT");
    }
}

#[test]
fn must_understand_overrides_no_store_for_a_status_we_know() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |status: u16, control: &str, expect: &str| {
        let answer = ok("").status(status).field("cache-control", control);
        let found = second(&seawall, &origin, &format!("/{status}-{control}"), answer);
        assert_eq!(found, expect, "9111 5.2.2.3: {status} {control}");
    };
    check(200, "max-age=60,must-understand,no-store", "HIT");
    check(200, "max-age=60,no-store", "MISS");
    check(299, "max-age=60,must-understand,no-store", "MISS");
    check(299, "max-age=60,must-understand", "MISS");
    check(599, "max-age=60", "HIT");
}

#[test]
fn the_age_an_answer_comes_with_counts() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |section: &str, age: &[&str], expect: &str| {
        let said = |answer: Answer, line: &&str| answer.field("age", line);
        let answer = age.iter().fold(ok("").max_age(3600), said);
        let target = format!("/{}", age.join("+").replace(' ', "_"));
        assert_eq!(
            second(&seawall, &origin, &target, answer),
            expect,
            "{section}: {age:?}"
        );
    };
    check("9111 4.2.3", &["3590"], "HIT");
    check("9111 4.2.3", &["3600"], "MISS");
    check("9111 5.1", &["7200, 0"], "MISS");
    check("9111 5.1", &["0, 7200"], "HIT");
    check("9111 5.1", &["0", "7200"], "HIT");
    check("9111 5.1", &["7200", "0"], "MISS");
    check("9111 5.1", &["7200.0"], "HIT");
    check("9111 5.1", &["-1"], "HIT");
    check("9111 5.1", &["abc"], "HIT");
    check("9111 1.2.2", &["99999999999999999999"], "MISS");
}

#[test]
fn a_lifetime_by_expires_is_counted_from_date() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    // A clock that is years behind: what counts is the difference.
    let old = |expires: &str| ok("").field("date", YEARS_AGO).field("expires", expires);
    let check = |section: &str, name: &str, answer: Answer, expect: &str| {
        let found = second(&seawall, &origin, &format!("/{name}"), answer);
        assert_eq!(found, expect, "{section}: {name}");
    };
    let far = "Fri, 01 Jan 2100 00:00:00 GMT";
    check("9111 5.3", "far", ok("").field("expires", far), "HIT");
    check(
        "9111 4.2.3",
        "dated",
        old("Wed, 01 Jan 2020 01:00:00 GMT"),
        "MISS",
    );
    check(
        "9111 4.2.1",
        "decades",
        old("Mon, 01 Jan 2080 00:00:00 GMT"),
        "HIT",
    );
    for (name, invalid) in [
        ("zero", "0"),
        ("word", "soon"),
        ("zone", "Fri, 01 Jan 2100 00:00:00 CET"),
    ] {
        check("9111 5.3", name, ok("").field("expires", invalid), "MISS");
    }
    let two = ok("").field("expires", far).field("expires", YEARS_AGO);
    check("9111 5.3", "two", two, "MISS");
    check(
        "9111 5.3",
        "max-age-wins",
        ok("").field("expires", "0").max_age(60),
        "HIT",
    );
    let rfc850 = "Friday, 01-Jan-49 00:00:00 GMT";
    check(
        "9110 5.6.7",
        "rfc850",
        ok("").field("expires", rfc850),
        "HIT",
    );
    let asctime = "Fri Jan  1 00:00:00 2100";
    check(
        "9110 5.6.7",
        "asctime",
        ok("").field("expires", asctime),
        "HIT",
    );
}
