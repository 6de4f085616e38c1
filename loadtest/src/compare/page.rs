//! A comparison as a page: each figure's difference with its interval beside nothing at all, and both curves of latency.

use std::fmt::Write as _;

use super::{CONFIDENCE, Comparison, Difference};
use crate::report::html::chart::{Curve, percentiles};
use crate::report::html::frame::{Frame, nice_end};
use crate::report::html::{end, escape, head, key, section};
use crate::report::{Count, Micros};

/// Room for the names of figures.
const LEFT: f64 = 190.0;
const ROW: f64 = 30.0;
/// Above and below the rows.
const AROUND_ROWS: f64 = 60.0;
/// The least the axis reaches to each side, in per cent; and the most: an interval that is longer leaves the picture.
const REACH_PERCENT_MIN: f64 = 5.0;
const REACH_PERCENT_MAX: f64 = 200.0;

pub fn page(comparison: &Comparison) -> String {
    let (a, b) = (&comparison.a, &comparison.b);
    let how = format!(
        "{} pairs of blocks in random order, {:.0} s of each · seed {}",
        comparison.pairs, a.duration_s, comparison.seed
    );
    let mut page = head(
        "A and B compared",
        &format!("A {}\nB {}", a.url, b.url),
        &how,
    );
    if a.saturated || b.saturated {
        page.push_str(
            "<p class=void>The generator could not keep its schedule: these figures are void.</p>",
        );
    }
    if let Some(ended) = &comparison.ended {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<p class=void>Ended early: {}</p>",
            escape(&ended.why)
        );
    }
    table(&mut page, comparison);
    let sure = format!(
        "dot: the difference; bar: where it lies with {:.1} % confidence, so that all are right in 95 of 100 comparisons. \
         What reaches over the line in the middle may be chance",
        100.0 * CONFIDENCE
    );
    section(
        &mut page,
        "B from A",
        &sure,
        &forest(&comparison.differences),
    );
    let curves = [("hit", a), ("miss", b)].map(|(style, report)| Curve {
        style: style.to_owned(),
        latency: report.latency(),
    });
    section(
        &mut page,
        "Latency by percentile",
        "all blocks of each, all classes but errors; both axes logarithmic",
        &(key([("hit", "A"), ("miss", "B")]) + &percentiles(&curves)),
    );
    end(&mut page);
    page
}

fn table(page: &mut String, comparison: &Comparison) {
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<div class=wide><table><thead><tr><th><th>A<th>B<th>B from A<th>{:.1} % interval<th></thead><tbody>",
        100.0 * CONFIDENCE
    );
    for one in &comparison.differences {
        let quiet = if one.seen { "" } else { " class=quiet" };
        let interval = match one.too_few {
            true => String::new(),
            false => format!("{:+.1} to {:+.1} %", one.low, one.high),
        };
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{:+.1} %<td>{interval}<td{quiet}>{}",
            name(one),
            value(one, one.a),
            value(one, one.b),
            one.percent,
            one.verdict()
        );
    }
    page.push_str("</table></div>");
}

/// As people say it.
fn name(one: &Difference) -> String {
    match one.figure.as_str() {
        "requests_per_second" => "requests a second".to_owned(),
        "errors_percent" => "errors".to_owned(),
        "p999_us" => "p99.9".to_owned(),
        figure => escape(figure.trim_end_matches("_us")),
    }
}

fn value(one: &Difference, value: f64) -> String {
    match one.figure.as_str() {
        "requests_per_second" => Count(value.round() as u64).to_string(),
        "errors_percent" => format!("{value:.2} %"),
        _ => Micros(value.round() as u64).to_string(),
    }
}

fn forest(differences: &[Difference]) -> String {
    let judged = differences.iter().filter(|one| !one.too_few);
    let ends = judged.flat_map(|one| [one.low.abs(), one.high.abs()]);
    let reach = ends.fold(REACH_PERCENT_MIN, f64::max);
    let reach = nice_end(reach.min(REACH_PERCENT_MAX));
    let height = ROW * differences.len() as f64 + AROUND_ROWS;
    let mut frame = Frame::with_left("Differences with their intervals", height, LEFT);
    let share = |percent: f64| 0.5 + percent / reach / 2.0;
    for quarter in -2..=2 {
        let percent = f64::from(quarter) * reach / 2.0;
        let sign = if quarter > 0 { "+" } else { "" };
        frame.column(share(percent), &format!("{sign}{percent} %"));
    }
    frame.names("", "difference of B from A", "");
    let (middle, top, bottom) = (frame.x(0.5), frame.y(1.0), frame.y(0.0));
    frame.draw(format_args!(
        "<line class=axis x1={middle:.1} x2={middle:.1} y1={top:.1} y2={bottom:.1} />"
    ));
    for (at, one) in differences.iter().enumerate() {
        let y = top + ROW * (at as f64 + 0.5);
        let class = if one.seen { "miss" } else { "bypass" };
        let (low, high) = (frame.x(share(one.low)), frame.x(share(one.high)));
        let (dot, word) = (frame.x(share(one.percent)), frame.x(0.0) - 8.0);
        frame.draw(format_args!(
            "<text x={word:.1} y={:.1} text-anchor=end>{}</text>",
            y + 4.0,
            name(one)
        ));
        if one.too_few {
            continue;
        }
        frame.draw(format_args!(
            "<rect class={class} opacity=.45 x={low:.1} y={:.1} width={:.1} height=8 rx=4 />\
             <circle class={class} cx={dot:.1} cy={y:.1} r=5 />",
            y - 4.0,
            (high - low).max(1.0)
        ));
    }
    frame.finish()
}
