//! A report as one page of HTML: pictures drawn here as SVG, no script, nothing fetched; dark, light, and on paper.

use std::fmt::Write as _;

use super::Report;
use crate::class::Class;

mod chart;
mod heat;

/// Without it, a page of some other report.
const STYLE: &str = include_str!("html/style.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut page = head(&format!("Load test of {}", report.url));
    // Writing to a String cannot fail.
    let _ = write!(page, "<p class=sub>{}</p>", escape(&report.url));
    if report.saturated {
        page.push_str(
            "<p class=void>The generator could not keep its schedule: these figures are void.</p>",
        );
    }
    tiles(&mut page, report);
    table(&mut page, report);
    section(
        &mut page,
        "Latency by percentile",
        "from the intended times; both axes logarithmic",
        &chart::percentiles(report),
    );
    for class in [
        Class::Hit,
        Class::Stale,
        Class::Revalidated,
        Class::Collapsed,
        Class::Miss,
        Class::Bypass,
    ] {
        if let Some(picture) = heat::map(report, class) {
            let title = format!("Latency over time: {}", class.name());
            section(&mut page, &title, "darker is more requests", &picture);
        }
    }
    section(
        &mut page,
        "Requests per second and hit ratio",
        "bars: requests by class; line: hit ratio",
        &chart::rates(report),
    );
    let _ = writeln!(
        page,
        "<p class=sub>seed {}, {} workers, schema {}</p></main></html>",
        report.seed, report.workers, report.schema_version
    );
    page
}

/// To where the body begins.
pub(crate) fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><title>{title}</title><style>{STYLE}</style><main><h1>{title}</h1>"
    )
}

pub(crate) fn section(page: &mut String, title: &str, sub: &str, picture: &str) {
    let _ = write!(
        page,
        "<section><h2>{title}</h2><p class=sub>{sub}</p>{picture}</section>"
    );
}

pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn tiles(page: &mut String, report: &Report) {
    let all = report.latency();
    let at = |quantile| super::Micros(all.value_at_quantile(quantile)).to_string();
    let percent = |ratio: Option<f64>| match ratio {
        Some(ratio) => format!("{:.1} %", 100.0 * ratio),
        None => "none".to_owned(),
    };
    page.push_str("<div class=tiles>");
    let tiles = [
        (
            "requests per second",
            format!("{:.0}", report.requests_per_second),
        ),
        ("requests", report.requests.to_string()),
        ("errors", report.errors.to_string()),
        ("p50", at(0.5)),
        ("p99", at(0.99)),
        ("p99.9", at(0.999)),
        ("hit ratio", percent(report.hit_ratio)),
        ("byte hit ratio", percent(report.byte_hit_ratio)),
    ];
    for (name, value) in tiles {
        let _ = write!(page, "<div><b>{value}</b>{name}</div>");
    }
    page.push_str("</div>");
}

fn table(page: &mut String, report: &Report) {
    page.push_str(
        "<table><tr><th>class<th>count<th>bytes<th>p50<th>p90<th>p99<th>p99.9<th>most</tr>",
    );
    for (class, part) in report.classes.iter().filter(|(_, part)| part.count > 0) {
        let latency = &part.from_intended;
        let _ = write!(
            page,
            "<tr><td><i class={0}></i>{0}<td>{1}<td>{2}",
            class.name(),
            part.count,
            super::Bytes(part.bytes)
        );
        for micros in [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ] {
            let _ = write!(page, "<td>{}", super::Micros(micros));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
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
