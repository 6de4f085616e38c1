//! Reading `Cache-Control`, of requests and of responses (RFC 9111 §5.2).

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, PRAGMA};

use super::fields::texts;

/// §1.2.2: "a recipient … SHOULD use 2147483648 … or the greatest positive integer it can represent".
const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// The directives of one response. A time that was given but cannot be read is zero: §4.2.1 encourages a
/// cache to take responses with invalid freshness information as stale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub no_store: bool,
    pub no_cache: Named,
    pub private: Named,
    pub public: bool,
    pub max_age: Option<Duration>,
    pub s_maxage: Option<Duration>,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    /// RFC 5861.
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
}

/// A directive that may name the fields it is meant for: `private`, `private="set-cookie"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Named {
    #[default]
    Absent,
    Whole,
    Fields(Vec<HeaderName>),
}

/// The directives of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub no_store: bool,
    pub no_cache: bool,
    pub only_if_cached: bool,
    pub max_age: Option<Duration>,
    pub min_fresh: Option<Duration>,
    /// `Some(Duration::MAX)`: any staleness will do.
    pub max_stale: Option<Duration>,
}

impl Response {
    pub fn read(head: &HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in texts(head, CACHE_CONTROL)
            .iter()
            .flat_map(|line| split(line))
        {
            found.take(&name, value.as_deref());
        }
        found
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache.take(value),
            "private" => self.private.take(value),
            "public" => self.public = true,
            "max-age" => shorter(&mut self.max_age, value),
            "s-maxage" => shorter(&mut self.s_maxage, value),
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "stale-while-revalidate" => shorter(&mut self.stale_while_revalidate, value),
            "stale-if-error" => shorter(&mut self.stale_if_error, value),
            // §5.2.3: "A cache MUST ignore unrecognized cache directives."
            _ => {}
        }
    }
}

impl Named {
    pub fn is_absent(&self) -> bool {
        *self == Self::Absent
    }

    /// §5.2.2.7, §5.2.2.4: "The qualified form of the directive is often handled by caches as if an unqualified …
    /// directive was received". So it is here where it names nothing, or something that cannot be a field.
    pub(super) fn take(&mut self, value: Option<&str>) {
        let list = value.unwrap_or_default().split(',').map(str::trim);
        let names: Result<Vec<HeaderName>, _> = list
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect();
        match (&mut *self, names) {
            (Self::Absent, Ok(names)) if !names.is_empty() => *self = Self::Fields(names),
            (Self::Fields(fields), Ok(names)) if !names.is_empty() => fields.extend(names),
            _ => *self = Self::Whole,
        }
    }
}

impl Request {
    pub fn read(head: &HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in texts(head, CACHE_CONTROL)
            .iter()
            .flat_map(|line| split(line))
        {
            match name.as_str() {
                "no-store" => found.no_store = true,
                "no-cache" => found.no_cache = true,
                "only-if-cached" => found.only_if_cached = true,
                "max-age" => shorter(&mut found.max_age, value.as_deref()),
                "min-fresh" => found.min_fresh = value.as_deref().and_then(delta_seconds),
                "max-stale" => {
                    found.max_stale = match value {
                        Some(value) => delta_seconds(&value),
                        None => Some(Duration::MAX),
                    }
                }
                _ => {}
            }
        }
        // §5.4: Pragma: no-cache counts where there is no Cache-Control.
        if !head.contains_key(CACHE_CONTROL) {
            let pragma = texts(head, PRAGMA);
            found.no_cache = pragma
                .iter()
                .flat_map(|line| split(line))
                .any(|(name, _)| name == "no-cache");
        }
        found
    }
}

/// §4.2.1: "if there are duplicate … directives … either the first occurrence should be used or the response
/// should be considered stale": the shortest is both safe and independent of order.
fn shorter(slot: &mut Option<Duration>, value: Option<&str>) {
    let read = value.and_then(delta_seconds).unwrap_or(Duration::ZERO);
    *slot = Some(slot.map_or(read, |before| before.min(read)));
}

/// §1.2.2: digits only.
pub fn delta_seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(
        text.parse()
            .unwrap_or(DELTA_SECONDS_MAX)
            .min(DELTA_SECONDS_MAX),
    ))
}

/// `a, b=1, c="x, y"` -> (a, None) (b, 1) (c, x, y). Names come lower-case; a value's quotes and escapes are undone.
pub fn split(line: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([',', ' ', '\t']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(['=', ',']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let name = name.trim().to_ascii_lowercase();
            let value = match after.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = argument(after);
                    rest = after;
                    Some(value)
                }
                None => {
                    rest = after;
                    None
                }
            };
            if !name.is_empty() {
                return Some((name, value));
            }
        }
    })
}

/// A token or a quoted string, and what comes after it. A quote that is never closed quotes nothing: it must not hide
/// the directives behind it.
fn argument(text: &str) -> (String, &str) {
    let (value, rest) = quoted(text).unwrap_or_else(|| {
        let (value, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
        (value.trim().to_owned(), rest)
    });
    let next = rest.find(',').unwrap_or(rest.len());
    (value, rest.get(next..).unwrap_or_default())
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let quoted = text.trim_start_matches([' ', '\t']).strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, quoted.get(at + 1..)?)),
            (_, '\\') => value.push(chars.next()?.1),
            (_, c) => value.push(c),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (CACHE_CONTROL, line.parse().unwrap()))
            .collect()
    }

    #[test]
    fn directives_are_read_across_lines_quotes_and_cases() {
        let check = |section: &str, lines: &[&str], expect: Response| {
            assert_eq!(Response::read(&head(lines)), expect, "{section}: {lines:?}")
        };
        let none = Response::default;
        let max_age = |secs| Response {
            max_age: Some(Duration::from_secs(secs)),
            ..none()
        };
        let private = |private| Response { private, ..none() };
        let fields = |names: &[&str]| {
            let names = names.iter().map(|name| name.parse().unwrap());
            Named::Fields(names.collect())
        };
        let public = Response {
            public: true,
            ..max_age(60)
        };
        let no_store = Response {
            no_store: true,
            ..max_age(60)
        };
        check("5.2.2.1", &["max-age=60"], max_age(60));
        check("5.2", &["MAX-AGE=60, Public"], public);
        check("5.2", &["max-age=\"60\""], max_age(60));
        check(
            "5.2",
            &["a=\"max-age=1, no-store\", max-age=60"],
            max_age(60),
        );
        check("5.2", &["a=\"\\\", no-store\""], none());
        // Not closed, it quotes nothing.
        check(
            "9110 5.6.4",
            &["a=\"b, no-store, max-age=60"],
            no_store.clone(),
        );
        check("9110 5.6.4", &["a=\"b\\\", max-age=60"], max_age(60));
        check("9110 5.6.4", &["=,=\"", "\""], none());
        check("9110 5.3", &["max-age=60", "no-store"], no_store);
        check("9110 5.6.1", &[",,max-age=60,, ,"], max_age(60));
        check("5.2.3", &["community=\"UCI\", x, max-age=60"], max_age(60));
        check("4.2.1", &["max-age=60, max-age=1"], max_age(1));
        check("4.2.1", &["max-age=a"], max_age(0));
        check("4.2.1", &["max-age=-1"], max_age(0));
        check("4.2.1", &["max-age"], max_age(0));
        check("1.2.2", &["max-age=99999999999999999999"], max_age(1 << 31));
        check("5.2.2.7", &["private"], private(Named::Whole));
        check(
            "5.2.2.7",
            &["private=\"A,, b\""],
            private(fields(&["a", "b"])),
        );
        check(
            "5.2.2.7",
            &["private=a", "private=b"],
            private(fields(&["a", "b"])),
        );
        check("5.2.2.7", &["private=a, private"], private(Named::Whole));
        check("5.2.2.7", &["private, private=a"], private(Named::Whole));
        check("5.2.2.7", &["private=\"\""], private(Named::Whole));
        check("5.2.2.7", &["private=\"a, b c\""], private(Named::Whole));
        check("5.2.2.7", &["private=\""], private(Named::Whole));
        let no_cache = fields(&["a"]);
        check(
            "5.2.2.4",
            &["no-cache=\"A\""],
            Response { no_cache, ..none() },
        );
    }

    #[test]
    fn a_byte_that_is_no_text_hides_no_directive() {
        let line = http::HeaderValue::from_bytes(b"private, no-store, x=\"\xe9\"").unwrap();
        let found = Response::read(&[(CACHE_CONTROL, line)].into_iter().collect());
        assert_eq!((found.no_store, found.private), (true, Named::Whole));
    }

    #[test]
    fn a_client_says_what_it_wants() {
        let check = |section: &str, cache_control: Option<&str>, pragma: &str, expect: Request| {
            let mut head: HeaderMap = [(PRAGMA, pragma.parse().unwrap())].into_iter().collect();
            head.extend(cache_control.map(|line| (CACHE_CONTROL, line.parse().unwrap())));
            let found = Request::read(&head);
            assert_eq!(found, expect, "{section}: {cache_control:?} {pragma}");
        };
        let none = Request::default;
        let no_cache = Request {
            no_cache: true,
            ..none()
        };
        let no_store = Request {
            no_store: true,
            ..none()
        };
        let only_if_cached = Request {
            only_if_cached: true,
            ..none()
        };
        let max_age = |secs| Request {
            max_age: Some(Duration::from_secs(secs)),
            ..none()
        };
        let max_stale = |max_stale| Request {
            max_stale: Some(max_stale),
            ..none()
        };
        let min_fresh = Request {
            min_fresh: Some(Duration::from_secs(5)),
            ..none()
        };
        check("5.2.1.1", Some("max-age=5"), "", max_age(5));
        check("5.2.1.1", Some("max-age=soon"), "", max_age(0));
        let five = max_stale(Duration::from_secs(5));
        check("5.2.1.2", Some("max-stale=5"), "", five);
        check("5.2.1.2", Some("max-stale"), "", max_stale(Duration::MAX));
        check("5.2.1.2", Some("max-stale=long"), "", none());
        check("5.2.1.3", Some("min-fresh=5"), "", min_fresh);
        check("5.2.1.3", Some("min-fresh=long"), "", none());
        check("5.2.1.4", Some("no-cache"), "", no_cache);
        check("5.2.1.5", Some("No-Store"), "", no_store);
        check("5.2.1.7", Some("only-if-cached"), "", only_if_cached);
        check("5.2.3", Some("x-only-if-cached, y=1"), "", none());
        check("5.4", None, "x, No-Cache", no_cache);
        check("5.4", None, "x=no-cache", none());
        check("5.4", Some("max-age=5"), "no-cache", max_age(5));
    }
}
