#![allow(clippy::unwrap_used)]
use super::*;

const NOW: u64 = 1_700_000_000;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn judge(status: u16, lines: &[(&'static str, String)], delay: u64) -> Freshness {
    judge_at((None, None), status, lines, delay)
}

/// Of a site with these `default_ttl` and `negative_ttl`, in seconds.
fn judge_at(
    (default_ttl, negative_ttl): (Option<u64>, Option<u64>),
    status: u16,
    lines: &[(&'static str, String)],
    delay: u64,
) -> Freshness {
    let head: HeaderMap = lines
        .iter()
        .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
        .collect();
    freshness(Arrival {
        status: StatusCode::from_u16(status).unwrap(),
        head: &head,
        directives: &directives::Response::read(&head),
        targeted: false,
        default_ttl: default_ttl.map(Duration::from_secs),
        negative_ttl: negative_ttl.map(Duration::from_secs),
        requested: at(NOW - delay),
        received: at(NOW),
    })
}

fn date_line(name: &'static str, seconds: u64) -> (&'static str, String) {
    (name, httpdate::fmt_http_date(at(seconds)))
}

#[test]
fn the_first_that_is_there_sets_the_lifetime() {
    let check = |section: &str, status, lines: &[(&'static str, String)], secs: u64, by: By| {
        let found = judge(status, lines, 0);
        assert_eq!(
            (found.lifetime.as_secs(), found.by),
            (secs, by),
            "{section} {lines:?}"
        );
    };
    let cc = |text: &str| ("cache-control", text.to_owned());
    check(
        "4.2.1",
        200,
        &[cc("max-age=60, s-maxage=30"), date_line("expires", NOW + 5)],
        30,
        By::SMaxage,
    );
    check(
        "4.2.1",
        200,
        &[cc("max-age=60"), date_line("expires", NOW + 5)],
        60,
        By::MaxAge,
    );
    check(
        "4.2.1",
        200,
        &[date_line("expires", NOW + 5), date_line("date", NOW - 10)],
        15,
        By::Expires,
    );
    check("5.3", 200, &[("expires", "0".into())], 0, By::Expires);
    check(
        "5.3",
        200,
        &[("expires", "soon".into()), date_line("last-modified", 1)],
        0,
        By::Expires,
    );
    check(
        "5.3",
        200,
        &[
            date_line("expires", NOW + 5),
            date_line("expires", NOW + 50),
        ],
        0,
        By::Expires,
    );
    check("5.3", 200, &[date_line("expires", NOW - 5)], 0, By::Expires);
    check(
        "4.2.2",
        200,
        &[date_line("last-modified", NOW - 1000)],
        100,
        By::Heuristic,
    );
    check(
        "4.2.2",
        404,
        &[date_line("last-modified", NOW - 1000)],
        100,
        By::Heuristic,
    );
    check(
        "5.2.2.9",
        500,
        &[cc("public"), date_line("last-modified", NOW - 1000)],
        100,
        By::Heuristic,
    );
    check(
        "4.2.2",
        500,
        &[date_line("last-modified", NOW - 1000)],
        0,
        By::Nothing,
    );
    check(
        "4.2.2",
        200,
        &[date_line("last-modified", NOW + 1000)],
        0,
        By::Nothing,
    );
    let ancient = date_line("last-modified", NOW - 1_000_000_000);
    check("4.2.2", 200, &[ancient], 24 * 60 * 60, By::Heuristic);
    check("4.2.2", 200, &[], 0, By::Nothing);
}

#[test]
fn age_counts_the_way_and_the_stay() {
    let check = |section: &str, lines: &[(&'static str, String)], delay, expect: u64| {
        assert_eq!(
            judge(200, lines, delay).age(at(NOW + 7)).as_secs(),
            expect + 7,
            "{section} {lines:?}"
        );
    };
    let age = |text: &str| ("age", text.to_owned());
    check("4.2.3", &[], 0, 0);
    check("4.2.3", &[age("20")], 0, 20);
    check("4.2.3", &[age("20")], 3, 23);
    check("4.2.3", &[date_line("date", NOW - 40)], 3, 40);
    check("4.2.3", &[date_line("date", NOW + 40)], 0, 0);
    check("5.1", &[age("20, 30")], 0, 20);
    check("5.1", &[age("20, é")], 0, 20);
    check("5.1", &[age("é, 20")], 0, 0);
    check("5.1", &[age("7200.0")], 0, 0);
    check("5.1", &[age("-1")], 0, 0);
    check("1.2.2", &[age("99999999999999999999999")], 0, 1 << 31);
}

#[test]
fn an_initial_age_can_be_told_by_its_parts() {
    let check = |section: &str, lines: &[(&'static str, String)], expect: AgeBy| {
        let head: HeaderMap = lines
            .iter()
            .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
            .collect();
        let found = judge(200, lines, 2).age_by(&head);
        assert_eq!(found, expect, "{section}: {lines:?}");
    };
    let by_age = |said, delay| AgeBy::Age {
        said: Duration::from_secs(said),
        delay: Duration::from_secs(delay),
    };
    let age = |said: &str| ("age", said.to_owned());
    let date = |ago| date_line("date", NOW - ago);
    check("4.2.3", &[], by_age(0, 2));
    check("4.2.3", &[age("7")], by_age(7, 2));
    check("4.2.3", &[date(1)], by_age(0, 2));
    check("4.2.3", &[date(10)], AgeBy::Date);
    check("4.2.3", &[date(10), age("9")], by_age(9, 2));
    check("4.2.3", &[date(10), age("7")], AgeBy::Date);
}

#[test]
fn a_date_is_sent_on_in_one_format() {
    let check = |section: &str, date: Option<&str>, expect: &str| {
        let lines = date.map(|date| (DATE, date.parse().unwrap()));
        let found = date_field(&lines.into_iter().collect(), at(NOW));
        assert_eq!(found, expect, "{section}: {date:?}");
    };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    check("9110 5.6.7", Some(date), date);
    check("9110 5.6.7", Some("Sunday, 06-Nov-94 08:49:37 GMT"), date);
    check("9110 5.6.7", Some("Sun Nov  6 08:49:37 1994"), date);
    let received = "Tue, 14 Nov 2023 22:13:20 GMT";
    check("9110 6.6.1", None, received);
    check("9110 6.6.1", Some("yesterday"), received);
    check(
        "9110 6.6.1",
        Some("Sun, 06 Nov 10000 08:49:37 GMT"),
        received,
    );
}

#[test]
fn a_clock_that_shows_what_no_date_can_spell_does_no_harm() {
    let check = |section: &str, received: SystemTime, expect: &str| {
        let found = date_field(&HeaderMap::new(), received);
        assert_eq!(found, expect, "{section}: {received:?}");
    };
    let second = Duration::from_secs(1);
    let (first, last) = (
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    );
    check("9110 5.6.7", UNIX_EPOCH - second, first);
    check("9110 5.6.7", UNIX_EPOCH + DATE_MAX, last);
    check("9110 5.6.7", UNIX_EPOCH + DATE_MAX + second, last);
}

#[test]
fn age_makes_up_for_a_date_that_is_lost() {
    let check = |section: &str, lines: &[(&'static str, String)], expect: Option<u64>| {
        let lines = lines.iter();
        let head = lines.map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let found = age_with_new_date(&head.collect(), at(NOW));
        assert_eq!(found, expect, "{section}");
    };
    let age = |text: &str| ("age", text.to_owned());
    check("4.2.3", &[], None);
    check("4.2.3", &[date_line("date", NOW)], None);
    check("4.2.3", &[date_line("date", NOW + 9)], None);
    check("4.2.3", &[date_line("date", NOW - 9)], Some(9));
    check("4.2.3", &[date_line("date", NOW - 9), age("8")], Some(9));
    check("4.2.3", &[date_line("date", NOW - 9), age("9")], None);
    check("5.1", &[date_line("date", NOW - 9), age("ten")], Some(9));
}

#[test]
fn fresh_ends_exactly_when_the_age_reaches_the_lifetime() {
    let found = judge(200, &[("cache-control", "max-age=60".into())], 0);
    assert_eq!(found.left(at(NOW + 59)), Ok(Duration::from_secs(1)));
    assert_eq!(found.left(at(NOW + 60)), Err(Duration::ZERO));
    assert_eq!(found.left(at(NOW + 61)), Err(Duration::from_secs(1)));
    assert_eq!(
        found.left(at(0)),
        Ok(Duration::from_secs(60)),
        "a clock set back"
    );
    let ttl_after = |ms| found.ttl(at(NOW) + Duration::from_millis(ms));
    assert_eq!(
        [0, 1, 59_999, 60_000, 61_000].map(ttl_after),
        [60, 60, 1, 0, -1]
    );
}

#[test]
fn what_is_not_there_is_fresh_for_as_long_as_the_site_says() {
    let check = |ttls, status, lines: &[(&'static str, String)], secs: u64, by: By| {
        let found = judge_at(ttls, status, lines, 0);
        assert_eq!(
            (found.lifetime.as_secs(), found.by),
            (secs, by),
            "{status} {lines:?}"
        );
    };
    let negative = (None, Some(5));
    check(negative, 404, &[], 5, By::Negative);
    check(negative, 410, &[], 5, By::Negative);
    check((Some(60), Some(5)), 404, &[], 5, By::Negative);
    for status in [200, 403, 405, 500, 503] {
        check(negative, status, &[], 0, By::Nothing);
    }
    let explicit = ("cache-control", "max-age=60".to_owned());
    check(negative, 404, &[explicit], 60, By::MaxAge);
    let modified = date_line("last-modified", NOW - 100);
    check(negative, 404, &[modified], 10, By::Heuristic);
}
