//! Parts of a response, stored or arriving (RFC 9110 §14).

use std::time::UNIX_EPOCH;

use http::header::{self, HeaderMap, HeaderValue};

use super::dates::http_date;
use super::validation::{share_strong_validator, strongly_equal};

/// Ranges of one request; more are ignored, and it gets the whole (§14.2: "egregious range requests").
pub const RANGES_MAX: usize = 16;

/// What a request gets of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: nothing else was asked for, or what was asked for is ignored.
    Whole,
    /// 206, from `first` to `last`, both counted.
    Bytes { first: u64, last: u64 },
    /// 206 in several parts, in the order asked for; they do not overlap.
    Several(Vec<(u64, u64)>),
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

/// `Content-Range: bytes first-last/total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    pub first: u64,
    pub last: u64,
    pub total: u64,
}

/// What `request` gets of a representation of `total` bytes with the head `stored`.
pub fn part(request: &HeaderMap, stored: &HeaderMap, total: u64) -> Part {
    let asked = asked(request);
    if asked.is_empty() || !if_range(request, stored) {
        return Part::Whole;
    }
    let parts = asked.iter().filter_map(|asked| asked.of(total));
    let parts: Vec<_> = parts.collect();
    // A suffix of nothing is satisfiable (§14.1.2), but there is no way to say which bytes of it came.
    let suffix = |asked: &Asked| matches!(asked, Asked::Suffix(1..));
    if total == 0 && asked.iter().any(suffix) {
        return Part::Whole;
    }
    match parts[..] {
        // §14.1.2: a set is unsatisfiable if none of its ranges can be satisfied.
        [] => Part::Unsatisfiable,
        [(first, last)] => Part::Bytes { first, last },
        _ => several(parts),
    }
}

/// §15.3.7.2: "A server … MAY coalesce any of the ranges that overlap", and a client that asks for the same bytes
/// again and again gets them once.
fn several(parts: Vec<(u64, u64)>) -> Part {
    let mut kept: Vec<(u64, u64)> = Vec::new();
    for (mut first, mut last) in parts {
        kept.retain(|&(from, to)| {
            let apart = to.saturating_add(1) < first || last.saturating_add(1) < from;
            if !apart {
                (first, last) = (first.min(from), last.max(to));
            }
            apart
        });
        kept.push((first, last));
    }
    match kept[..] {
        // "A server MUST NOT generate a multipart response to a request for a single range".
        [(first, last)] => Part::Bytes { first, last },
        _ => Part::Several(kept),
    }
}

/// The ranges a request asks for; none where it asks for none, for too many, or cannot be read.
pub fn asked(request: &HeaderMap) -> Vec<Asked> {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Vec::new();
    };
    // §14.2: what is not understood is ignored, whole.
    line.to_str().ok().and_then(read).unwrap_or_default()
}

/// Whether a request asks for one range that may be less than all of it. From the first byte to the end, on no
/// condition, is the whole that anybody else gets, too.
pub fn is_one_part(request: &HeaderMap) -> bool {
    match asked(request)[..] {
        [Asked::From(0)] => request.contains_key(header::IF_RANGE),
        [_] => true,
        _ => false,
    }
}

fn read(line: &str) -> Option<Vec<Asked>> {
    let (unit, set) = line.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // §5.6.1.2: empty members of a list are ignored.
    let members = set.split(',').map(str::trim).filter(|one| !one.is_empty());
    let ranges: Vec<_> = members
        .take(RANGES_MAX + 1)
        .map(one)
        .collect::<Option<_>>()?;
    (ranges.len() <= RANGES_MAX).then_some(ranges)
}

fn one(range: &str) -> Option<Asked> {
    match range.split_once('-')? {
        ("", last) => number(last).map(Asked::Suffix),
        (first, "") => number(first).map(Asked::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // §14.1.1: "An int-range … is invalid if the last-pos value is … less than the first-pos".
            (first <= last).then_some(Asked::FromTo(first, last))
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl Asked {
    /// The first and last byte it means of `total`; None where there is none.
    pub fn of(self, total: u64) -> Option<(u64, u64)> {
        let end = total.checked_sub(1)?;
        match self {
            Self::Suffix(0) => None,
            Self::Suffix(length) => Some((total.saturating_sub(length), end)),
            Self::From(first) | Self::FromTo(first, _) if first > end => None,
            Self::From(first) => Some((first, end)),
            Self::FromTo(first, last) => Some((first, last.min(end))),
        }
    }
}

/// The part a 206 carries; None where it is no single part, of a whole of unknown length, or contradicts itself.
pub fn content_range(head: &HeaderMap) -> Option<ContentRange> {
    let mut lines = head.get_all(header::CONTENT_RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let (unit, range) = line.to_str().ok()?.trim().split_once(' ')?;
    let (range, total) = range.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let filled = |text: &str| number(text).filter(|_| !text.is_empty());
    let (first, last, total) = (filled(first)?, filled(last)?, filled(total)?);
    // §14.4: "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value less than
    // its first-pos value, or a complete-length value less than or equal to its last-pos value."
    let valid = unit.eq_ignore_ascii_case("bytes") && first <= last && last < total;
    valid.then_some(ContentRange { first, last, total })
}

/// Whether a 206 is exactly what is `missing` of a stored part (RFC 9111 §3.4), given the head of that part and the
/// bytes of its whole.
pub fn is_rest((stored, total): (&HeaderMap, u64), missing: (u64, u64), head: &HeaderMap) -> bool {
    let is_it = |range: ContentRange| {
        (range.first, range.last + 1, range.total) == (missing.0, missing.1, total)
            && agrees(range, head)
    };
    content_range(head).is_some_and(is_it) && share_strong_validator(stored, head)
}

/// Whether the length of a 206 is the one its Content-Range says, as far as it says one.
pub fn agrees(range: ContentRange, head: &HeaderMap) -> bool {
    let length = head.get(header::CONTENT_LENGTH);
    length.is_none_or(|length| length.as_bytes() == range.len().to_string().as_bytes())
}

impl ContentRange {
    pub fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// Whether a range counts only if a date still holds.
pub fn only_if_dated(request: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    lines.any(|line| !is_etag(line))
}

fn is_etag(condition: &HeaderValue) -> bool {
    condition.as_bytes().contains(&b'"')
}

/// RFC 9110 §13.1.5: a range counts only if the client's part is of this very representation.
pub fn if_range(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    let (condition, more) = (lines.next(), lines.next());
    let Some(condition) = condition else {
        return true;
    };
    if more.is_some() {
        return false;
    }
    match (
        is_etag(condition),
        stored.get(header::ETAG),
        stored.get(header::LAST_MODIFIED),
    ) {
        (true, Some(etag), _) => strongly_equal(condition.as_bytes(), etag.as_bytes()),
        (false, _, Some(modified)) => condition == modified && is_strong_date(stored),
        _ => false,
    }
}

/// §8.8.2.2: a date is a strong validator where the response "includes a Date value which is at least one second after
/// the Last-Modified value"; else it may have changed again within the very second.
fn is_strong_date(stored: &HeaderMap) -> bool {
    let time = |name: header::HeaderName, now| http_date(stored.get(name)?.to_str().ok()?, now);
    let apart = time(header::DATE, UNIX_EPOCH).and_then(|said| {
        let modified = time(header::LAST_MODIFIED, said)?;
        Some(said.duration_since(modified))
    });
    matches!(apart, Some(Ok(apart)) if apart.as_secs() >= 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        let check = |section: &str, range: &str, total: u64, expect: Part| {
            let request: HeaderMap = [(header::RANGE, range.parse().unwrap())]
                .into_iter()
                .collect();
            assert_eq!(
                part(&request, &HeaderMap::new(), total),
                expect,
                "{section}: {range} of {total}"
            );
        };
        let bytes = |first, last| Part::Bytes { first, last };
        check("9110 14.1.2", "bytes=0-0", 10, bytes(0, 0));
        check("9110 14.1.2", "bytes=2-5", 10, bytes(2, 5));
        check("9110 14.1.2", "bytes=2-99", 10, bytes(2, 9));
        check("9110 14.1.2", "bytes=2-", 10, bytes(2, 9));
        check("9110 14.1.2", "bytes=-3", 10, bytes(7, 9));
        check("9110 14.1.2", "bytes=-30", 10, bytes(0, 9));
        check("9110 14.1.2", "Bytes = 2-5", 10, bytes(2, 5));
        check("9110 14.1.2", "bytes=-0", 10, Part::Unsatisfiable);
        check("9110 14.1.2", "bytes=10-", 10, Part::Unsatisfiable);
        check("9110 14.1.2", "bytes=0-", 0, Part::Unsatisfiable);
        check("9110 14.1.2", "bytes=-5", 0, Part::Whole);
        check("9110 14.1.2", "bytes=-0", 0, Part::Unsatisfiable);
        check("9110 14.1.1", "bytes=5-2", 10, Part::Whole);
        check("9110 14.1.1", "bytes=a-2", 10, Part::Whole);
        check("9110 14.1.1", "bytes=+1-2", 10, Part::Whole);
        let several = |parts: &[(u64, u64)]| Part::Several(parts.to_vec());
        check(
            "9110 14.1.2",
            "bytes=0-1,3-4",
            10,
            several(&[(0, 1), (3, 4)]),
        );
        check(
            "9110 14.1.2",
            "bytes=8-, 0-1 ,,",
            10,
            several(&[(8, 9), (0, 1)]),
        );
        check("9110 15.3.7.2", "bytes=0-1,2-4", 10, bytes(0, 4));
        check("9110 15.3.7.2", "bytes=0-,-3,2-4", 10, bytes(0, 9));
        check("9110 14.1.2", "bytes=0-1,20-30", 10, bytes(0, 1));
        check("9110 14.1.2", "bytes=10-11,20-30", 10, Part::Unsatisfiable);
        check("9110 14.2", "bytes=0-1,x", 10, Part::Whole);
        check("9110 14.2", "bytes=,", 10, Part::Whole);
        check("9110 14.2", "bytes=", 10, Part::Whole);
        let many = |n| format!("bytes={}", vec!["0-0"; n].join(","));
        check("9110 14.2", &many(RANGES_MAX), 10, bytes(0, 0));
        check("9110 14.2", &many(RANGES_MAX + 1), 10, Part::Whole);
        check("9110 14.2", "lines=0-1", 10, Part::Whole);
        check(
            "9110 14.1.1",
            "bytes=99999999999999999999-",
            10,
            Part::Whole,
        );
        check(
            "9110 14.1.2",
            "bytes=18446744073709551615-",
            10,
            Part::Unsatisfiable,
        );
    }

    #[test]
    fn a_part_says_of_what_it_is_one() {
        let check = |section: &str, line: &str, expect: Option<(u64, u64, u64)>| {
            let head: HeaderMap = [(header::CONTENT_RANGE, line.parse().unwrap())]
                .into_iter()
                .collect();
            let found = content_range(&head).map(|range| (range.first, range.last, range.total));
            assert_eq!(found, expect, "{section}: {line}");
        };
        check("9110 14.4", "bytes 0-4/10", Some((0, 4, 10)));
        check("9110 14.4", "Bytes 9-9/10", Some((9, 9, 10)));
        check("9110 14.4", "bytes 0-4/*", None);
        check("9110 14.4", "bytes */10", None);
        check("9110 14.4", "bytes 4-0/10", None);
        check("9110 14.4", "bytes 0-10/10", None);
        check("9110 14.4", "bytes 0-/10", None);
        check("9110 14.4", "bytes -4/10", None);
        check("9110 14.4", "bytes=0-4/10", None);
        check("9110 14.4", "lines 0-4/10", None);
        check("9110 14.4", "bytes 0-4/18446744073709551616", None);
        check(
            "9110 14.4",
            "bytes 0-18446744073709551614/18446744073709551615",
            Some((0, u64::MAX - 1, u64::MAX)),
        );
    }

    #[test]
    fn only_the_missing_bytes_of_the_same_whole_complete_it() {
        let head = |lines: &[(header::HeaderName, &str)]| -> HeaderMap {
            let lines = lines.iter();
            lines
                .map(|(n, v)| (n.clone(), v.parse().unwrap()))
                .collect()
        };
        let stored = head(&[(header::ETAG, "\"a\"")]);
        let check = |section: &str, etag: &str, range: &str, length: &str, expect: bool| {
            let answer = head(&[
                (header::ETAG, etag),
                (header::CONTENT_RANGE, range),
                (header::CONTENT_LENGTH, length),
            ]);
            let found = is_rest((&stored, 10), (5, 10), &answer);
            assert_eq!(found, expect, "{section}: {etag} {range} {length}");
        };
        check("3.4", "\"a\"", "bytes 5-9/10", "5", true);
        check("3.4", "\"b\"", "bytes 5-9/10", "5", false);
        check("3.4", "W/\"a\"", "bytes 5-9/10", "5", false);
        check("3.4", "\"a\"", "bytes 5-8/10", "4", false);
        check("3.4", "\"a\"", "bytes 4-9/10", "6", false);
        check("3.4", "\"a\"", "bytes 5-9/11", "5", false);
        check("3.4", "\"a\"", "bytes 5-9/10", "6", false);
    }

    #[test]
    fn if_range_needs_the_very_same_representation() {
        let check = |section: &str,
                     condition: &str,
                     stored: &[(header::HeaderName, &str)],
                     expect: bool| {
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
                "{section}: {condition}"
            );
        };
        check("9110 13.1.5", "\"a\"", &[(header::ETAG, "\"a\"")], true);
        check(
            "9110 13.1.5",
            "W/\"a\"",
            &[(header::ETAG, "W/\"a\"")],
            false,
        );
        check("9110 13.1.5", "\"b\"", &[(header::ETAG, "\"a\"")], false);
        check("9110 13.1.5", "\"a\"", &[], false);
        let (old, new) = (
            "Thu, 01 Jan 2026 00:00:00 GMT",
            "Thu, 01 Jan 2026 00:00:01 GMT",
        );
        let dated = |date, modified| [(header::DATE, date), (header::LAST_MODIFIED, modified)];
        check("9110 13.1.5", old, &dated(new, old), true);
        check("9110 13.1.5", new, &dated(new, old), false);
        check("9110 8.8.2.2", old, &dated(old, old), false);
        check("9110 8.8.2.2", old, &[(header::LAST_MODIFIED, old)], false);
    }
}
