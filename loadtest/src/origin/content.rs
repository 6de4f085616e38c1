//! What the origin has, by path. Pure: the edition, the time and the count are arguments.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Edition;
use super::body::OriginBody;

/// The largest of `/large/<n>MB.bin`; a MB is 1,000,000 bytes.
pub const LARGE_MB_MAX: u64 = 100;
/// The largest of `/objects/N?size=BYTES`.
pub const OBJECT_BYTES_MAX: u64 = 100_000_000;
const OBJECT_BYTES_DEFAULT: u64 = 1_024;
const OBJECT_SECONDS_DEFAULT: u64 = 60;
/// The longest an answer may be asked to take.
const LATENCY_MAX: Duration = Duration::from_secs(60);
/// Pages the front page links to, and images each page shows.
const LINKS: u32 = 12;
const IMAGES: u32 = 3;

/// What answers may depend on.
pub(super) struct Now {
    pub(super) edition: Edition,
    pub(super) wall: SystemTime,
    pub(super) requests: u64,
}

/// A representation and what a cache is told of it.
pub(super) struct Content {
    pub(super) body: OriginBody,
    pub(super) content_type: &'static str,
    pub(super) cache_control: Cow<'static, str>,
    /// Separated by spaces; none when empty.
    pub(super) tags: String,
    /// None for what is never the same twice.
    pub(super) version: Option<Version>,
    pub(super) set_cookie: Option<&'static str>,
}

/// What a client may validate with.
pub(super) struct Version {
    /// With its quotes; strong.
    pub(super) etag: String,
    pub(super) modified: SystemTime,
}

/// What a query says of an object, and how long any answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) size: u64,
    pub(super) max_age: u64,
    pub(super) latency: Option<Duration>,
}

impl Query {
    /// `size` in bytes, `max-age` in seconds, `latency` in milliseconds; other words are passed over.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut parsed = Self {
            size: OBJECT_BYTES_DEFAULT,
            max_age: OBJECT_SECONDS_DEFAULT,
            latency: None,
        };
        for pair in query.unwrap_or_default().split('&') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            match (name, value.parse::<u64>()) {
                ("size", Ok(size)) => parsed.size = size.min(OBJECT_BYTES_MAX),
                ("max-age", Ok(seconds)) => parsed.max_age = seconds,
                ("latency", Ok(millis)) => {
                    parsed.latency = Some(Duration::from_millis(millis).min(LATENCY_MAX));
                }
                _ => {}
            }
        }
        parsed
    }
}

/// None: there is no such page.
pub(super) fn find(path: &str, query: &Query, now: &Now) -> Option<Content> {
    if path == "/" {
        return Some(page("Front page", "pages page-0".to_owned(), 0, now));
    }
    if path == "/api/time" {
        let time = httpdate::fmt_http_date(now.wall);
        let text = format!("{{\"time\":\"{time}\",\"requests\":{}}}\n", now.requests);
        return Some(Content {
            version: None,
            ..fixed(text, "application/json", "no-store")
        });
    }
    if path == "/private" {
        let text = "This page sets a cookie: it is for one client only.\n".to_owned();
        let content = fixed(text, "text/plain; charset=utf-8", "max-age=60");
        return Some(Content {
            version: None,
            set_cookie: Some("visitor=1; Path=/"),
            ..content
        });
    }
    if let Some(name) = path.strip_prefix("/pages/") {
        let number = number(name)?;
        let tags = format!("pages page-{number}");
        return Some(page(&format!("Page {number}"), tags, number, now));
    }
    if let Some(name) = path.strip_prefix("/images/") {
        return Some(image(number(name.strip_suffix(".svg")?)?));
    }
    if let Some(name) = path.strip_prefix("/objects/") {
        return Some(object(number(name)?, query, now));
    }
    let name = path.strip_prefix("/large/")?;
    let megabytes = u64::from(number(name.strip_suffix("MB.bin")?)?);
    (1..=LARGE_MB_MAX)
        .contains(&megabytes)
        .then(|| large(megabytes))
}

fn page(title: &str, tags: String, number: u32, now: &Now) -> Content {
    let edition = now.edition.number;
    // Wrapping: after the last page comes the first.
    let links: String = (1..=LINKS)
        .map(|step| number.wrapping_add(step))
        .map(|n| format!("<a href=\"/pages/{n}\">Page {n}</a>\n"))
        .collect();
    let images: String = (0..IMAGES)
        .map(|step| number.wrapping_add(step))
        .map(|n| format!("<img src=\"/images/{n}.svg\" width=\"120\" height=\"80\" alt=\"\">\n"))
        .collect();
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>Edition {edition}.</p>\n{images}<p>\n{links}</p>\n</html>\n"
    );
    let etag = format!("\"page-{number}-edition-{edition}\"");
    Content {
        tags,
        version: Some(Version {
            etag,
            modified: now.edition.since,
        }),
        ..fixed(html, "text/html; charset=utf-8", "max-age=60")
    }
}

/// A picture that is different for each number and the same for ever.
fn image(number: u32) -> Content {
    let hue = number.wrapping_mul(47) % 360;
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 80\">\
         <rect width=\"120\" height=\"80\" fill=\"hsl({hue},55%,60%)\"/>\
         <path d=\"M0 60 Q30 {}0 60 60 T120 60 V80 H0Z\" fill=\"hsl({hue},60%,40%)\"/></svg>\n",
        3 + number % 5
    );
    Content {
        tags: "images".to_owned(),
        version: Some(unchanging(format!("\"image-{number}\""))),
        ..fixed(svg, "image/svg+xml", "max-age=3600")
    }
}

/// Bytes that are others in each edition, and fresh as long as is asked.
fn object(number: u32, query: &Query, now: &Now) -> Content {
    let edition = now.edition.number;
    let begin = (u64::from(number) << 20) ^ (edition << 44);
    let size = query.size;
    let etag = format!("\"object-{number}-{size}-edition-{edition}\"");
    Content {
        body: OriginBody::Computed(begin..begin + size),
        tags: format!("objects object-{number}"),
        cache_control: format!("max-age={}", query.max_age).into(),
        version: Some(Version {
            etag,
            modified: now.edition.since,
        }),
        ..fixed(String::new(), "application/octet-stream", "")
    }
}

fn large(megabytes: u64) -> Content {
    Content {
        body: OriginBody::Computed(0..megabytes * 1_000_000),
        tags: "large".to_owned(),
        version: Some(unchanging(format!("\"large-{megabytes}\""))),
        ..fixed(String::new(), "application/octet-stream", "max-age=600")
    }
}

fn fixed(text: String, content_type: &'static str, cache_control: &'static str) -> Content {
    Content {
        body: OriginBody::Text(Bytes::from(text)),
        content_type,
        cache_control: cache_control.into(),
        tags: String::new(),
        version: None,
        set_cookie: None,
    }
}

/// 2026-01-01: the same at every start, as the bytes are.
fn unchanging(etag: String) -> Version {
    let since = std::time::Duration::from_secs(1_767_225_600);
    Version {
        etag,
        modified: SystemTime::UNIX_EPOCH + since,
    }
}

/// Digits only, one spelling each: `/pages/07` is not `/pages/7`.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}
