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

    fn take(&mut self, value: Option<&str>) {
        let names = value.map(|list| list.split(',').filter_map(|name| name.trim().parse().ok()));
        match (&mut *self, names) {
            (Self::Whole, _) => {}
            (Self::Fields(fields), Some(names)) => fields.extend(names),
            (Self::Absent, Some(names)) => *self = Self::Fields(names.collect()),
            (_, None) => *self = Self::Whole,
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
                    found.max_stale = Some(
                        value
                            .as_deref()
                            .and_then(delta_seconds)
                            .unwrap_or(Duration::MAX),
                    )
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

/// A token or a quoted string, and what comes after it.
fn argument(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start_matches([' ', '\t']).strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                return (
                    value,
                    rest.get(rest.find(',').unwrap_or(rest.len())..)
                        .unwrap_or_default(),
                );
            }
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
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
        let check = |lines: &[&str], expect: Response| {
            assert_eq!(Response::read(&head(lines)), expect, "{lines:?}")
        };
        let age = |secs| Some(Duration::from_secs(secs));
        let empty = Response::default;
        check(
            &["max-age=60"],
            Response {
                max_age: age(60),
                ..empty()
            },
        );
        check(
            &["MAX-AGE=60, Public"],
            Response {
                max_age: age(60),
                public: true,
                ..empty()
            },
        );
        check(
            &["max-age=\"60\""],
            Response {
                max_age: age(60),
                ..empty()
            },
        );
        check(
            &["max-age=60", "no-store"],
            Response {
                max_age: age(60),
                no_store: true,
                ..empty()
            },
        );
        check(
            &["a=\"max-age=1, no-store\", max-age=60"],
            Response {
                max_age: age(60),
                ..empty()
            },
        );
        check(&["a=\"\\\", no-store\""], empty());
        check(
            &["max-age=60, max-age=1"],
            Response {
                max_age: age(1),
                ..empty()
            },
        );
        check(
            &["max-age=a"],
            Response {
                max_age: age(0),
                ..empty()
            },
        );
        check(
            &["max-age=-1"],
            Response {
                max_age: age(0),
                ..empty()
            },
        );
        check(
            &["max-age"],
            Response {
                max_age: age(0),
                ..empty()
            },
        );
        check(
            &["max-age=99999999999999999999"],
            Response {
                max_age: age(1 << 31),
                ..empty()
            },
        );
        check(
            &["private"],
            Response {
                private: Named::Whole,
                ..empty()
            },
        );
        let named = Named::Fields(vec!["a".parse().unwrap(), "b".parse().unwrap()]);
        check(
            &["no-cache=\"A, b\""],
            Response {
                no_cache: named,
                ..empty()
            },
        );
        check(
            &[",,max-age=60,, ,"],
            Response {
                max_age: age(60),
                ..empty()
            },
        );
        check(
            &["=,=\"", "\"", "private=\""],
            Response {
                private: Named::Fields(vec![]),
                ..empty()
            },
        );
    }

    #[test]
    fn a_byte_that_is_no_text_hides_no_directive() {
        let line = http::HeaderValue::from_bytes(b"private, no-store, x=\"\xe9\"").unwrap();
        let found = Response::read(&[(CACHE_CONTROL, line)].into_iter().collect());
        assert_eq!((found.no_store, found.private), (true, Named::Whole));
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        let mut pragma: HeaderMap = [(PRAGMA, "no-cache".parse().unwrap())]
            .into_iter()
            .collect();
        assert!(Request::read(&pragma).no_cache);
        pragma.insert(CACHE_CONTROL, "max-age=5".parse().unwrap());
        assert!(!Request::read(&pragma).no_cache);
    }
}
