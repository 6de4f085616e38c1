//! What the tables of the rules are written in.

use http::HeaderMap;

/// `name: value | name: value`, in order.
#[allow(clippy::unwrap_used)]
pub fn head(text: &str) -> HeaderMap {
    let lines = text.split('|').filter_map(|line| line.split_once(": "));
    let parsed = |(name, value): (&str, &str)| {
        let name: http::HeaderName = name.trim().parse().unwrap();
        (name, value.trim().parse().unwrap())
    };
    lines.map(parsed).collect()
}
