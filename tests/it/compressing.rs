//! Bodies compressed at the edge: every coding decodes to the very bytes, and HTTP stays true of them.

mod passing;
mod validators;

use std::io::Read;

use serde_json::json;

use crate::support::{Answer, Origin, Response, Seawall, eventually, ok};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// In front of one origin; of its paths all but those below `/plain/` are compressed.
fn run(origin: &Origin) -> Seawall {
    Seawall::run_site(
        origin,
        "[site.cache]\ncompress = [\"zstd\", \"br\", \"gzip\"]\n\
         [[site.rule]]\npath = \"/plain/*\"\ncompress = []\n\
         [[site.rule]]\npath = \"/uncached/*\"\ncache = \"off\"",
    )
}

/// So many bytes that pack well, each line another.
fn words(bytes: usize) -> Vec<u8> {
    let lines = (1..).flat_map(|n| format!("<li>{n}: a line of a list</li>\n").into_bytes());
    lines.take(bytes).collect()
}

fn page(bytes: usize) -> Answer {
    ok(words(bytes)).field("content-type", "text/html; charset=utf-8")
}

/// The whole body, plain again, by what its Content-Encoding says.
#[track_caller]
pub fn decoded(answer: &Response) -> Vec<u8> {
    assert!(answer.complete, "it was cut");
    decode(answer.field("content-encoding"), &answer.body).expect("it decodes")
}

fn decode(coding: Option<&str>, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match coding {
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        Some("zstd") => zstd::stream::read::Decoder::new(body)?.read_to_end(&mut plain),
        Some(other) => panic!("nobody asked for {other}"),
        None => return Ok(body.to_vec()),
    }?;
    Ok(plain)
}

/// What a client is told of the body.
fn told(answer: &Response) -> (u16, &str, Option<&str>, Option<&str>, Option<&str>) {
    (
        answer.status,
        answer.x_cache(),
        answer.field("content-encoding"),
        answer.field("etag"),
        answer.field("vary"),
    )
}

#[test]
fn every_coding_gives_back_the_very_bytes_on_a_miss_and_on_a_hit() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let plain = words(100_000);
    for coding in CODINGS {
        for protocol in ["http/1.1", "http/2"] {
            let target = format!("/{coding}/{protocol}");
            let answer = page(plain.len()).max_age(60).etag("1");
            origin.says(&target, answer.field("accept-ranges", "bytes"));
            let get = |accept: &[(&str, &str)]| match protocol {
                "http/1.1" => seawall.get_with(&target, accept),
                _ => over_http_2(&seawall, &target, accept),
            };
            for x_cache in ["MISS", "HIT"] {
                let answer = get(&[("accept-encoding", coding)]);
                let expect = (
                    200,
                    x_cache,
                    Some(coding),
                    Some("W/\"1\""),
                    Some("Accept-Encoding"),
                );
                assert_eq!(told(&answer), expect, "{target}");
                assert!(decoded(&answer) == plain, "{target} {x_cache}");
                assert!(answer.body.len() < plain.len() / 4, "{target}");
                assert_eq!(answer.field("accept-ranges"), None);
                let length = answer.body.len().to_string();
                let known = (x_cache == "HIT").then_some(length.as_str());
                assert_eq!(answer.field("content-length"), known, "{target} {x_cache}");
            }
            let identity = get(&[]);
            let expect = (200, "HIT", None, Some("\"1\""), Some("Accept-Encoding"));
            assert_eq!(told(&identity), expect);
            assert_eq!(identity.field("accept-ranges"), Some("bytes"));
            assert!(identity.body == plain);
            assert_eq!(origin.requests(&target), 1);
        }
    }
    assert_eq!(seawall.metric("seawall_encoded_total"), 12.0);
}

fn over_http_2(seawall: &Seawall, target: &str, fields: &[(&str, &str)]) -> Response {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let args: Vec<_> = fields
        .flat_map(|field| ["--header".to_owned(), field])
        .collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let curled = seawall.curl(target, &args);
    assert_eq!((curled.exit, curled.version.as_str()), (0, "2"));
    curled.response
}

#[test]
fn what_is_kept_encoded_counts_against_the_cache() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(1_000_000).max_age(60));
    let grows_past = |bytes: f64, accept: &str| {
        eventually("the cache has counted it", || {
            seawall.get_with("/a", &[("accept-encoding", accept)]);
            seawall.metric("seawall_cache_bytes") > bytes
        });
        seawall.metric("seawall_cache_bytes")
    };
    let plain = grows_past(1_000_000.0, "identity");
    let length = seawall
        .get_with("/a", &[("accept-encoding", "gzip")])
        .body
        .len();
    grows_past(plain + length as f64 - 1.0, "gzip");
}

#[test]
fn curl_decodes_what_it_asks_for() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(50_000).max_age(60));
    for x_cache in ["MISS", "HIT"] {
        let curled = seawall.curl("/a", &["--compressed"]);
        assert_eq!((curled.exit, curled.response.x_cache()), (0, x_cache));
        assert!(curled.response.field("content-encoding").is_some());
        assert!(curled.response.body == words(50_000));
    }
}

#[test]
fn each_client_gets_the_coding_it_likes_best() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(5_000).max_age(60));
    seawall.get("/a");
    let check = |said: &str, expect: Option<&str>| {
        let answer = seawall.get_with("/a", &[("accept-encoding", said)]);
        let found = (answer.field("content-encoding"), answer.field("vary"));
        assert_eq!(found, (expect, Some("Accept-Encoding")), "{said}");
        assert!(decoded(&answer) == words(5_000), "{said}");
    };
    check("gzip, deflate, br, zstd", Some("zstd"));
    check("gzip, deflate, br", Some("br"));
    check("gzip;q=1.0, br;q=0.5", Some("gzip"));
    check("x-gzip", Some("gzip"));
    check("identity;q=0, gzip;q=0.1", Some("gzip"));
    check("*;q=0.5", Some("zstd"));
    check("gzip;q=0", None);
    check("deflate", None);
    check("", None);
    // None of ours is good, and the plain bytes are neither: they are sent all the same (RFC 9110 §12.5.3).
    check("identity;q=0, deflate", None);
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn what_is_packed_small_partial_or_not_to_be_touched_is_left_alone() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let check = |target: &str, answer: Answer| {
        origin.says(target, answer.max_age(60).etag("1"));
        for x_cache in ["MISS", "HIT"] {
            let answer = seawall.get_with(target, &[("accept-encoding", "gzip")]);
            let expect = (200, x_cache, None, Some("\"1\""), None);
            assert_eq!(told(&answer), expect, "{target}");
            assert!(answer.complete && words(5_000).starts_with(&answer.body));
        }
    };
    check(
        "/image",
        ok(words(5_000)).field("content-type", "image/png"),
    );
    check("/untyped", ok(words(5_000)));
    check("/small", page(1_023));
    check("/plain/a", page(5_000));
    check(
        "/kept-as-is",
        page(5_000).field("cache-control", "no-transform"),
    );
}

#[test]
fn what_does_not_get_smaller_is_sent_as_it_is() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let noise: Vec<u8> = (0_u64..5_000)
        .map(|n| {
            (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(23)
                .wrapping_mul(n | 1)
                >> 56) as u8
        })
        .collect();
    let answer = ok(noise.clone()).field("content-type", "text/plain");
    origin.says("/a", answer.max_age(60).etag("1"));
    let accept = [("accept-encoding", "gzip")];
    assert!(decoded(&seawall.get_with("/a", &accept)) == noise);
    for method in ["GET", "HEAD", "GET"] {
        let answer = seawall.request(method, "/a", &accept, b"");
        let expect = (200, "HIT", None, Some("\"1\""), Some("Accept-Encoding"));
        assert_eq!(told(&answer), expect);
        assert_eq!(answer.field("content-length"), Some("5000"));
    }
}

#[test]
fn a_purge_kills_every_coding() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(5_000).max_age(60).field("cache-tag", "list"));
    for coding in CODINGS {
        seawall.get_with("/a", &[("accept-encoding", coding)]);
    }
    origin.says("/a", page(6_000).max_age(60));
    seawall.purge(json!({"tags": ["list"]}));
    for (coding, x_cache) in CODINGS.into_iter().zip(["MISS", "HIT", "HIT"]) {
        let answer = seawall.get_with("/a", &[("accept-encoding", coding)]);
        assert_eq!(
            (answer.x_cache(), answer.field("content-encoding")),
            (x_cache, Some(coding))
        );
        assert!(decoded(&answer) == words(6_000), "{coding}");
    }
}

#[test]
fn compressing_changes_no_verdict() {
    let origin = Origin::start();
    let (on, off) = (run(&origin), Seawall::run(&origin));
    let journeys = [
        ("/a", page(5_000).max_age(60).etag("1")),
        (
            "/b",
            page(5_000)
                .field("cache-control", "max-age=0")
                .etag("1")
                .if_match_304(),
        ),
        ("/c", page(5_000).field("cache-control", "no-store")),
        (
            "/d",
            page(5_000).max_age(60).field("vary", "accept-encoding"),
        ),
        ("/e", page(5_000).max_age(60).chunked()),
        ("/f", page(5_000).status(404).max_age(60)),
    ];
    for (target, answer) in journeys {
        origin.says(target, answer);
        for fields in [
            &[("accept-encoding", "gzip, br")][..],
            &[("accept-encoding", "br,gzip")],
            &[],
            &[("accept-encoding", "zstd"), ("if-none-match", "W/\"1\"")],
            &[("accept-encoding", "gzip"), ("range", "bytes=10-19")],
        ] {
            let (with, without) = (
                without_ttl(&on, target, fields),
                without_ttl(&off, target, fields),
            );
            assert_eq!(with, without, "{target} {fields:?}");
        }
    }
}

/// All that compressing may not change; the time left may by now be a second less.
fn without_ttl(seawall: &Seawall, target: &str, fields: &[(&str, &str)]) -> (u16, String, Vec<u8>) {
    let answer = seawall.get_with(target, fields);
    let status = answer.cache_status().split("; ttl=").next().unwrap();
    (answer.status, status.to_owned(), decoded(&answer))
}
