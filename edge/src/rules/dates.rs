//! Reading a date as HTTP spells it (RFC 9110 §5.6.7), in each of its three forms.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::freshness::DATE_MAX;

/// A year of two digits lies at most so far ahead.
const AHEAD_MAX: Duration = Duration::from_secs(50 * YEAR_S);
const AHEAD_MAX_YEARS: u64 = 50;
/// Of the Gregorian calendar, on average.
const YEAR_S: u64 = 31_556_952;
const CENTURY_YEARS: u64 = 100;
/// `Sun, 06 Nov 1994 08:49:37 GMT`: no other form is as long.
const FIXED_BYTES: usize = 29;
/// No form is longer: `Wednesday, 06-Nov-94 08:49:37 GMT`.
const BYTES_MAX: usize = 33;

/// The time that `text` says, read at about `now`.
pub fn http_date(text: &str, now: SystemTime) -> Option<SystemTime> {
    let text = text.trim();
    if text.len() == FIXED_BYTES
        && let Ok(time) = httpdate::parse_http_date(text)
    {
        return Some(time);
    }
    if text.len() > BYTES_MAX {
        return None;
    }
    let (text, leap) = without_leap_second(&spelled(text));
    let text = in_full(text, now)?;
    let time = httpdate::parse_http_date(&text).ok()?.checked_add(leap)?;
    (time <= UNIX_EPOCH + DATE_MAX).then_some(time)
}

/// RFC 9111 §4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD match the
/// field value case-insensitively."
fn spelled(text: &str) -> String {
    let mut inside = false;
    let letters = text.chars().map(|letter| {
        let first = letter.is_ascii_alphabetic() && !inside;
        inside = letter.is_ascii_alphabetic();
        match first {
            true => letter.to_ascii_uppercase(),
            false => letter.to_ascii_lowercase(),
        }
    });
    let spelled: String = letters.collect();
    match spelled.strip_suffix("Gmt") {
        Some(rest) => format!("{rest}GMT"),
        None => spelled,
    }
}

/// RFC 9110 §5.6.7: a second goes up to 60. It is read as the one before, and what is to be added.
fn without_leap_second(text: &str) -> (String, Duration) {
    match text.split_once(":60 ") {
        Some((before, after)) => (format!("{before}:59 {after}"), Duration::from_secs(1)),
        None => (text.to_owned(), Duration::ZERO),
    }
}

/// RFC 9110 §5.6.7: "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST interpret
/// a timestamp that appears to be more than 50 years in the future as representing the most recent year in the past that
/// had the same last two digits." None where that is no date; other forms as they are.
fn in_full(text: String, now: SystemTime) -> Option<String> {
    let Some((day, date, digits, time)) = short(&text) else {
        return Some(text);
    };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The last year with these digits that may be near enough; then the very day decides.
    let last = 1970 + since.as_secs() / YEAR_S + AHEAD_MAX_YEARS + 1;
    let year = last - (last + CENTURY_YEARS - digits) % CENTURY_YEARS;
    let spelled = |year: u64| format!("{day}, {date} {year} {time}");
    let is_near = |text: &String| {
        let ahead = httpdate::parse_http_date(text).map(|at| at.duration_since(now));
        ahead.is_ok_and(|ahead| ahead.unwrap_or_default() <= AHEAD_MAX)
    };
    let years = [year, year - CENTURY_YEARS];
    years.map(spelled).into_iter().find(is_near)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`: its day in three letters, `06 Nov`, 94, and the rest.
fn short(text: &str) -> Option<(&str, String, u64, &str)> {
    let (day, rest) = text.split_once(", ")?;
    let (date, time) = rest.split_once(' ')?;
    let (date, digits) = date.rsplit_once('-')?;
    let day = DAYS.iter().find(|known| **known == day)?.get(..3)?;
    let digits = Some(digits).filter(|digits| digits.len() == 2)?;
    Some((day, date.replace('-', " "), digits.parse().ok()?, time))
}

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// `now` and what is expected, in the one form that is sent.
    #[track_caller]
    fn check(section: &str, now: &str, text: &str, expect: Option<&str>) {
        let now = httpdate::parse_http_date(now).unwrap();
        let found = http_date(text, now).map(httpdate::fmt_http_date);
        assert_eq!(found.as_deref(), expect, "{section}: {text:?} at {now:?}");
    }

    const NOW: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    #[test]
    fn a_date_is_read_in_each_form_and_in_any_case() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        check("9110 5.6.7", NOW, "Sun, 06 Nov 1994 08:49:37 GMT", date);
        check("9110 5.6.7", NOW, "Sunday, 06-Nov-94 08:49:37 GMT", date);
        check("9110 5.6.7", NOW, "Sun Nov  6 08:49:37 1994", date);
        check("4.2", NOW, "sun, 06 nOV 1994 08:49:37 gmt", date);
        check("4.2", NOW, "SUNDAY, 06-NOV-94 08:49:37 GMT", date);
        check("4.2", NOW, "SUN NOV  6 08:49:37 1994", date);
        // "a cache recipient SHOULD consider a date with a zone abbreviation other than "GMT" to be invalid".
        check("4.2", NOW, "Sun, 06 Nov 1994 08:49:37 UTC", None);
        check("4.2", NOW, "Sun, 06 Nov 1994 08:49:37", None);
        for nonsense in ["", "0", ", ", "Sunday, ", "Sunday, 06-Nov-9é 08:49:37 GMT"] {
            check("9110 5.6.7", NOW, nonsense, None);
        }
        let long = format!("{}Sun, 06 Nov 1994 08:49:37 GMT", "0".repeat(100_000));
        check("9110 5.6.7", NOW, &long, None);
    }

    #[test]
    fn a_leap_second_is_a_second() {
        let leap = Some("Sun, 01 Jan 2017 00:00:00 GMT");
        check("9110 5.6.7", NOW, "Sat, 31 Dec 2016 23:59:60 GMT", leap);
        check("9110 5.6.7", NOW, "Saturday, 31-Dec-16 23:59:60 GMT", leap);
        check("9110 5.6.7", NOW, "Sat Dec 31 23:59:60 2016", leap);
        check("9110 5.6.7", NOW, "Sat, 31 Dec 2016 23:60:00 GMT", None);
        check("9110 5.6.7", NOW, "Sat, 31 Dec 2016 23:59:61 GMT", None);
    }

    #[test]
    fn two_digits_mean_no_year_more_than_fifty_ahead() {
        let year = |now: &str, text: &str, expect: &str| {
            let now = httpdate::parse_http_date(now).unwrap();
            let found = http_date(text, now).map(httpdate::fmt_http_date).unwrap();
            assert_eq!(&found[12..16], expect, "9110 5.6.7: {text}");
        };
        let later = "Sat, 14 Nov 2099 22:13:20 GMT";
        year(NOW, "Tuesday, 14-Nov-23 22:13:20 GMT", "2023");
        year(NOW, "Thursday, 14-Nov-24 22:13:20 GMT", "2024");
        year(NOW, "Monday, 14-Nov-72 22:13:20 GMT", "2072");
        year(NOW, "Thursday, 14-Nov-74 22:13:20 GMT", "1974");
        year(NOW, "Sunday, 14-Nov-99 22:13:20 GMT", "1999");
        year(NOW, "Tuesday, 14-Nov-00 22:13:20 GMT", "2000");
        year(later, "Saturday, 14-Nov-05 22:13:20 GMT", "2105");
        year(later, "Monday, 14-Nov-50 22:13:20 GMT", "2050");
        // Within the year in which fifty are over the day decides.
        year(NOW, "Wednesday, 01-Nov-73 00:00:00 GMT", "2073");
        year(NOW, "Friday, 30-Nov-73 00:00:00 GMT", "1973");
    }
}
