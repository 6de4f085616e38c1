//! Which fields a hop keeps to itself, and which a client may not speak to an origin through.

use http::header::{self, HeaderMap, HeaderName};
use sfv::{List, ListEntry, Parser};

/// RFC 9110 §7.6.1: "Intermediaries MUST … remove or replace fields" of the connection.
const HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// RFC 9111 §3.1: fields of the hop's own authentication are not stored either.
const PROXY_AUTHENTICATION: [HeaderName; 4] = [
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy"),
];

/// Fields by which a stranger would tell the origin another host, path, scheme or method than the key says
/// (web cache poisoning), or another address than its own: never forwarded.
const UNKEYED: [&str; 19] = [
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    FORWARDED,
    "front-end-https",
    "proxy",
    "surrogate-capability",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-url-scheme",
];
/// And all that begin like this: who asked for what, before somebody changed it.
const UNKEYED_BEGINNINGS: [&str; 3] = ["x-forwarded", "x-original-", "x-rewrite-"];

/// RFC 7239.
pub const FORWARDED: &str = "forwarded";
/// Who asks, as this edge tells it to the origin.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Fields that may not be nominated away by `Connection`: they are how this hop speaks of a request.
const PROTECTED: [&str; 10] = [
    "authorization",
    "cache-control",
    "cdn-loop",
    "content-length",
    "content-type",
    "cookie",
    FORWARDED,
    "host",
    "transfer-encoding",
    "via",
];

/// Removes what belongs to one connection, and what `Connection` names.
pub fn strip_hop(head: &mut HeaderMap) {
    for name in nominated(head) {
        head.remove(name);
    }
    strip(head, is_hop);
}

/// Whether there is anything that [`strip_hop`] takes away.
pub fn has_hop(head: &HeaderMap) -> bool {
    head.keys().any(is_hop)
}

fn is_hop(name: &HeaderName) -> bool {
    HOP.contains(name) || PROXY_AUTHENTICATION.contains(name)
}

/// Removes what is unwanted: few heads have any of it, and each is looked through once.
pub fn strip(head: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted = head.keys().filter(|name| is_unwanted(name));
    let names: Vec<HeaderName> = unwanted.cloned().collect();
    for name in names {
        head.remove(name);
    }
}

/// What `Connection` names, and the hop's own fields, but not those that frame the message: where a message only
/// passes through, whoever frames it anew writes these.
pub fn of_hop_but_framing(head: &HeaderMap) -> Vec<HeaderName> {
    let framing = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::CONTENT_LENGTH,
    ];
    let mut names = nominated(head);
    names.extend(HOP.iter().chain(&PROXY_AUTHENTICATION).cloned());
    names.retain(|name| !framing.contains(name));
    names
}

/// Removes what no key covers.
pub fn strip_unkeyed(head: &mut HeaderMap) {
    strip(head, |name| {
        UNKEYED.contains(&name.as_str()) || begins_unkeyed(name)
    });
}

fn begins_unkeyed(name: &HeaderName) -> bool {
    let mut beginnings = UNKEYED_BEGINNINGS.iter();
    beginnings.any(|beginning| name.as_str().starts_with(beginning))
}

/// Whether `Connection` names a field it must not (answered 400).
pub fn nominates_protected(head: &HeaderMap) -> bool {
    nominated(head)
        .iter()
        .any(|name| PROTECTED.contains(&name.as_str()) || begins_unkeyed(name))
}

fn nominated(head: &HeaderMap) -> Vec<HeaderName> {
    let lines = head.get_all(header::CONNECTION).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    members
        .filter_map(|member| HeaderName::from_bytes(member.trim_ascii()).ok())
        .collect()
}

/// The lines of a field as text. Bytes that are no text become �: what stands around them still counts.
pub fn texts(head: &HeaderMap, name: impl header::AsHeaderName) -> Vec<String> {
    let lines = head.get_all(name).iter();
    lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect()
}

/// Whether it is between an origin and its caches, and goes no further: the tags, and what is said to surrogates alone.
pub fn is_for_caches(name: &HeaderName) -> bool {
    TAG_FIELDS.contains(&name.as_str()) || name == "surrogate-control"
}

/// The tags of a response, in the three habits: `Surrogate-Key: a b`, `Cache-Tag: a,b`, `xkey: a b`.
pub const TAG_FIELDS: [&str; 3] = ["surrogate-key", "cache-tag", "xkey"];
/// Tags of one object.
pub const TAGS_MAX: usize = 1_000;
/// Its groups (RFC 9875), of which there may be as many, included; and those it had before, where it is made of what was
/// stored.
pub const TAGS_AND_GROUPS_MAX: usize = 2 * TAGS_MAX;
/// Bytes of all tags of one object.
pub const TAG_BYTES_MAX: usize = 16 * 1024;

/// The tags of a response, and whether some were left out because there are too many.
pub fn tags(head: &HeaderMap) -> (Vec<String>, bool) {
    let lines: Vec<String> = TAG_FIELDS
        .iter()
        .flat_map(|name| texts(head, *name))
        .collect();
    let all = lines
        .iter()
        .flat_map(|line| line.split([' ', ',', '\t']))
        .filter(|tag| !tag.is_empty());
    let (mut tags, mut bytes) = (Vec::new(), 0);
    for tag in all {
        if tags.iter().any(|known| known == tag) {
            continue;
        }
        bytes += tag.len();
        if tags.len() == TAGS_MAX || bytes > TAG_BYTES_MAX {
            return (tags, true);
        }
        tags.push(tag.to_owned());
    }
    (tags, false)
}

/// The groups that `Cache-Groups` or `Cache-Group-Invalidation` names (RFC 9875): a structured list of strings,
/// ignored whole where it is none. And whether there are more than tags are allowed.
pub fn groups(head: &HeaderMap, name: &str) -> (Vec<String>, bool) {
    if !head.contains_key(name) {
        return (Vec::new(), false);
    }
    let text = texts(head, name).join(", ");
    let list: List = Parser::new(&text).parse().unwrap_or_default();
    let strings = list.iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => item
            .bare_item
            .as_string()
            .map(|group| group.as_str().to_owned()),
        ListEntry::InnerList(_) => None,
    });
    let groups: Vec<String> = strings.take(TAGS_MAX + 1).collect();
    let many = groups.len() > TAGS_MAX;
    (groups, many)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_hop_keeps_its_own_fields_and_those_it_names() {
        let check =
            |section: &str, lines: &[(&'static str, &str)], kept: &[(&'static str, &str)]| {
                let mut found = head(lines);
                strip_hop(&mut found);
                assert_eq!(found, head(kept), "{section}: {lines:?}");
            };
        let other = ("x-other", "1");
        check("3.1", &[other, ("trailer", "x-sum")], &[other]);
        check("3.1", &[other, ("proxy-authenticate", "Basic")], &[other]);
        check(
            "3.1",
            &[other, ("proxy-authorization", "Basic a")],
            &[other],
        );
        let information = ("proxy-authentication-info", "a");
        check("3.1", &[other, information], &[other]);
        // Anything else is kept, known or not: "Caches MUST include all received response header fields".
        check(
            "3.1",
            &[other, ("warning", "199 - a")],
            &[other, ("warning", "199 - a")],
        );
        let named = [("connection", "x-mine, close"), ("x-mine", "1"), other];
        check("9110 7.6.1", &named, &[other]);
        let two = [
            ("connection", "a"),
            ("connection", ",b"),
            ("a", "1"),
            ("b", "1"),
        ];
        check("9110 7.6.1", &two, &[]);
        for name in [
            "te",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            check("9110 7.6.1", &[other, (name, "x")], &[other]);
        }
        let named = of_hop_but_framing(&head(&[("connection", "x-mine, upgrade")]));
        assert!(named.contains(&"x-mine".parse().unwrap()) && !named.contains(&header::UPGRADE));
    }

    #[test]
    fn a_client_may_not_have_fields_taken_away_that_others_rely_on() {
        let check = |section: &str, named: &str, expect: bool| {
            let found = nominates_protected(&head(&[("connection", named)]));
            assert_eq!(found, expect, "{section}: {named}");
        };
        check("9110 7.6.1", "Cookie", true);
        check("9110 7.6.1", "close,\tAuthorization", true);
        check("9110 7.6.1", "cache-control", true);
        check("9110 7.6.1", "close, x-mine", false);
    }

    #[test]
    fn tags_are_read_in_three_habits_and_bounded() {
        let found = head(&[
            ("surrogate-key", "a b"),
            ("cache-tag", "c, a"),
            ("xkey", "d"),
        ]);
        assert_eq!(
            tags(&found),
            (["a", "b", "c", "d"].map(String::from).to_vec(), false)
        );
        let many: Vec<_> = (0..=TAGS_MAX).map(|n| n.to_string()).collect();
        assert!(tags(&head(&[("cache-tag", &many.join(","))])).1);
        let long = "a".repeat(TAG_BYTES_MAX + 1);
        assert!(tags(&head(&[("cache-tag", &long)])).1);
    }

    #[test]
    fn groups_are_a_list_of_strings_or_nothing() {
        let check = |section: &str, line: &str, expect: &[&str]| {
            let found = groups(&head(&[("cache-groups", line)]), "cache-groups").0;
            assert_eq!(found, expect, "{section}: {line}");
        };
        check("9875 2", "\"a\", \"b c\"", &["a", "b c"]);
        check("9875 2", "\"a\";x=1, token, 5, (\"b\")", &["a"]);
        check("9651 4.2", "\"a", &[]);
        check("9651 4.2", "\"a\",", &[]);
        check("9651 4.2", "", &[]);
    }
}
