//! A search as a page: latency by rate, the curve on which the knee is seen, and each trial.

use std::fmt::Write as _;

use super::Limit;
use crate::report::html::frame::{Frame, Scale, nice_end};
use crate::report::html::{end, escape, head, key, section, tile};
use crate::report::{Count, Micros};

const HEIGHT: f64 = 320.0;

pub fn page(limit: &Limit) -> String {
    let how = format!(
        "{} trials · what must hold: {}",
        limit.trials.len(),
        limit.slo.join(", ")
    );
    let mut page = head("The highest rate that holds", &limit.url, &how);
    page.push_str("<div class=tiles>");
    match limit.rate {
        Some(rate) => tile(
            &mut page,
            "requests a second, confirmed",
            Count(rate as u64),
        ),
        None => tile(&mut page, "no rate was confirmed", "none"),
    }
    if let Some(report) = &limit.confirmed {
        let all = report.latency();
        let at = |quantile| Micros(all.value_at_quantile(quantile));
        tile(&mut page, "p50 then", at(0.5));
        tile(&mut page, "p99 then", at(0.99));
        tile(
            &mut page,
            "seconds of it",
            format!("{:.0}", report.duration_s),
        );
    }
    page.push_str("</div>");
    if limit.generator_bound {
        page.push_str(
            "<p class=trouble>This machine could not send faster: the server may do more.</p>",
        );
    }
    let words = [
        ("hit", "median, held"),
        ("stale", "99th percentile, held"),
        ("miss", "did not hold"),
    ];
    section(
        &mut page,
        "Latency by rate",
        "a dot for each trial's median and 99th percentile; the latency is logarithmic",
        &(key(words) + &curve(limit)),
    );
    table(&mut page, limit);
    end(&mut page);
    page
}

fn table(page: &mut String, limit: &Limit) {
    page.push_str(
        "<section><h2>Trials</h2><div class=wide><table><thead><tr><th>asked for<th>answered<th>p50<th>p99<th></thead><tbody>",
    );
    for trial in &limit.trials {
        let verdict = match (trial.held, trial.long) {
            (true, true) => "<td>holds, at length".to_owned(),
            (true, false) => "<td>holds".to_owned(),
            (false, _) => format!("<td class=bad>{}", escape(&trial.why.join("; "))),
        };
        let rate = |rate: f64| Count(rate.round() as u64);
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<tr><td>{} a second<td>{} a second<td>{}<td>{}{verdict}",
            rate(trial.rate),
            rate(trial.requests_per_second),
            Micros(trial.p50_us),
            Micros(trial.p99_us)
        );
    }
    page.push_str("</table></div></section>");
}

fn curve(limit: &Limit) -> String {
    let mut trials: Vec<_> = limit.trials.iter().collect();
    trials.sort_by(|one, two| one.rate.total_cmp(&two.rate));
    let most = nice_end(trials.last().map_or(1.0, |trial| trial.rate));
    let least = trials.iter().map(|trial| trial.p50_us).min().unwrap_or(1);
    let slowest = trials.iter().map(|trial| trial.p99_us).max().unwrap_or(1);
    let scale = Scale::of(least, slowest);
    let mut frame = Frame::new("Latency by rate", HEIGHT);
    frame.latencies(&scale);
    for mark in 0..=5 {
        let share = f64::from(mark) / 5.0;
        frame.column(share, &Count((share * most) as u64).to_string());
    }
    frame.names("latency", "requests a second", "");
    for trial in &trials {
        for (class, latency) in [("hit", trial.p50_us), ("stale", trial.p99_us)] {
            let (x, y) = (frame.x(trial.rate / most), frame.y(scale.share(latency)));
            let class = if trial.held { class } else { "miss" };
            frame.draw(format_args!(
                "<circle class={class} cx={x:.1} cy={y:.1} r=4 />"
            ));
        }
    }
    if let Some(rate) = limit.rate {
        let (x, top, bottom) = (frame.x(rate / most), frame.y(1.0), frame.y(0.0));
        frame.draw(format_args!(
            "<line class=axis x1={x:.1} x2={x:.1} y1={top:.1} y2={bottom:.1} />"
        ));
    }
    frame.finish()
}
