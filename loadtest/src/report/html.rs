//! A report as one page of HTML: pictures drawn here as SVG, no script, nothing fetched; dark, light, and on paper.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::{Bytes, ClassReport, Count, Micros, Report};
use crate::class::Class;

pub(crate) mod chart;
pub(crate) mod frame;
mod heat;

/// Without it, a page of some other report.
const STYLE: &str = include_str!("html/style.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut page = head("Load test", &report.url, &how(report));
    if report.saturated {
        page.push_str(
            "<p class=void>The generator could not keep its schedule: these figures are void.</p>",
        );
    }
    if let Some(held_back) = report.said_of_held_back() {
        let _ = write!(page, "<p class=void>{held_back}</p>");
    }
    tiles(&mut page, report);
    table(&mut page, &report.classes, report.duration_s);
    troubles(&mut page, report);
    let sent = report.send_lag_us.map_or(
        "",
        |_| "; solid: from when a request was meant to leave, dashed: from when it left",
    );
    section(
        &mut page,
        "Latency by percentile",
        &format!("both axes logarithmic{sent}"),
        &(key(classes_of(report).map(|class| (class.name(), class.name())))
            + &chart::percentiles(&chart::curves(report))),
    );
    if !report.intervals.is_empty() {
        let ratio = std::iter::once(("ratio", "hit ratio"));
        let classes = report.classes.iter().filter(|(_, part)| part.count > 0);
        let classes = classes.map(|(class, _)| (class.name(), class.name()));
        section(
            &mut page,
            "Requests a second and hit ratio",
            "by class, one bar a second",
            &(key(classes.chain(ratio)) + &chart::rates(report)),
        );
    }
    for class in classes_of(report) {
        if let Some((picture, most)) = heat::map(report, class) {
            let lines = [("median", "median"), ("tail", "99th percentile")];
            let title = format!("Latency over time: {}", class.name());
            let sub = format!("the deeper the more requests, {most} at most");
            section(&mut page, &title, &sub, &(key(lines) + &picture));
        }
    }
    if let Some(cold) = &report.cold {
        page.push_str(
            "<section><h2>The cold phase</h2><p class=sub>in none of the figures above</p>",
        );
        table(&mut page, cold, 0.0);
        page.push_str("</section>");
    }
    end(&mut page);
    page
}

/// To where the body begins: a kind of report, what it is of, and how it was made.
pub(crate) fn head(kind: &str, of: &str, how: &str) -> String {
    let (of, how) = (escape(of), escape(how));
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><title>{kind}: {of}</title><style>{STYLE}</style>\
         <main><header><p class=kind>{kind}</p><h1>{of}</h1><p class=sub>{how}</p></header>"
    )
}

pub(crate) fn end(page: &mut String) {
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "<footer class=sub>seawall loadtest {version}</footer></main></html>"
    );
}

pub(crate) fn section(page: &mut String, title: &str, sub: &str, picture: &str) {
    let _ = write!(
        page,
        "<section><h2>{title}</h2><p class=sub>{sub}</p>{picture}</section>"
    );
}

/// What the colours are: a style and its word.
pub(crate) fn key<'a>(of: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let words = of
        .into_iter()
        .map(|(style, word)| format!("<span><i class=\"{style}\"></i>{word}</span>"));
    format!("<p class=key>{}</p>", words.collect::<String>())
}

pub(crate) fn tile(page: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(page, "<div><b>{value}</b>{name}</div>");
}

pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Those that came, errors apart: an error's latency is no service.
fn classes_of(report: &Report) -> impl Iterator<Item = Class> {
    let came = report.classes.iter().filter(|(_, part)| part.count > 0);
    came.map(|(class, _)| *class)
        .filter(|class| *class != Class::Error)
}

fn how(report: &Report) -> String {
    let began = UNIX_EPOCH + Duration::from_secs_f64(report.began_unix_s.max(0.0));
    let date = httpdate::fmt_http_date(began);
    let (seconds, workers, seed) = (report.duration_s, report.workers, report.seed);
    let loops = match (report.planned, report.send_lag_us) {
        (Some(planned), Some(lag)) => format!(
            "open loop, {} planned{}, sent late by {} (99th percentile)",
            Count(planned),
            report.planned_with(),
            Micros(lag.p99)
        ),
        _ => "closed loop".to_owned(),
    };
    let threads = if workers == 1 { "thread" } else { "threads" };
    format!("{date} · {seconds:.0} s · {loops} · {workers} {threads} · seed {seed}")
}

fn tiles(page: &mut String, report: &Report) {
    let all = report.latency();
    let at = |quantile| Micros(all.value_at_quantile(quantile));
    let percent = |ratio: Option<f64>| match ratio {
        Some(ratio) => format!("{:.1} %", 100.0 * ratio),
        None => "none".to_owned(),
    };
    let rate = report.requests_per_second.round() as u64;
    page.push_str("<div class=tiles>");
    tile(page, "requests a second", Count(rate));
    tile(page, "requests", Count(report.requests));
    tile(page, "p50", at(0.5));
    tile(page, "p99", at(0.99));
    tile(page, "p99.9", at(0.999));
    tile(page, "hit ratio", percent(report.hit_ratio));
    tile(page, "hit ratio by bytes", percent(report.byte_hit_ratio));
    tile(page, "errors", Count(report.errors));
    page.push_str("</div>");
}

/// Rates only where a time is given.
fn table(
    page: &mut String,
    classes: &std::collections::BTreeMap<Class, ClassReport>,
    seconds: f64,
) {
    let rates = seconds > 0.0;
    let rate = if rates { "<th>a second" } else { "" };
    let _ = write!(
        page,
        "<div class=wide><table><thead><tr><th><th>requests{rate}<th>bytes<th>p50<th>p90<th>p99<th>p99.9<th>most\
         <th>p99 from send</thead><tbody>"
    );
    for (class, part) in classes.iter().filter(|(_, part)| part.count > 0) {
        let (name, count) = (class.name(), Count(part.count));
        let _ = write!(page, "<tr><td><i class={name}></i>{name}<td>{count}");
        if rates {
            let _ = write!(page, "<td>{:.1}", part.count as f64 / seconds);
        }
        let _ = write!(page, "<td>{}", Bytes(part.bytes));
        let latency = &part.from_intended;
        for micros in [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
            part.from_send.p99_us,
        ] {
            let _ = write!(page, "<td>{}", Micros(micros));
        }
    }
    page.push_str("</table></div>");
}

/// What went wrong, if anything did.
fn troubles(page: &mut String, report: &Report) {
    let statuses = report.statuses.iter().filter(|(status, _)| **status >= 400);
    let mut lines: Vec<_> = statuses
        .map(|(status, count)| format!("status {status}: {}", Count(*count)))
        .collect();
    let failures = report.failures.iter();
    lines.extend(failures.map(|(failure, count)| format!("{failure}: {}", Count(*count))));
    if report.wrong > 0 {
        lines.push(format!(
            "bodies that changed under one ETag: {}",
            Count(report.wrong)
        ));
    }
    if !lines.is_empty() {
        let _ = write!(page, "<p class=trouble>{}</p>", lines.join(" · "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::some_report;

    #[test]
    fn a_page_is_whole_and_fetches_nothing() {
        let report = Report {
            url: "http://localhost/?<script>".to_owned(),
            ..some_report()
        };
        let page = page(&report);
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(page.contains("?&lt;script&gt;") && !page.contains("<script"));
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        for picture in [
            "Latency by percentile",
            "Latency over time: hit",
            "hit ratio",
        ] {
            assert!(page.contains(picture), "{picture}");
        }
    }
}
