//! An access log as a workload: nginx's combined format, or a JSON object a line (Seawall's own). Pure.

use std::time::Duration;

use serde::Deserialize;

use super::{Ask, PATHS_MAX};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

/// When each request came, from the first on, and what it asked for. Only GETs are repeated; lines that are none of
/// the two formats are passed over, unless all are.
pub(crate) fn read(log: &str, speed: f64) -> Result<(Vec<Duration>, Vec<String>), String> {
    if !(speed > 0.0 && speed.is_finite()) {
        return Err(format!("speed = {speed}: more than 0"));
    }
    let lines = log.lines().filter_map(|line| match line.starts_with('{') {
        true => json(line),
        false => combined(line),
    });
    let mut requests: Vec<(f64, String)> = lines.take(PATHS_MAX).collect();
    // Logs are written when requests end, not when they come.
    requests.sort_by(|one, two| one.0.total_cmp(&two.0));
    let Some(first) = requests.first().map(|(at, _)| *at) else {
        return Err("no line is a GET in nginx's combined format or in JSON".to_owned());
    };
    // Times of whole seconds are spread over their second: servers do not get all requests on its stroke.
    let spread = spread(&requests);
    let times = requests.iter().zip(spread).map(|((at, _), more)| {
        Duration::try_from_secs_f64((at - first + more) / speed).unwrap_or(Duration::MAX)
    });
    Ok((
        times.collect(),
        requests.iter().map(|(_, path)| path.clone()).collect(),
    ))
}

/// What is added to each time: nothing if the log knows fractions.
fn spread(requests: &[(f64, String)]) -> Vec<f64> {
    let whole = requests.iter().all(|(at, _)| at.fract() == 0.0);
    let mut spread = Vec::with_capacity(requests.len());
    for second in requests.chunk_by(|one, two| one.0 == two.0) {
        let share = |at: usize| at as f64 / second.len() as f64;
        spread.extend((0..second.len()).map(|at| if whole { share(at) } else { 0.0 }));
    }
    spread
}

/// `host - user [23/Nov/2026:16:00:00 +0000] "GET /path HTTP/1.1" 200 …`
fn combined(line: &str) -> Option<(f64, String)> {
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    let (_, rest) = rest.split_once('"')?;
    let (request, _) = rest.split_once('"')?;
    let mut words = request.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    (method == "GET").then_some((clf_time(time)?, origin_form(path)?))
}

/// `23/Nov/2026:16:00:00 +0100`, in seconds since 1970.
fn clf_time(text: &str) -> Option<f64> {
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.splitn(3, '/');
    let (day, month, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, clock) = rest.split_once(':')?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let seconds = unix_seconds(year, &month.to_string(), day, clock)?;
    let (sign, digits) = zone.split_at_checked(1)?;
    let (hours, minutes) = digits.split_at_checked(2)?;
    let east = hours.parse::<f64>().ok()? * 3_600.0 + minutes.parse::<f64>().ok()? * 60.0;
    Some(if sign == "-" {
        seconds + east
    } else {
        seconds - east
    })
}

/// The words of our own access log, and some that others use.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "ts", alias = "timestamp")]
    time: Time,
    method: Option<String>,
    #[serde(alias = "target", alias = "uri", alias = "path", alias = "request_uri")]
    url: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Seconds(f64),
    /// RFC 3339 in UTC.
    Text(String),
}

fn json(line: &str) -> Option<(f64, String)> {
    let line: Line = serde_json::from_str(line).ok()?;
    let at = match line.time {
        Time::Seconds(seconds) => seconds,
        Time::Text(text) => rfc3339(&text)?,
    };
    let is_get = line.method.is_none_or(|method| method == "GET");
    is_get.then_some((at, origin_form(&line.url)?))
}

/// `2026-11-23T16:00:00.123Z`
fn rfc3339(text: &str) -> Option<f64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let seconds = unix_seconds(year, month, day, whole)?;
    Some(seconds + format!("0.{fraction}").parse::<f64>().ok()?)
}

/// Of a date of the Gregorian calendar and a `16:00:00`, in UTC. Ours because a parser of HTTP dates wants the right day
/// of the week, which neither format says.
fn unix_seconds(year: &str, month: &str, day: &str, clock: &str) -> Option<f64> {
    let number = |text: &str, least: i64, most: i64| {
        let number = text.parse().ok();
        number.filter(|number| (least..=most).contains(number))
    };
    let year = number(year, 1970, 9999)?;
    let (month, day) = (number(month, 1, 12)?, number(day, 1, 31)?);
    // A year that begins in March ends with its leap day.
    let (year, month) = match month > 2 {
        true => (year, month - 3),
        false => (year - 1, month + 9),
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let mut clock = clock.splitn(3, ':');
    let (hours, minutes) = (number(clock.next()?, 0, 23)?, number(clock.next()?, 0, 59)?);
    let seconds = number(clock.next()?, 0, 60)?;
    Some(((days - DAYS_TO_1970) * 86_400 + hours * 3_600 + minutes * 60 + seconds) as f64)
}

/// Path and query of what may be a whole URL; None of what does not fit on a request line.
fn origin_form(url: &str) -> Option<String> {
    let path = if url.starts_with('/') {
        url.to_owned()
    } else {
        let uri: http::Uri = url.parse().ok()?;
        uri.path_and_query()?.as_str().to_owned()
    };
    let ask = Ask::plain(path);
    ask.fits().then_some(ask.path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn logs_become_times_and_paths() {
        let check = |log: &str, speed: f64, expect: &[(u64, &str)]| {
            let (times, paths) = read(log, speed).unwrap();
            let found: Vec<_> = times
                .iter()
                .map(|at| at.as_millis() as u64)
                .zip(paths.iter().map(String::as_str))
                .collect();
            assert_eq!(found, expect, "{log}");
        };
        let combined = "\
            127.0.0.1 - - [23/Nov/2026:16:00:01 +0000] \"GET /b HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            127.0.0.1 - - [23/Nov/2026:17:00:00 +0100] \"GET /a?b=c HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            127.0.0.1 - - [23/Nov/2026:16:00:01 +0000] \"POST /p HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            what is this?\n\
            127.0.0.1 - - [23/Nov/2026:16:00:01 +0000] \"GET /c HTTP/1.1\" 200 5 \"-\" \"curl\"\n";
        check(
            combined,
            1.0,
            &[(0, "/a?b=c"), (1_000, "/b"), (1_500, "/c")],
        );
        check(combined, 10.0, &[(0, "/a?b=c"), (100, "/b"), (150, "/c")]);
        let json = "\
            {\"time\":\"2026-11-23T16:00:00.250Z\",\"method\":\"GET\",\"url\":\"http://www.test/a\"}\n\
            {\"ts\":1795449600.5,\"path\":\"/b\"}\n{\"time\":1}\n\
            {\"ts\":1795449600.5,\"path\":\"/b c\"}\n\
            {\"ts\":\"2026-11-23T16:00:01.135136865Z\",\"method\":\"GET\",\"host\":\"a.test\",\"target\":\"/c?d\"}\n";
        check(json, 1.0, &[(0, "/a"), (250, "/b"), (885, "/c?d")]);
        let saturday = "\
            1.1.1.1 - - [28/Nov/2026:23:59:59 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            1.1.1.1 - - [28/Nov/2026:23:00:02 -0100] \"GET /b HTTP/1.1\" 200 5 \"-\" \"curl\"\n";
        check(saturday, 1.0, &[(0, "/a"), (3_000, "/b")]);
        assert!(read("nothing\n", 1.0).is_err());
        assert!(read(combined, 0.0).is_err());
    }

    #[test]
    fn any_day_is_a_day() {
        let check = |text: &str, expect: Option<f64>| assert_eq!(rfc3339(text), expect, "{text}");
        check("1970-01-01T00:00:00Z", Some(0.0));
        check("2026-11-28T18:30:13.5Z", Some(1_795_890_613.5));
        check("2028-02-29T00:00:00Z", Some(1_835_395_200.0));
        check("2028-03-01T00:00:00Z", Some(1_835_481_600.0));
        check("2100-03-01T00:00:00Z", Some(4_107_542_400.0));
        for wrong in [
            "2026-13-01T00:00:00Z",
            "2026-11-28T24:00:00Z",
            "2026-11-28",
            "nonsense",
        ] {
            check(wrong, None);
        }
    }
}
