//! Targeted cache control (RFC 9213): `CDN-Cache-Control`, and `Surrogate-Control` where a site asks for it.

use std::time::Duration;

use http::HeaderMap;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::directives::{Response, delta_seconds, split};
use super::fields::texts;

/// What an origin calls this cache in `Surrogate-Control`, and is told in `Surrogate-Capability`.
const SURROGATE: &str = "seawall";
/// The request field by which it is told.
pub const CAPABILITY: (&str, &str) = ("surrogate-capability", "seawall=\"Surrogate/1.0\"");

/// The directives that replace Cache-Control and Expires, if a targeted field is there and valid.
pub fn read(head: &HeaderMap, surrogate_control: bool) -> Option<Response> {
    find(head, surrogate_control).map(|(_, found)| found)
}

/// And the name of the field.
pub fn find(head: &HeaderMap, surrogate_control: bool) -> Option<(&'static str, Response)> {
    // RFC 9213 §2.2: "caches MUST … select the first (in target list order) field with a valid, non-empty value".
    // A line that is no ASCII parses no more than any other that is broken.
    let lines = joined(head, "cdn-cache-control");
    let ours = lines.and_then(|lines| structured(&lines.join(", ")));
    let surrogate = || surrogate_control.then(|| surrogate(head)).flatten();
    ours.map(|found| ("CDN-Cache-Control", found))
        .or_else(|| surrogate().map(|found| ("Surrogate-Control", found)))
}

fn joined<'a>(head: &'a HeaderMap, name: &str) -> Option<Vec<&'a str>> {
    head.get_all(name)
        .iter()
        .map(|line| line.to_str().ok())
        .collect()
}

/// A Structured Fields dictionary (RFC 9213 §2.1); None where it does not parse or is empty.
fn structured(text: &str) -> Option<Response> {
    let dictionary: Dictionary = Parser::new(text).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut found = Response::default();
    for (name, entry) in &dictionary {
        let value = match entry {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        // Whatever else is said in the place of "false" is taken for the stricter.
        let on = value != Some(&BareItem::Boolean(false));
        // RFC 9111 §4.2.1: "caches are encouraged to consider responses that have invalid freshness information … to
        // be stale".
        let seconds = match value {
            Some(BareItem::Integer(n)) => u64::try_from(i64::from(*n)).unwrap_or_default(),
            _ => 0,
        };
        let seconds = Some(Duration::from_secs(seconds));
        let fields = match value {
            Some(BareItem::String(fields)) => Some(fields.as_str()),
            _ => None,
        };
        match name.as_str() {
            "no-store" => found.no_store |= on,
            "no-cache" if on => found.no_cache.take(fields),
            "private" if on => found.private.take(fields),
            "public" => found.public |= on,
            "must-revalidate" => found.must_revalidate |= on,
            "proxy-revalidate" => found.proxy_revalidate |= on,
            "must-understand" => found.must_understand |= on,
            "max-age" => found.max_age = seconds,
            "s-maxage" => found.s_maxage = seconds,
            "stale-while-revalidate" => found.stale_while_revalidate = seconds,
            "stale-if-error" => found.stale_if_error = seconds,
            _ => {}
        }
    }
    Some(found)
}

/// Surrogate-Control speaks of `max-age` and `no-store` only (Edge Architecture Specification §3). A directive may
/// be meant for one surrogate alone, `max-age=60;seawall`: for that one it counts before those meant for all.
fn surrogate(head: &HeaderMap) -> Option<Response> {
    let lines = texts(head, "surrogate-control");
    let directives: Vec<_> = lines.iter().flat_map(|line| split(line)).collect();
    if directives.is_empty() {
        return None;
    }
    let mut found = Response::default();
    for ours in [false, true] {
        for (name, value) in &directives {
            // What follows the value, or the name where there is none.
            let said = value.as_deref().unwrap_or(name);
            let (said, target) = said.split_once(';').unwrap_or((said, ""));
            let meant = match target.trim() {
                "" => !ours,
                target => ours && target.eq_ignore_ascii_case(SURROGATE),
            };
            match name.split(';').next().map(str::trim) {
                Some("no-store") if meant => found.no_store = true,
                Some("max-age") if meant => {
                    // `max-age=60+30`: fresh for 60 seconds, and 30 more while stale.
                    let (fresh, stale) = match said.split_once('+') {
                        Some((fresh, stale)) => (fresh, Some(stale)),
                        None => (said, None),
                    };
                    found.max_age = Some(delta_seconds(fresh.trim()).unwrap_or(Duration::ZERO));
                    found.stale_while_revalidate = stale.map(str::trim).and_then(delta_seconds);
                }
                _ => {}
            }
        }
    }
    Some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::directives::Named;
    use http::HeaderName;

    #[test]
    fn a_targeted_field_counts_when_it_is_valid() {
        let check = |section: &str,
                     lines: &[(&'static str, &str)],
                     surrogate: bool,
                     expect: Option<Response>| {
            let head: HeaderMap = lines
                .iter()
                .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
                .collect();
            assert_eq!(read(&head, surrogate), expect, "{section}: {lines:?}");
        };
        let age = |secs| Response {
            max_age: Some(Duration::from_secs(secs)),
            ..Response::default()
        };
        check("9213 2.2", &[], false, None);
        check(
            "9213 2.1",
            &[("cdn-cache-control", "max-age=60")],
            false,
            Some(age(60)),
        );
        check(
            "9213 2.1",
            &[("cdn-cache-control", "max-age=60, no-store")],
            false,
            Some(Response {
                no_store: true,
                ..age(60)
            }),
        );
        check(
            "9213 2.1",
            &[("cdn-cache-control", "no-store=?0, max-age=60")],
            false,
            Some(age(60)),
        );
        check(
            "9213 2.1",
            &[("cdn-cache-control", "no-store=1, max-age=60")],
            false,
            Some(Response {
                no_store: true,
                ..age(60)
            }),
        );
        for unreadable in ["\"60\"", "6.5", "-1", "(1 2)", "?1"] {
            let line = format!("max-age={unreadable}");
            check(
                "4.2.1",
                &[("cdn-cache-control", &line)],
                false,
                Some(age(0)),
            );
        }
        let named = |name: &'static str| Named::Fields(vec![HeaderName::from_static(name)]);
        check(
            "5.2.2.7",
            &[(
                "cdn-cache-control",
                "private=\"set-cookie\", no-cache=\"x\"",
            )],
            false,
            Some(Response {
                private: named("set-cookie"),
                no_cache: named("x"),
                ..Response::default()
            }),
        );
        check(
            "9213 2.2",
            &[("cdn-cache-control", "MAX-AGE=60")],
            false,
            None,
        );
        check(
            "9213 2.2",
            &[("cdn-cache-control", "max-age=60,,")],
            false,
            None,
        );
        check("9213 2.2", &[("cdn-cache-control", "")], false, None);
        check(
            "edge-arch 3",
            &[("surrogate-control", "max-age=60+30")],
            false,
            None,
        );
        let both = Response {
            stale_while_revalidate: Some(Duration::from_secs(30)),
            ..age(60)
        };
        check(
            "edge-arch 3",
            &[("surrogate-control", "content=\"ESI/1.0\", max-age=60+30")],
            true,
            Some(both),
        );
        let surrogate =
            |line: &str, expect| check("edge-arch 3", &[("surrogate-control", line)], true, expect);
        surrogate("max-age=60;seawall", Some(age(60)));
        surrogate("max-age=60;other", Some(Response::default()));
        surrogate("max-age=60;seawall, max-age=1", Some(age(60)));
        surrogate("max-age=1, max-age=60;other", Some(age(1)));
        surrogate("no-store;other", Some(Response::default()));
        surrogate("max-age=x", Some(age(0)));
        check(
            "9213 2.2",
            &[
                ("cdn-cache-control", "max-age=1, x=\"é\""),
                ("surrogate-control", "max-age=60"),
            ],
            true,
            Some(age(60)),
        );
        let kept_out = Response {
            no_store: true,
            ..Response::default()
        };
        surrogate("no-store;Seawall", Some(kept_out));
        check(
            "9213 2.2",
            &[
                ("cdn-cache-control", "max-age=1"),
                ("surrogate-control", "max-age=60"),
            ],
            true,
            Some(age(1)),
        );
    }
}
