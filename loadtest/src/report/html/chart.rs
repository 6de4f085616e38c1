//! Latency by percentile, and requests and hit ratio over time.

use hdrhistogram::Histogram;

use super::super::{Count, Report, hdr};
use super::frame::{Frame, Scale, nice_end};
use crate::class::Class;

const HEIGHT: f64 = 320.0;
/// Nines that the axis of percentiles shows: 99.999 %.
const NINES_MAX: f64 = 5.0;
/// Shorter than this, in seconds, is what came after the end: no second of the run.
pub(super) const SLIVER_S: f64 = 0.1;
/// Points of a curve.
const POINTS: u32 = 200;

/// One curve of percentiles.
pub(crate) struct Curve {
    /// How it is drawn: words of the style.
    pub(crate) style: String,
    pub(crate) latency: Histogram<u64>,
}

/// 0, 90, 99, 99.9 % are equally far apart.
pub(crate) fn percentiles(curves: &[Curve]) -> String {
    let says = "Curves: latency by percentile";
    let mut frame = Frame::new(says, HEIGHT);
    let filled = || curves.iter().filter(|curve| !curve.latency.is_empty());
    let least = filled().map(|curve| curve.latency.min_nz()).min();
    let most = filled().map(|curve| curve.latency.max()).max();
    let scale = Scale::of(least.unwrap_or(1), most.unwrap_or(1));
    frame.latencies(&scale);
    for (nines, word) in ["0", "90", "99", "99.9", "99.99", "99.999"]
        .iter()
        .enumerate()
    {
        frame.column(nines as f64 / NINES_MAX, word);
    }
    frame.names("latency", "percentile of requests, %", "");
    for curve in filled() {
        // Past the point where one request is all that is left, a curve says nothing.
        let nines_end = (curve.latency.len() as f64).log10().min(NINES_MAX);
        let points = (0..=POINTS).map(|step| {
            let nines = nines_end * f64::from(step) / f64::from(POINTS);
            let micros = curve.latency.value_at_quantile(1.0 - 10_f64.powf(-nines));
            (nines / NINES_MAX, scale.share(micros))
        });
        frame.curve(&curve.style, points);
    }
    frame.finish()
}

/// Of each class two: as users would have waited, and from when requests left.
pub(super) fn curves(report: &Report) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (class, part) in &report.classes {
        if part.count == 0 || *class == Class::Error {
            continue;
        }
        let name = class.name();
        // A closed loop has no schedule: both are the same.
        let sent = report.send_lag_us.map(|_| (&part.from_send, "sent"));
        for (latency, style) in [Some((&part.from_intended, "")), sent]
            .into_iter()
            .flatten()
        {
            curves.extend(hdr::decode(&latency.histogram).map(|latency| Curve {
                style: format!("{name} {style}"),
                latency,
            }));
        }
    }
    curves
}

/// A bar for each second, by class; the hit ratio as a line over it.
pub(super) fn rates(report: &Report) -> String {
    let mut frame = Frame::new("Bars: requests a second, by class. Line: hit ratio", HEIGHT);
    let long = || {
        let intervals = report.intervals.iter();
        intervals.filter(|interval| interval.length_s > SLIVER_S)
    };
    let rate = |count: u64, length_s: f64| count as f64 / length_s;
    let most = long().map(|interval| {
        let count = interval.classes.values().map(|part| part.count).sum();
        rate(count, interval.length_s)
    });
    let most = nice_end(most.fold(1.0, f64::max));
    let ends = long().map(|interval| interval.at_s + interval.length_s);
    let end = ends.fold(1e-3, f64::max);
    frame.counts(most);
    frame.seconds(end);
    frame.names("requests a second", "seconds of the run", "hit ratio");
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        frame.beside(share, &format!("{:.0} %", 100.0 * share));
    }
    let mut ratio = Vec::new();
    for interval in long() {
        let (from, to) = (
            interval.at_s / end,
            (interval.at_s + interval.length_s) / end,
        );
        let width = (frame.x(to) - frame.x(from) - 1.0).max(0.5);
        let (mut below, mut hits, mut good) = (0.0, 0, 0);
        for (class, part) in &interval.classes {
            let share = rate(part.count, interval.length_s) / most;
            let (top, bottom) = (frame.y(below + share), frame.y(below));
            let (x, name, height) = (frame.x(from) + 0.5, class.name(), bottom - top);
            frame.draw(format_args!(
                "<rect class={name} x={x:.1} y={top:.2} width={width:.1} height={height:.2}>\
                 <title>{name}: {}, at {:.0} s</title></rect>",
                Count(part.count),
                interval.at_s
            ));
            below += share;
            hits += match class {
                Class::Hit | Class::Stale => part.count,
                _ => 0,
            };
            good += match class {
                Class::Error => 0,
                _ => part.count,
            };
        }
        if good > 0 {
            ratio.push((f64::midpoint(from, to), hits as f64 / good as f64));
        }
    }
    frame.curve("ratio", ratio);
    frame.finish()
}
