//! Bodies encoded while they pass: nothing waits for their end, and what breaks off never looks whole.

use super::{CODINGS, decode, decoded, page, run, told, words};
use crate::support::{Connection, Origin, ok};

/// One chunk of a chunked body.
fn chunk(connection: &mut Connection) -> Vec<u8> {
    let mut size = Vec::new();
    while !size.ends_with(b"\r\n") {
        size.extend(connection.take(1));
    }
    let size = String::from_utf8(size).unwrap();
    let size = usize::from_str_radix(size.trim(), 16).unwrap();
    let chunk = connection.take(size);
    connection.take(2);
    chunk
}

/// What can be read of a body whose end is not here.
fn beginning(coding: &str, mut body: &[u8]) -> Vec<u8> {
    let mut plain = vec![0; 1 << 20];
    let mut decoder: Box<dyn std::io::Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(&mut body)),
        "br" => Box::new(brotli::Decompressor::new(&mut body, 4096)),
        _ => Box::new(zstd::stream::read::Decoder::new(&mut body).unwrap()),
    };
    let mut read = 0;
    while let Ok(more @ 1..) = decoder.read(&mut plain[read..]) {
        read += more;
    }
    plain.truncate(read);
    plain
}

#[test]
fn what_an_origin_says_bit_by_bit_arrives_bit_by_bit() {
    let origin = Origin::start();
    let seawall = run(&origin);
    for coding in CODINGS {
        let target = format!("/{coding}");
        let (answer, gate) = page(5_000).max_age(60).chunked().gate_body(100);
        origin.says(&target, answer);
        let mut client = seawall.connect();
        client.send("GET", &target, &[("accept-encoding", coding)], b"");
        let (status, fields) = client.head().unwrap();
        assert!(status == 200 && fields.contains(&("content-encoding".into(), coding.into())));
        let mut coded = Vec::new();
        while beginning(coding, &coded).len() < 100 {
            coded.extend(chunk(&mut client));
        }
        assert_eq!(beginning(coding, &coded), words(100), "{coding}");
        gate.open();
        loop {
            match chunk(&mut client) {
                last if last.is_empty() => break,
                more => coded.extend(more),
            }
        }
        assert!(
            decode(Some(coding), &coded).unwrap() == words(5_000),
            "{coding}"
        );
        assert!(
            seawall.get(&target).body == words(5_000),
            "and is stored as it came"
        );
    }
}

#[test]
fn one_fetch_serves_every_coding() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let (answer, gate) = page(300_000).max_age(60).gate();
    origin.says("/a", answer);
    let codings = [Some("gzip"), Some("br"), Some("zstd"), None];
    let waiting = codings.map(|coding| {
        let accept = coding.map(|coding| ("accept-encoding", coding));
        seawall.get_later_with("/a", &accept.into_iter().collect::<Vec<_>>())
    });
    origin.wait_for("/a", 1);
    gate.open();
    for (coding, answer) in codings.into_iter().zip(waiting) {
        let answer = answer.join().unwrap();
        assert_eq!(answer.field("content-encoding"), coding);
        assert!(decoded(&answer) == words(300_000), "{coding:?}");
    }
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let origin = Origin::start();
    let seawall = run(&origin);
    for coding in CODINGS {
        let target = format!("/{coding}");
        origin.says(&target, page(200_000).max_age(60).cut_body(100_000));
        let accept = [("accept-encoding", coding)];
        let cut = seawall.get_with(&target, &accept);
        assert!(!cut.complete && cut.field("content-encoding") == Some(coding));
        let all = words(100_000);
        assert!(all.starts_with(&beginning(coding, &cut.body)));
        origin.says(&target, page(200_000).max_age(60));
        let whole = seawall.get_with(&target, &accept);
        assert!(whole.x_cache() == "MISS" && decoded(&whole) == words(200_000));
    }
}

#[test]
fn what_is_too_large_to_be_kept_twice_is_encoded_each_time() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let plain = words(5 * 1024 * 1024);
    origin.says("/a", page(plain.len()).max_age(60));
    for x_cache in ["MISS", "HIT", "HIT"] {
        let answer = seawall.get_with("/a", &[("accept-encoding", "zstd")]);
        assert_eq!(
            (answer.x_cache(), answer.field("content-encoding")),
            (x_cache, Some("zstd"))
        );
        assert_eq!(answer.field("content-length"), None);
        assert!(decoded(&answer) == plain);
    }
}

#[test]
fn what_the_origin_encoded_itself_is_kept_as_its_own_variant() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let packed = |bytes: &'static str, coding: &str| {
        let answer = ok(bytes.repeat(1_000)).field("content-type", "text/html");
        let answer = answer
            .field("content-encoding", coding)
            .field("vary", "Accept-Encoding");
        answer.max_age(60).etag(coding)
    };
    let variants = vec![packed("origin's gzip", "gzip"), packed("origin's br", "br")];
    origin.says_in_turn("/a", variants);
    for x_cache in ["MISS", "HIT"] {
        for (coding, bytes) in [("gzip", "origin's gzip"), ("br", "origin's br")] {
            let answer = seawall.get_with("/a", &[("accept-encoding", coding)]);
            let etag = format!("\"{coding}\"");
            let expect = (
                200,
                x_cache,
                Some(coding),
                Some(etag.as_str()),
                Some("Accept-Encoding"),
            );
            assert_eq!(told(&answer), expect);
            assert!(answer.complete && answer.text() == bytes.repeat(1_000));
            assert_eq!(
                origin.last("/a").field("accept-encoding"),
                Some(if x_cache == "MISS" { coding } else { "br" })
            );
        }
    }
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn a_client_of_http_1_0_gets_all_of_it() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(50_000).max_age(60));
    for x_cache in ["MISS", "HIT"] {
        let mut client = seawall.connect();
        client.write("GET /a HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        let answer = client.answer("GET");
        assert_eq!(
            (answer.x_cache(), answer.field("transfer-encoding")),
            (x_cache, None)
        );
        assert!(decoded(&answer) == words(50_000));
    }
}
