//! A heat map: time to the right, latency upwards, the deeper the more requests. Averages hide that hits and misses are two.

use std::fmt::Write as _;

use super::super::{Report, hdr};
use super::chart::{HEIGHT, LEFT, RIGHT, WIDTH, decades, latency_axis, open, x, y};
use crate::class::Class;

/// Rows of the map.
const ROWS: usize = 36;
/// Columns; longer runs have several seconds in one.
const COLUMNS_MAX: usize = 120;

/// None when there was no response of this class.
pub(super) fn map(report: &Report, class: Class) -> Option<String> {
    let total = report.classes.get(&class)?.count;
    if total == 0 || report.intervals.is_empty() {
        return None;
    }
    let (low, high) = decades(report);
    // What came after the end is a sliver: it is in the last column.
    let ends = report
        .intervals
        .iter()
        .filter(|interval| interval.length_s > 0.01);
    let end = ends
        .map(|interval| interval.at_s + interval.length_s)
        .fold(1e-3, f64::max);
    let columns = (end.round() as usize).clamp(1, COLUMNS_MAX);
    let mut cells = vec![0_u64; columns * ROWS];
    for interval in &report.intervals {
        let histogram = interval.classes.get(&class);
        let Some(histogram) = histogram.and_then(|part| hdr::decode(&part.from_intended.histogram))
        else {
            continue;
        };
        let column = (((interval.at_s + interval.length_s / 2.0) / end * columns as f64) as usize)
            .min(columns - 1);
        for value in histogram.iter_recorded() {
            let decade = (value.value_iterated_to().max(1) as f64).log10();
            let row = ((decade - low) / (high - low) * ROWS as f64).clamp(0.0, ROWS as f64 - 1.0)
                as usize;
            if let Some(cell) = cells.get_mut(column * ROWS + row) {
                *cell += value.count_since_last_iteration();
            }
        }
    }
    let most = cells.iter().copied().max().unwrap_or(1).max(1) as f64;
    let mut svg = open();
    latency_axis(&mut svg, (low, high));
    let cell_width = (WIDTH - LEFT - RIGHT) / columns as f64;
    for (at, count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (column, row) = (at / ROWS, at % ROWS);
        // A logarithm, so that the few are seen beside the many.
        let depth = 0.12 + 0.88 * (*count as f64).ln_1p() / most.ln_1p();
        let top = y((row + 1) as f64 / ROWS as f64);
        let _ = write!(
            svg,
            "<rect class={} opacity={depth:.2} x={:.1} y={top:.1} width={:.2} height={:.2} />",
            class.name(),
            x(column as f64 / columns as f64),
            cell_width,
            y(row as f64 / ROWS as f64) - top
        );
    }
    let _ = write!(
        svg,
        "<text x={LEFT} y={0:.1}>0 s</text><text x={1:.1} y={0:.1} text-anchor=end>{end:.0} s</text></svg>",
        HEIGHT - 8.0,
        WIDTH - RIGHT
    );
    Some(svg)
}
