//! Parts of what is stored, of what is still arriving, and of what is not here.

use crate::support::{Origin, Seawall, ok};

#[test]
fn a_part_of_a_stored_answer_is_exact() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("0123456789").max_age(60).etag("1"));
    seawall.get("/a").is("MISS", "0123456789");
    let check = |fields: &[(&str, &str)], status: u16, range: Option<&str>, body: &str| {
        let part = seawall.get_with("/a", fields);
        let found = (
            part.status,
            part.field("content-range"),
            part.text(),
            part.complete,
        );
        assert_eq!(found, (status, range, body.to_owned(), true), "{fields:?}");
        assert_eq!(part.x_cache(), "HIT");
        assert_eq!(
            part.field("content-length"),
            Some(body.len().to_string().as_str())
        );
    };
    check(&[("range", "bytes=0-0")], 206, Some("bytes 0-0/10"), "0");
    check(&[("range", "bytes=2-5")], 206, Some("bytes 2-5/10"), "2345");
    check(&[("range", "bytes=7-")], 206, Some("bytes 7-9/10"), "789");
    check(
        &[("range", "bytes=5-99")],
        206,
        Some("bytes 5-9/10"),
        "56789",
    );
    check(&[("range", "bytes=-3")], 206, Some("bytes 7-9/10"), "789");
    check(&[("range", "bytes=10-")], 416, Some("bytes */10"), "");
    check(&[("range", "bytes=-0")], 416, Some("bytes */10"), "");
    check(&[("range", "bytes=5-2")], 200, None, "0123456789");
    check(&[("range", "lines=1-2")], 200, None, "0123456789");
    check(
        &[("range", "bytes=2-5"), ("if-range", "\"1\"")],
        206,
        Some("bytes 2-5/10"),
        "2345",
    );
    check(
        &[("range", "bytes=2-5"), ("if-range", "\"0\"")],
        200,
        None,
        "0123456789",
    );
    check(
        &[("range", "bytes=2-5"), ("if-range", "W/\"1\"")],
        200,
        None,
        "0123456789",
    );
    assert_eq!(origin.requests("/a"), 1);
}

/// RFC 9110 §14.4: it means nothing on a 200, and a second one in a part would.
#[test]
fn a_part_has_one_content_range_whatever_its_origin_says_of_the_whole() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let whole = ok("0123456789").field("content-range", "bytes 0-9/10");
    origin.says("/a", whole.max_age(60));
    seawall.get("/a").is("MISS", "0123456789");
    let part = seawall.get_with("/a", &[("range", "bytes=2-5")]);
    assert_eq!((part.status, part.text().as_str()), (206, "2345"));
    let named = part
        .fields
        .iter()
        .filter(|(name, _)| name == "content-range");
    let ranges: Vec<_> = named.map(|(_, value)| value.as_str()).collect();
    assert_eq!(ranges, ["bytes 2-5/10"]);
}

#[test]
fn a_part_of_an_answer_that_is_still_arriving_is_exact() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let (answer, gate) = ok(body.clone()).max_age(60).gate_body(50_000);
    origin.says("/a", answer);
    let mut whole = seawall.connect();
    whole.send("GET", "/a", &[], b"");
    assert_eq!(whole.head().expect("a head").0, 200);
    assert_eq!(
        whole.take(50_000),
        body[..50_000],
        "it streams while it arrives"
    );

    let here = seawall.get_with("/a", &[("range", "bytes=100-199")]);
    assert_eq!(
        (here.status, here.field("content-range")),
        (206, Some("bytes 100-199/100000"))
    );
    assert_eq!(here.body, body[100..200]);
    assert!(
        here.cache_status().contains("; collapsed"),
        "{}",
        here.cache_status()
    );

    let mut later = seawall.connect();
    later.send("GET", "/a", &[("range", "bytes=49990-50009")], b"");
    assert_eq!(later.head().expect("a head").0, 206);
    assert_eq!(later.take(10), body[49_990..50_000]);
    gate.open();
    assert_eq!(later.take(10), body[50_000..50_010]);
    assert_eq!(whole.take(50_000), body[50_000..]);
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn several_parts_of_a_stored_answer_come_in_one() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = ok("0123456789").max_age(60).field("content-type", "x/y");
    origin.says("/a", answer);
    seawall.get("/a").is("MISS", "0123456789");
    let several = seawall.get_with("/a", &[("range", "bytes=8-, 0-1, 20-30")]);
    assert_eq!((several.status, several.x_cache()), (206, "HIT"));
    assert_eq!(several.field("content-range"), None);
    let kind = several.field("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary");
    let part = |range: &str, body: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: x/y\r\nContent-Range: bytes {range}/10\r\n\r\n{body}"
        )
    };
    let expect = part("8-9", "89") + &part("0-1", "01") + &format!("\r\n--{boundary}--\r\n");
    assert_eq!(several.text(), expect);
    // What overlaps comes once; what is left of it may be one part, or all.
    let joined = seawall.get_with("/a", &[("range", "bytes=0-3,2-5")]);
    assert_eq!(joined.field("content-range"), Some("bytes 0-5/10"));
    let many = format!("bytes={}", vec!["0-0"; 17].join(","));
    seawall
        .get_with("/a", &[("range", &many)])
        .is("HIT", "0123456789");
}
