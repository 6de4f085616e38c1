//! Sharing changes how often an origin is asked, compressing how a body is written, and nothing else: the same requests
//! get the same answers with them and without.
//!
//! Each case is drawn from its number, so a failure names the case to run again: `CASE=17 cargo test -p seawall
//! --test it differential`.

use std::env;

use crate::compressing::decoded;
use crate::support::{Answer, Origin, Response, Seawall, ok};

/// Cases of one run.
const CASES: u64 = 300;
const MODIFIED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
/// Fields that tell of the way an answer came, not of what it is.
const OF_THE_WAY: [&str; 8] = [
    "age",
    "cache-status",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "transfer-encoding",
    "x-cache",
];

/// One way of being configured, on a host and with an origin of its own.
struct Way {
    host: &'static str,
    words: &'static str,
    origin: Origin,
}

impl Way {
    fn new(host: &'static str, words: &'static str) -> Self {
        let origin = Origin::start();
        Self {
            host,
            words,
            origin,
        }
    }

    fn site(&self) -> String {
        let (host, words, origin) = (self.host, self.words, self.origin.url());
        format!(
            "[[site]]\nname = \"{host}\"\nhosts = [\"{host}\"]\norigin = \"{origin}\"\n[site.cache]\n\
             client_directives = \"honour\"\n{words}\n"
        )
    }
}

/// What one round of requests is.
struct Asked {
    method: &'static str,
    fields: Vec<Field>,
    at_once: usize,
}

type Field = (&'static str, &'static str);

impl Asked {
    fn unconditional(&self) -> Vec<Field> {
        let condition = |(name, _): &&Field| name.starts_with("if-") || *name == "range";
        let fields = self.fields.iter();
        fields.filter(|field| !condition(field)).copied().collect()
    }
}

#[test]
fn sharing_and_compressing_change_no_answer() {
    let ways = [
        Way::new("shared.test", ""),
        Way::new("alone.test", "collapse = false"),
        Way::new("compressed.test", "compress = [\"zstd\", \"br\", \"gzip\"]"),
    ];
    let seawall = Seawall::run_config(&ways.each_ref().map(Way::site).concat());
    let only = env::var("CASE").ok().map(|case| case.parse().unwrap());
    let cases = only.map_or(0..CASES, |case| case..case + 1);
    for case in cases {
        play(&seawall, &ways, case);
    }
    let encoded = seawall.metric("seawall_encoded_total");
    assert!(encoded > 0.0 || only.is_some(), "nothing was compressed");
}

fn play(seawall: &Seawall, ways: &[Way], case: u64) {
    let mut random = fastrand::Rng::with_seed(case);
    let target = format!("/case-{case}");
    let all = [
        ("vary", "x-way"),
        ("vary", "accept-language"),
        ("set-cookie", "a=b"),
        ("age", "30"),
    ];
    let fields = random.choose_multiple(all, 2);
    for round in 0..4 {
        let asked = asked(&mut random);
        let mut answer = answer(&mut random, round, &fields);
        // A part of a body whose length nobody knows yet is the whole.
        if random.bool() && !asked.fields.iter().any(|(name, _)| *name == "range") {
            answer = answer.chunked();
        }
        let found = ways.iter().map(|way| {
            way.origin.says(&target, answer.clone());
            let all = together(seawall, way.host, &target, &asked);
            // The first waits for whatever is still under way; what the second gets is settled.
            let plain = Asked {
                method: "GET",
                fields: asked.unconditional(),
                at_once: 1,
            };
            let settled = [(); 2].map(|()| together(seawall, way.host, &target, &plain).remove(0));
            let told = settled[1].x_cache().to_owned();
            let all = all.iter().chain(&settled).map(essence).collect::<Vec<_>>();
            (all, told)
        });
        let found: Vec<_> = found.collect();
        for (way, other) in ways.iter().zip(&found).skip(1) {
            let (method, fields) = (asked.method, &asked.fields);
            assert_eq!(
                *other, found[0],
                "case {case}, round {round}: {method} {fields:?} on {}",
                way.host
            );
        }
    }
}

/// `asked.at_once` requests at the same time.
fn together(seawall: &Seawall, host: &str, target: &str, asked: &Asked) -> Vec<Response> {
    let mut fields = vec![("host", host)];
    fields.extend(&asked.fields);
    let mut clients: Vec<_> = (0..asked.at_once).map(|_| seawall.connect()).collect();
    for client in &mut clients {
        client.send(asked.method, target, &fields, b"");
    }
    let answers = clients.iter_mut().map(|client| client.answer(asked.method));
    answers.collect()
}

/// What an answer is, however it came and in whichever coding.
fn essence(answer: &Response) -> (u16, Vec<(String, String)>, Vec<u8>, bool) {
    let of_it = |(name, value): &&(String, String)| match name.as_str() {
        // The origin says it on its own 304s, too.
        "content-type" => answer.status != 304,
        "vary" => value != "Accept-Encoding",
        name => !OF_THE_WAY.contains(&name),
    };
    let strong = |(name, value): (String, String)| match name.as_str() {
        "etag" => (name, value.trim_start_matches("W/").to_owned()),
        _ => (name, value),
    };
    let fields = answer.fields.iter().filter(of_it).cloned();
    let mut fields: Vec<_> = fields.map(strong).collect();
    fields.sort();
    // A HEAD has none.
    let body = match answer.body.is_empty() {
        true => Vec::new(),
        false => decoded(answer),
    };
    (answer.status, fields, body, answer.complete)
}

fn answer(random: &mut fastrand::Rng, round: usize, fields: &[Field]) -> Answer {
    let body = "0123456789".repeat(random.usize(0..200));
    // What has the same strong validator is the same.
    let (tag, body) = match random.u8(0..3) {
        0 => ("same".to_owned(), "same".to_owned()),
        _ => (round.to_string(), format!("{round}{body}")),
    };
    let mut answer = ok(body).field("content-type", "text/plain");
    if random.u8(0..6) == 0 {
        answer = answer.status(random.choice([203, 301, 404, 500, 503]).unwrap());
    } else {
        if random.u8(0..4) > 0 {
            answer = answer.etag(&tag).ranged();
        }
        if random.bool() {
            let second = if tag == "same" { 9 } else { round };
            let (at, _) = MODIFIED.split_at(MODIFIED.len() - 5);
            answer = answer.field("last-modified", &format!("{at}{second} GMT"));
        }
    }
    answer = answer.if_match_304();
    let controls = [
        "max-age=60",
        "max-age=0",
        "no-cache",
        "no-store",
        "private",
        "max-age=0, stale-if-error=60",
        "s-maxage=60",
        "",
    ];
    answer = answer.field("cache-control", random.choice(controls).unwrap());
    // What was validated keeps the fields that a 304 leaves out: so these stay the same for one target.
    answer = fields
        .iter()
        .fold(answer, |answer, (name, value)| answer.field(name, value));
    answer
}

fn asked(random: &mut fastrand::Rng) -> Asked {
    let mut fields = vec![("accept-encoding", "gzip, br;q=0.5")];
    for field in [
        ("x-way", "1"),
        ("accept-language", "de, en"),
        ("if-none-match", "\"same\""),
        ("if-modified-since", MODIFIED),
        ("range", "bytes=3-7"),
        ("cache-control", "max-age=10"),
        ("cache-control", "no-cache"),
        ("authorization", "Basic YTpi"),
    ] {
        let named = |(name, _): &Field| *name == field.0;
        if random.u8(0..6) == 0 && !fields.iter().any(named) {
            fields.push(field);
        }
    }
    let method = if random.u8(0..6) == 0 { "HEAD" } else { "GET" };
    // The first answer to HEAD freshens what the next one then finds.
    let at_once = match random.usize(1..5) {
        _ if method == "HEAD" => 1,
        count => count,
    };
    Asked {
        method,
        fields,
        at_once,
    }
}
