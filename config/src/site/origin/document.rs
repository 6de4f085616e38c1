//! From the words of `[site.origin]` to a checked [`Origin`].

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::document::within;
use super::super::{FETCH_TIMEOUT_MAX, address};
use super::{
    Balance, Breaker, Check, ClientCertificate, Ejection, Health, Origin, OriginTls, Server,
};
use crate::problem::Problems;
use crate::reader::{Fields, TextOrTable, echo};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// No check comes more often.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// No check waits longer.
const CHECK_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The origin that the word of a site says. None adds at least one problem.
pub(crate) fn origin(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Origin> {
    let at = fields.at("origin");
    match fields.text_or_table("origin")? {
        TextOrTable::Text(url) => match address::server(url) {
            Ok(server) => Some(Origin::of(vec![server])),
            Err(message) => {
                problems.add(at, message);
                None
            }
        },
        TextOrTable::Table(fields) => Some(pool(fields, problems)),
    }
}

fn pool(mut fields: Fields<'_>, problems: &mut Problems) -> Origin {
    let servers = servers(&mut fields, problems);
    let mut origin = Origin::of(servers);
    origin.host = fields.parsed("host", problems, address::authority);
    let balance = fields.text("balance").and_then(Balance::from_word);
    origin.balance = balance.unwrap_or_default();
    origin.http2 = fields.switch("http2").unwrap_or(false);
    set(&mut fields, "max_requests", &mut origin.max_requests);
    set(&mut fields, "max_pending", &mut origin.max_pending);
    set(&mut fields, "retry_budget", &mut origin.retry_budget);
    set(&mut fields, "panic_below", &mut origin.panic_below);
    let second = Duration::from_secs(1);
    for (name, allowed, value) in [
        ("pending_timeout", MS..=HOUR, &mut origin.pending_timeout),
        ("dns_refresh", second..=HOUR, &mut origin.dns_refresh),
        (
            "fetch_timeout",
            second..=FETCH_TIMEOUT_MAX,
            &mut origin.fetch_timeout,
        ),
    ] {
        set_time(&mut fields, name, allowed, value, problems);
    }
    let deny = fields.each_parsed("origin_deny", problems, address::block);
    origin.deny = deny.into_iter().map(|(_, block)| block).collect();
    if let Some(words) = fields.table("tls") {
        origin.tls = tls(words, problems);
    }
    origin.health = fields.table("health").map(|words| health(words, problems));
    if let Some(words) = fields.table("ejection") {
        origin.ejection = ejection(words, problems);
    }
    origin.breaker = fields
        .table("breaker")
        .map(|words| breaker(words, problems));
    fields.done();
    origin
}

/// One URL names one server: what is known of it, and who drains it, go by that.
fn servers(fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for one in fields.tables("server") {
        let at = one.at("url");
        let Some(server) = server(one, problems) else {
            continue;
        };
        let url = server.url();
        match servers.iter().any(|other| other.url() == url) {
            true => problems.add(
                at,
                format!("{url} is in the pool already; give it a weight"),
            ),
            false => servers.push(server),
        }
    }
    servers
}

fn server(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Server> {
    let server = fields.parsed("url", problems, address::server);
    let mut weight = 1;
    set(&mut fields, "weight", &mut weight);
    let priority = fields.number("priority").map(u8::try_from);
    let priority = priority.and_then(Result::ok).unwrap_or(0);
    let mut most = |name| fields.number(name).and_then(|max| u32::try_from(max).ok());
    let (max_requests, max_connections) = (most("max_requests"), most("max_connections"));
    fields.done();
    server.map(|server| Server {
        weight,
        priority,
        max_requests,
        max_connections,
        ..server
    })
}

fn tls(mut fields: Fields<'_>, problems: &mut Problems) -> OriginTls {
    let (certificate, key) = (fields.text("client_certificate"), fields.text("client_key"));
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }),
        (Some(_), None) => {
            problems.add(
                fields.at("client_key"),
                "is missing; the certificate needs it",
            );
            None
        }
        (None, Some(_)) => {
            let message = "is missing; the key is of no use without it";
            problems.add(fields.at("client_certificate"), message);
            None
        }
        (None, None) => None,
    };
    let tls = OriginTls {
        verify: fields.switch("verify").unwrap_or(true),
        server_name: fields.parsed("server_name", problems, address::server_name),
        ca: fields.text("ca").map(str::to_owned),
        client,
    };
    fields.done();
    tls
}

fn health(mut fields: Fields<'_>, problems: &mut Problems) -> Health {
    let mut health = Health::default();
    let path = fields.parsed("path", problems, check_path);
    let statuses = fields.each_parsed("expect_status", problems, statuses);
    let statuses: Vec<_> = statuses.into_iter().map(|(_, range)| range).collect();
    let body = fields.text("expect_body").map(str::to_owned);
    health.check = match fields.text("type") {
        Some("tcp") => {
            let http = [path.is_some(), !statuses.is_empty(), body.is_some()];
            let words = ["path", "expect_status", "expect_body"];
            for (name, _) in words.into_iter().zip(http).filter(|(_, given)| *given) {
                problems.add(fields.at(name), "a check of type \"tcp\" sends no request");
            }
            Check::Tcp
        }
        _ => Check::Http {
            path: path.unwrap_or_else(|| "/".to_owned()),
            statuses: match statuses.is_empty() {
                true => vec![(200, 299)],
                false => statuses,
            },
            body,
        },
    };
    set(&mut fields, "healthy_after", &mut health.healthy_after);
    set(&mut fields, "unhealthy_after", &mut health.unhealthy_after);
    for (name, allowed, value) in [
        ("interval", INTERVAL_MIN..=HOUR, &mut health.interval),
        ("timeout", MS..=CHECK_TIMEOUT_MAX, &mut health.timeout),
    ] {
        set_time(&mut fields, name, allowed, value, problems);
    }
    fields.done();
    health
}

fn ejection(mut fields: Fields<'_>, problems: &mut Problems) -> Ejection {
    let mut ejection = Ejection::default();
    for (name, value) in [
        ("consecutive_failures", &mut ejection.consecutive_failures),
        ("requests_min", &mut ejection.requests_min),
        ("success_rate", &mut ejection.success_rate),
        ("latency", &mut ejection.latency),
        ("share_max", &mut ejection.share_max),
    ] {
        set(&mut fields, name, value);
    }
    for (name, allowed, value) in [
        ("interval", INTERVAL_MIN..=HOUR, &mut ejection.interval),
        ("time", INTERVAL_MIN..=HOUR, &mut ejection.time),
        ("time_max", INTERVAL_MIN..=24 * HOUR, &mut ejection.time_max),
    ] {
        set_time(&mut fields, name, allowed, value, problems);
    }
    if ejection.time_max < ejection.time {
        problems.add(fields.at("time_max"), "is shorter than `time`");
    }
    fields.done();
    ejection
}

fn breaker(mut fields: Fields<'_>, problems: &mut Problems) -> Breaker {
    let mut breaker = Breaker::default();
    set(&mut fields, "failures", &mut breaker.failures);
    set(&mut fields, "probes", &mut breaker.probes);
    let allowed = INTERVAL_MIN..=HOUR;
    set_time(&mut fields, "open", allowed, &mut breaker.open, problems);
    fields.done();
    breaker
}

/// A number, where it is given; the table bounds it.
fn set(fields: &mut Fields<'_>, name: &str, value: &mut u32) {
    if let Some(Ok(number)) = fields.number(name).map(u32::try_from) {
        *value = number;
    }
}

/// A duration, where it is given, between the two.
fn set_time(
    fields: &mut Fields<'_>,
    name: &str,
    allowed: RangeInclusive<Duration>,
    value: &mut Duration,
    problems: &mut Problems,
) {
    if let Some(given) = within(name, allowed, fields, problems) {
        *value = given;
    }
}

fn check_path(text: &str) -> Result<String, String> {
    let fine = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    match text.starts_with('/') && fine {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no path as a request sends it: it begins with `/`, and has no space and no #",
            echo(text)
        )),
    }
}

/// `"200"`, or `"200-299"`.
fn statuses(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let number = text.parse::<u16>().ok();
        number.filter(|status| text.len() == 3 && (200..=599).contains(status))
    };
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!(
            "{} is no status and no range of them such as \"200-299\"; 200 to 599 are",
            echo(text)
        )),
    }
}
