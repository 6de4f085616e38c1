//! Parts of a stored response (RFC 9110 §14).

use http::header::{self, HeaderMap};

use super::validation::strongly_equal;

/// What a request gets of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: nothing else was asked for, or what was asked for is ignored.
    Whole,
    /// 206, from `first` to `last`, both counted.
    Bytes { first: u64, last: u64 },
    /// 416.
    Unsatisfiable,
}

/// One byte range as a client spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    FromTo(u64, u64),
    From(u64),
    /// The last so many bytes.
    Suffix(u64),
}

/// What `request` gets of a representation of `total` bytes with the head `stored`.
pub fn part(request: &HeaderMap, stored: &HeaderMap, total: u64) -> Part {
    match asked(request) {
        // §14.2: "A server that supports range requests MAY ignore … a Range header field": several come later.
        Some(asked) if if_range(request, stored) => asked.of(total),
        _ => Part::Whole,
    }
}

/// The one range a request asks for; None where it asks for none, for several, or cannot be read.
pub fn asked(request: &HeaderMap) -> Option<Asked> {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let (unit, set) = line.to_str().ok()?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    match set.trim().split_once('-')? {
        ("", last) => number(last).map(Asked::Suffix),
        (first, "") => number(first).map(Asked::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // §14.1.1: "An int-range … is invalid if the last-pos value is … less than the first-pos".
            (first <= last).then_some(Asked::FromTo(first, last))
        }
    }
}

impl Asked {
    pub fn of(self, total: u64) -> Part {
        let end = total.saturating_sub(1);
        match self {
            _ if total == 0 => Part::Unsatisfiable,
            Self::Suffix(0) => Part::Unsatisfiable,
            Self::Suffix(length) => Part::Bytes {
                first: total.saturating_sub(length),
                last: end,
            },
            Self::From(first) | Self::FromTo(first, _) if first > end => Part::Unsatisfiable,
            Self::From(first) => Part::Bytes { first, last: end },
            Self::FromTo(first, last) => Part::Bytes {
                first,
                last: last.min(end),
            },
        }
    }
}

/// RFC 9110 §13.1.5: a range counts only if the client's part is of this very representation.
fn if_range(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    let (condition, more) = (lines.next(), lines.next());
    let Some(condition) = condition else {
        return true;
    };
    if more.is_some() {
        return false;
    }
    let is_etag = condition.as_bytes().contains(&b'"');
    match (
        is_etag,
        stored.get(header::ETAG),
        stored.get(header::LAST_MODIFIED),
    ) {
        (true, Some(etag), _) => strongly_equal(condition.as_bytes(), etag.as_bytes()),
        // "exactly match"; whether the date is strong we cannot know before it is a minute old (§8.8.2.2).
        (false, _, Some(modified)) => condition == modified,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        let check = |range: &str, total: u64, expect: Part| {
            let request: HeaderMap = [(header::RANGE, range.parse().unwrap())]
                .into_iter()
                .collect();
            assert_eq!(
                part(&request, &HeaderMap::new(), total),
                expect,
                "{range} of {total}"
            );
        };
        let bytes = |first, last| Part::Bytes { first, last };
        check("bytes=0-0", 10, bytes(0, 0));
        check("bytes=2-5", 10, bytes(2, 5));
        check("bytes=2-99", 10, bytes(2, 9));
        check("bytes=2-", 10, bytes(2, 9));
        check("bytes=-3", 10, bytes(7, 9));
        check("bytes=-30", 10, bytes(0, 9));
        check("Bytes = 2-5", 10, bytes(2, 5));
        check("bytes=-0", 10, Part::Unsatisfiable);
        check("bytes=10-", 10, Part::Unsatisfiable);
        check("bytes=0-", 0, Part::Unsatisfiable);
        check("bytes=5-2", 10, Part::Whole);
        check("bytes=a-2", 10, Part::Whole);
        check("bytes=+1-2", 10, Part::Whole);
        check("bytes=0-1,3-4", 10, Part::Whole);
        check("lines=0-1", 10, Part::Whole);
        check("bytes=99999999999999999999-", 10, Part::Whole);
        check("bytes=18446744073709551615-", 10, Part::Unsatisfiable);
    }

    #[test]
    fn if_range_needs_the_very_same_representation() {
        let check = |condition: &str, stored: &[(header::HeaderName, &str)], expect: bool| {
            let range = (header::RANGE, "bytes=0-0".parse().unwrap());
            let request: HeaderMap = [range, (header::IF_RANGE, condition.parse().unwrap())]
                .into_iter()
                .collect();
            let stored: HeaderMap = stored
                .iter()
                .map(|(n, v)| (n.clone(), v.parse().unwrap()))
                .collect();
            assert_eq!(
                part(&request, &stored, 10) != Part::Whole,
                expect,
                "{condition}"
            );
        };
        check("\"a\"", &[(header::ETAG, "\"a\"")], true);
        check("W/\"a\"", &[(header::ETAG, "W/\"a\"")], false);
        check("\"b\"", &[(header::ETAG, "\"a\"")], false);
        check("\"a\"", &[], false);
        check("x", &[(header::LAST_MODIFIED, "x")], true);
        check("y", &[(header::LAST_MODIFIED, "x")], false);
    }
}
