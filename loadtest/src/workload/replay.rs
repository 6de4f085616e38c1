//! An access log as a workload: nginx's combined format, or a JSON object a line (Seawall's own). Pure.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use super::{Ask, PATHS_MAX};

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
    // What the standard library has no parser for, httpdate has: RFC 850's and IMF's words, whose day is not checked.
    let date = httpdate::parse_http_date(&format!("Mon, {day} {month} {year} {clock} GMT")).ok()?;
    let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
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
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let date = httpdate::parse_http_date(&format!("Mon, {day} {month} {year} {whole} GMT")).ok()?;
    let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(seconds + format!("0.{fraction}").parse::<f64>().ok()?)
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
        assert!(read("nothing\n", 1.0).is_err());
        assert!(read(combined, 0.0).is_err());
    }
}
