//! Which of several stored responses a request selects (RFC 9111 §4.1).

use http::header::{self, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, VARY};

/// The request fields that selected a stored response, and what they said; empty where it does not vary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Box<[(HeaderName, Option<Said>)]>);

/// A field's lines, combined.
type Said = Box<[u8]>;

impl Selection {
    /// What `response` says it depends on, as `request` said it. `Vary: *` is never stored (see storing).
    pub fn new(response: &HeaderMap, request: &HeaderMap) -> Self {
        let lines = response.get_all(VARY).iter();
        let members = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
        let mut names: Vec<_> = members
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .collect();
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self(
            names
                .into_iter()
                .map(|name| (name.clone(), said(request, &name)))
                .collect(),
        )
    }

    /// §4.1: "the presented request header fields nominated by that Vary field value match those fields in
    /// the original request".
    pub fn selects(&self, request: &HeaderMap) -> bool {
        self.0
            .iter()
            .all(|(name, value)| said(request, name) == *value)
    }

    /// The fields, as they were said: `accept-language: de`, or that one was not sent.
    pub fn told(&self) -> Vec<String> {
        let told = self.0.iter().map(|(name, said)| match said {
            Some(said) => format!("{name}: {}", String::from_utf8_lossy(said)),
            None => format!("no {name}"),
        });
        told.collect()
    }

    /// Why a request does not select it: each field that differs, as the request says it.
    pub fn differs(&self, request: &HeaderMap) -> Vec<String> {
        let now = self
            .0
            .iter()
            .map(|(name, _)| (name.clone(), said(request, name)));
        let now = now.zip(&self.0).filter(|(now, stored)| now != *stored);
        Self(now.map(|(now, _)| now).collect()).told()
    }

    /// What it weighs in memory, in bytes.
    pub fn weight(&self) -> usize {
        self.0
            .iter()
            .map(|(_, value)| 64 + value.as_ref().map_or(0, |value| value.len()))
            .sum()
    }
}

/// Fields that are lists by their definition: white space beside a comma means nothing in them. Of any other field a
/// comma may be part of what it says, and so is what stands beside it.
const LISTS: [HeaderName; 11] = [
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    header::CACHE_CONTROL,
    header::EXPECT,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::TE,
    header::VIA,
    HeaderName::from_static("prefer"),
    HeaderName::from_static("sec-ch-ua"),
];

/// A field's lines combined (RFC 9110 §5.3), without what means nothing in it.
fn said(request: &HeaderMap, name: &HeaderName) -> Option<Said> {
    let lines = request.get_all(name).iter().map(|line| line.as_bytes());
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return None;
    }
    let combined = lines.join(&b", "[..]);
    let said = match name {
        &ACCEPT_LANGUAGE | &ACCEPT_ENCODING => preferences(&combined).join(&b","[..]),
        name if LISTS.contains(name) || are_numbers(&combined) => without_blanks(&combined),
        _ => combined,
    };
    Some(said.into())
}

/// Of a field that nobody here knows, numbers with commas between them are taken for the list that they look like. Text
/// never is: `Hello, World` is not `Hello,World`.
fn are_numbers(said: &[u8]) -> bool {
    let (mut digits, mut others) = (0, 0);
    for byte in said {
        match byte {
            b'0'..=b'9' => digits += 1,
            b',' | b' ' | b'\t' => {}
            _ => others += 1,
        }
    }
    digits > 0 && others == 0
}

/// §4.1: "adding or removing whitespace in the header field value, where allowed in the header field's syntax": beside
/// the commas of a list (RFC 9110 §5.6.1), but not within a quoted string.
fn without_blanks(list: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(list.len());
    let (mut quoted, mut escaped) = (false, false);
    for &byte in list {
        let blank = matches!(byte, b' ' | b'\t');
        if !quoted && blank && matches!(kept.last(), None | Some(b',')) {
            continue;
        }
        if !quoted && byte == b',' {
            let end = kept.trim_ascii_end().len();
            kept.truncate(end);
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
        kept.push(byte);
    }
    if !quoted {
        let end = kept.trim_ascii_end().len();
        kept.truncate(end);
    }
    kept
}

/// §4.1 lets a cache normalise "in a way that is known to have identical semantics": case and white space mean
/// nothing in language tags and codings (RFC 9110 §8.5.1, §8.4.1), nor does an empty member (§5.6.1.2). Their order
/// may where weights make a list of preferences of it, and is kept there; without weights it "cannot be relied upon"
/// (§12.5.4).
fn preferences(list: &[u8]) -> Vec<Vec<u8>> {
    let spelled = list.split(|b| *b == b',').map(|member| {
        let dark = member.iter().filter(|byte| !byte.is_ascii_whitespace());
        dark.map(u8::to_ascii_lowercase).collect()
    });
    let mut spelled: Vec<Vec<u8>> = spelled.collect();
    spelled.retain(|member| !member.is_empty());
    if !spelled.iter().any(|member| member.contains(&b';')) {
        spelled.sort_unstable();
        spelled.dedup();
    }
    spelled
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::testing::head;

    #[test]
    fn the_nominated_fields_must_say_the_same() {
        let check = |section: &str, vary: &str, stored: &str, now: &str, expect: bool| {
            let selection = Selection::new(&head(vary), &head(stored));
            assert_eq!(
                selection.selects(&head(now)),
                expect,
                "{section}: {vary} / {stored} / {now}"
            );
        };
        check("4.1", "", "a: 1", "a: 2", true);
        check("4.1", "vary: A", "a: 1", "a: 1", true);
        check("4.1", "vary: A", "a: 1", "a: 2", false);
        check("4.1", "vary: a", "", "a: 2", false);
        check("4.1", "vary: a", "", "b: 2", true);
        check("4.1", "vary: a, b", "a: 1|b: 2", "a: 1|b: 3", false);
        check(
            "9110 5.3",
            "vary: a|vary: b",
            "a: 1|b: 2",
            "a: 1|b: 3",
            false,
        );
        check("9110 5.3", "vary: a", "a: 1, 2", "a: 1|a: 2", true);
        check("9110 5.6.1", "vary: a", "a: 1 , 2", "a: 1,2", true);
        // What nobody knows to be a list is none.
        let text = |said: &str| format!("x-search: {said}");
        let search = |stored: &str, now: &str, expect| {
            check("4.1", "vary: x-search", &text(stored), &text(now), expect);
        };
        search("Hello, World", "Hello,World", false);
        search("a , b", "a, b", false);
        search("1 2", "12", false);
        search("1;  2", "1; 2", false);
        search("Hello, World", "Hello, World", true);
        let accept = |section: &str, stored: &str, now: &str, expect| {
            let line = |said: &str| format!("accept: {said}");
            check(section, "vary: accept", &line(stored), &line(now), expect);
        };
        accept("9110 5.6.1", "a/b , c/d", "a/b,c/d", true);
        accept("9110 5.6.4", "a/b;c=\"1 , 2\"", "a/b;c=\"1,2\"", false);
        let (quoted, other) = ("a/b;c=\"\\\" , \" , d/e", "a/b;c=\"\\\" , \",d/e");
        accept("9110 5.6.4", quoted, other, true);
        let cookie = "vary: cookie";
        check("6265 4.2", cookie, "cookie: a=1, 2", "cookie: a=1,2", false);
        check("9110 5.6.1", "vary: ,,a,", "a: 1", "a: 2", false);
        let language = |section: &str, stored: &str, now: &str, expect| {
            let line = |said: &str| format!("accept-language: {said}");
            check(
                section,
                "vary: accept-language",
                &line(stored),
                &line(now),
                expect,
            );
        };
        language("9110 8.5.1", "en, de", "eN,De", true);
        language("9110 12.5.4", "en, de", "de, en", true);
        language("9110 5.6.1", "en, de", "de, en, ,en", true);
        language("9110 12.4.2", "en, de;q=0.5", "en,DE; q=0.5", true);
        language(
            "9110 12.5.4",
            "en;q=0.5, de;q=0.5",
            "de;q=0.5, en;q=0.5",
            false,
        );
        language("4.1", "en, de", "en", false);
        let coding = "accept-encoding: gzip, br";
        check(
            "9110 8.4.1",
            "vary: accept-encoding",
            coding,
            "accept-encoding: BR,gzip",
            true,
        );
        check(
            "4.1",
            "vary: accept-encoding",
            "accept-encoding: ,",
            "",
            false,
        );
        check("4.1", "vary: a", "a: x, y", "a: y, x", false);
        check("4.1", "vary: a", "a: x", "a: X", false);
    }

    #[test]
    fn a_request_that_selects_another_is_told_what_differs() {
        let check = |section: &str, now: &str, expect: &[&str]| {
            let selection = Selection::new(&head("vary: a, b"), &head("a: 1"));
            assert_eq!(selection.differs(&head(now)), expect, "{section}: {now}");
        };
        check("4.1", "a: 1", &[]);
        check("4.1", "a: 2", &["a: 2"]);
        check("4.1", "b: 3", &["no a", "b: 3"]);
    }
}
