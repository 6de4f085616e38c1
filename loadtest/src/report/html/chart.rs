//! Curves and bars: latency by percentile, requests and hit ratio over time.

use std::fmt::Write as _;

use super::super::{Micros, Report, hdr};
use crate::class::Class;

pub(super) const WIDTH: f64 = 860.0;
pub(super) const HEIGHT: f64 = 260.0;
pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = 50.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
/// Nines that the axis of percentiles shows: 99.999 %.
const NINES_MAX: f64 = 5.0;
/// Points of a curve.
const POINTS: u32 = 200;

/// Where a share of the width and of the height is.
pub(super) fn x(share: f64) -> f64 {
    LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

pub(super) fn y(share: f64) -> f64 {
    HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
}

/// Decades of microseconds that all latencies of the report are in.
pub(super) fn decades(report: &Report) -> (f64, f64) {
    let all = report.latency();
    let low = (all.min_nz().clamp(1, 1_000_000_000) as f64)
        .log10()
        .floor();
    let high = (all.max().clamp(10, 100_000_000_000) as f64).log10().ceil();
    (low, high.max(low + 1.0))
}

/// A line and a word for each decade.
pub(super) fn latency_axis(svg: &mut String, (low, high): (f64, f64)) {
    let mut decade = low;
    while decade <= high {
        let at = y((decade - low) / (high - low));
        let word = Micros(10_f64.powf(decade) as u64)
            .to_string()
            .replace(".00", "");
        let _ = write!(
            svg,
            "<line class=grid x1={LEFT} x2={:.1} y1={at:.1} y2={at:.1} /><text x={:.1} y={:.1} text-anchor=end>{word}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
        decade += 1.0;
    }
}

pub(super) fn open() -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img>")
}

/// One curve a class: 0, 90, 99, 99.9 % are equally far apart.
pub(super) fn percentiles(report: &Report) -> String {
    let mut svg = open();
    let (low, high) = decades(report);
    latency_axis(&mut svg, (low, high));
    for (nines, word) in ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]
        .iter()
        .enumerate()
    {
        let at = x(nines as f64 / NINES_MAX);
        let _ = write!(
            svg,
            "<text x={at:.1} y={:.1} text-anchor=middle>{word}</text>",
            HEIGHT - 8.0
        );
    }
    for (class, part) in report
        .classes
        .iter()
        .filter(|(class, part)| part.count > 0 && **class != Class::Error)
    {
        let Some(histogram) = hdr::decode(&part.from_intended.histogram) else {
            continue;
        };
        let mut path = String::new();
        // Past the point where one request is all that is left, a curve says nothing.
        let nines_end = (part.count as f64).log10().min(NINES_MAX);
        let mut last = (0.0, 0.0);
        for step in 0..=POINTS {
            let nines = nines_end * f64::from(step) / f64::from(POINTS);
            let micros = histogram
                .value_at_quantile(1.0 - 10_f64.powf(-nines))
                .max(1);
            last = (
                x(nines / NINES_MAX),
                y(((micros as f64).log10() - low) / (high - low)),
            );
            let verb = if step == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", last.0, last.1);
        }
        let name = class.name();
        let _ = write!(
            svg,
            "<path class={name} style=\"fill:none\" d=\"{path}\"/><text class={name} x={:.1} y={:.1}>{name}</text>",
            (last.0 + 4.0).min(WIDTH - RIGHT),
            last.1 - 4.0
        );
    }
    svg + "</svg>"
}

/// A bar for each second, by class; the hit ratio as a line over it.
pub(super) fn rates(report: &Report) -> String {
    let mut svg = open();
    let long = report
        .intervals
        .iter()
        .filter(|interval| interval.length_s > 0.01);
    let rates: Vec<_> = long
        .map(|interval| {
            let count: u64 = interval.classes.values().map(|part| part.count).sum();
            (interval, count as f64 / interval.length_s)
        })
        .collect();
    let most = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let end = rates
        .iter()
        .map(|(interval, _)| interval.at_s + interval.length_s)
        .fold(1e-3, f64::max);
    shares(&mut svg, most);
    let mut ratio = String::new();
    for (interval, _) in &rates {
        let (from, to) = (
            x(interval.at_s / end),
            x((interval.at_s + interval.length_s) / end),
        );
        let (mut below, mut hits, mut good) = (0.0, 0, 0);
        for (class, part) in &interval.classes {
            let share = part.count as f64 / interval.length_s / most;
            let _ = write!(
                svg,
                "<rect class={} x={from:.1} y={:.1} width={:.1} height={:.2} />",
                class.name(),
                y(below + share),
                (to - from - 0.5).max(0.3),
                y(below) - y(below + share)
            );
            below += share;
            hits += if matches!(class, Class::Hit | Class::Stale) {
                part.count
            } else {
                0
            };
            good += if *class == Class::Error {
                0
            } else {
                part.count
            };
        }
        let verb = if ratio.is_empty() { 'M' } else { 'L' };
        let _ = write!(
            ratio,
            "{verb}{:.1} {:.1}",
            f64::midpoint(from, to),
            y(hits as f64 / f64::from(u32::try_from(good.max(1)).unwrap_or(u32::MAX)))
        );
    }
    let _ = write!(
        svg,
        "<path class=ratio style=\"fill:none\" d=\"{ratio}\"/><text x={LEFT} y={0:.1}>0 s</text><text x={1:.1} y={0:.1} text-anchor=end>{end:.0} s</text></svg>",
        HEIGHT - 8.0,
        WIDTH - RIGHT
    );
    svg
}

/// The grid: rates on the left, shares on the right.
fn shares(svg: &mut String, most: f64) {
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let _ = write!(
            svg,
            "<line class=grid x1={LEFT} x2={1:.1} y1={0:.1} y2={0:.1} /><text x={2:.1} y={3:.1} text-anchor=end>{4:.0}</text><text x={5:.1} y={3:.1}>{6:.0} %</text>",
            y(share),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(share) + 4.0,
            most * share,
            WIDTH - RIGHT + 6.0,
            100.0 * share
        );
    }
}
