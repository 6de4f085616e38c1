//! What an unsafe method kills (RFC 9111 §4.4).

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use crate::key::Key;
use seawall_config::scope;

/// Whether an answer invalidates what is stored: "a non-error response to a request with an unsafe method",
/// and a method we do not know may be unsafe.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    let safe = matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    !safe && (status.is_success() || status.is_redirection())
}

/// The keys it invalidates: the request's own, and those its Location and Content-Location name, "if and
/// only if the origin … is the same".
pub fn invalidated(key: &Key, response: &HeaderMap) -> Vec<Key> {
    let mut keys = vec![key.clone()];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let reference = response.get(name).and_then(|value| value.to_str().ok());
        keys.extend(reference.and_then(|reference| resolve(key, reference)));
    }
    keys
}

/// Whether Content-Location, said once, is the request's own URL (RFC 9110 §8.7).
pub fn is_located(key: &Key, response: &HeaderMap) -> bool {
    let mut lines = response.get_all(header::CONTENT_LOCATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let named = line.to_str().ok().and_then(|line| resolve(key, line));
    named.as_ref() == Some(key)
}

/// A URI reference on the key's own origin; None where it leads elsewhere.
fn resolve(key: &Key, reference: &str) -> Option<Key> {
    let reference = reference.split('#').next().unwrap_or_default();
    // RFC 3986 §4.1: a colon before anything else makes a scheme of what stands before it.
    let ends = reference.find([':', '/', '?']);
    let has_scheme = ends.is_some_and(|at| {
        reference
            .get(at..)
            .is_some_and(|rest| rest.starts_with(':'))
    });
    if has_scheme || reference.starts_with("//") {
        let target = scope::target(reference).ok()?;
        let scheme = target.scheme.unwrap_or(key.scheme());
        let same =
            scheme == key.scheme() && scope::host(&target.host, Some(scheme)).ok()? == key.host();
        return same.then(|| key.sibling(&target.path)).flatten();
    }
    // RFC 3986 §5.2.2: what the reference leaves out is the base's.
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let folder = key.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = match (path, query) {
        ("", None) => key.target().to_owned(),
        ("", Some(query)) => format!("{}?{query}", key.path()),
        (path, query) => {
            let absolute = path.starts_with('/');
            let merged = if absolute {
                path.to_owned()
            } else {
                format!("{folder}/{path}")
            };
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            format!("{}{query}", without_dots(&merged))
        }
    };
    key.sibling(&target)
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
        // A dot segment at the end leaves the slash before it.
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seawall_config::Revision;
    use seawall_config::scope::Scheme;

    #[test]
    fn only_what_lies_on_the_same_origin_is_invalidated() {
        let key = Key::new(Revision(1), Scheme::Http, "a:81", "/b/c?d").unwrap();
        let check = |section: &str, location: &str, expect: Option<&str>| {
            let head: HeaderMap = [(header::LOCATION, location.parse().unwrap())]
                .into_iter()
                .collect();
            let found = invalidated(&key, &head);
            assert_eq!(found.first(), Some(&key));
            assert_eq!(
                found.get(1).map(Key::target),
                expect,
                "{section}: {location}"
            );
        };
        check("4.4", "/x?y", Some("/x?y"));
        check("3986 5.2", "x", Some("/b/x"));
        check("3986 5.2", "./x", Some("/b/x"));
        check("3986 5.2", "../x?y", Some("/x?y"));
        check("3986 5.2", "../../x", Some("/x"));
        check("3986 5.2", "/x/./y/../z/..", Some("/x/"));
        check("3986 5.2", "?y", Some("/b/c?y"));
        check("3986 5.2", "", Some("/b/c?d"));
        check("3986 5.2", "x#f", Some("/b/x"));
        check("4.4", "http://a:81/x#f", Some("/x"));
        check("4.4", "//A:81/x", Some("/x"));
        check("4.4", "/x?next=http://b/", Some("/x?next=http://b/"));
        check("4.4", "?a:b", Some("/b/c?a:b"));
        check("4.4", "mailto:x", None);
        check("4.4", "https://a:81/x", None);
        check("4.4", "http://a/x", None);
        check("4.4", "http://b:81/x", None);
    }

    #[test]
    fn a_content_location_may_be_the_url_itself() {
        let key = Key::new(Revision(1), Scheme::Http, "a:81", "/b/c?d").unwrap();
        let check = |section: &str, lines: &[&str], expect: bool| {
            let lines = lines.iter().map(|line| line.parse().unwrap());
            let head = lines.map(|line| (header::CONTENT_LOCATION, line)).collect();
            assert_eq!(is_located(&key, &head), expect, "{section}: {head:?}");
        };
        check("9110 8.7", &["http://a:81/b/c?d"], true);
        check("9110 8.7", &["/b/c?d"], true);
        check("9110 8.7", &["c?d"], true);
        check("9110 8.7", &[""], true);
        check("9110 8.7", &["/b/c"], false);
        check("9110 8.7", &["/b/c?e"], false);
        check("9110 8.7", &["https://a:81/b/c?d"], false);
        check("9110 8.7", &["http://a/b/c?d"], false);
        check("9110 8.7", &["http://[/"], false);
        check("9110 8.7", &["/b/c?d", "/b/c?d"], false);
        check("9110 8.7", &[], false);
    }

    #[test]
    fn errors_and_safe_methods_invalidate_nothing() {
        let check = |section: &str, method: &str, status: u16, expect: bool| {
            let (method, status) = (
                method.parse().unwrap(),
                StatusCode::from_u16(status).unwrap(),
            );
            assert_eq!(
                invalidates(&method, status),
                expect,
                "{section}: {method} {status}"
            );
        };
        check("4.4", "POST", 200, true);
        check("4.4", "POST", 303, true);
        check("4.4", "DELETE", 204, true);
        check("4.4", "FOO", 200, true);
        check("4.4", "POST", 404, false);
        check("4.4", "POST", 500, false);
        check("4.4", "POST", 199, false);
        check("4.4", "GET", 200, false);
        check("4.4", "HEAD", 200, false);
        check("4.4", "TRACE", 200, false);
        check("4.4", "OPTIONS", 200, false);
    }
}
