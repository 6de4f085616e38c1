//! A heat map: time to the right, latency upwards, the deeper the more requests. Averages hide that hits and misses are two.

use super::super::{Count, Report, hdr};
use super::chart::SLIVER_S;
use super::frame::{Frame, Scale};
use crate::class::Class;

const HEIGHT: f64 = 280.0;
/// Rows of the map.
const ROWS: usize = 40;
/// Columns; longer runs have several seconds in one.
const COLUMNS_MAX: usize = 120;
/// Of a cell with one request, so that it is seen.
const DEPTH_LEAST: f64 = 0.15;

/// Counts by column and row.
struct Map {
    columns: usize,
    cells: Vec<u64>,
    /// Median and 99th percentile by column; None where nothing came.
    lines: Vec<Option<(u64, u64)>>,
}

/// None when there was no response of this class. With how many requests the deepest cell stands for.
pub(super) fn map(report: &Report, class: Class) -> Option<(String, Count)> {
    let part = report.classes.get(&class)?;
    if part.count == 0 || report.intervals.is_empty() {
        return None;
    }
    let all = report.latency();
    let scale = Scale::of(all.min_nz(), all.max());
    // What came after the end is in the last column.
    let long = report
        .intervals
        .iter()
        .filter(|interval| interval.length_s > SLIVER_S);
    let end = long
        .map(|interval| interval.at_s + interval.length_s)
        .fold(1e-3, f64::max);
    let map = Map::new(report, class, &scale, end);
    let most = map.cells.iter().copied().max().unwrap_or(1).max(1);
    let name = class.name();
    let says = format!("Heat map: latency of {name} over time");
    let mut frame = Frame::new(&says, HEIGHT);
    frame.latencies(&scale);
    frame.seconds(end);
    frame.names("latency", "seconds of the run", "");
    map.draw(&mut frame, name, most);
    for (style, of) in [("median", 0), ("tail", 1)] {
        let points = map.lines.iter().enumerate().filter_map(|(column, line)| {
            let (median, tail) = (*line)?;
            let at = (column as f64 + 0.5) / map.columns as f64;
            Some((at, scale.share(if of == 0 { median } else { tail })))
        });
        frame.curve(style, points);
    }
    Some((frame.finish(), Count(most)))
}

impl Map {
    fn new(report: &Report, class: Class, scale: &Scale, end: f64) -> Self {
        let columns = (end.round() as usize).clamp(1, COLUMNS_MAX);
        let mut cells = vec![0_u64; columns * ROWS];
        let mut latencies = vec![crate::record::histogram(); columns];
        for interval in &report.intervals {
            let part = interval.classes.get(&class);
            let Some(histogram) = part.and_then(|part| hdr::decode(&part.from_intended.histogram))
            else {
                continue;
            };
            let middle = (interval.at_s + interval.length_s / 2.0) / end;
            let column = ((middle * columns as f64) as usize).min(columns - 1);
            if let Some(latency) = latencies.get_mut(column) {
                // The same bounds, unless another program made it.
                let _ = latency.add(&histogram);
            }
            for value in histogram.iter_recorded() {
                let share = scale.share(value.value_iterated_to()).clamp(0.0, 1.0);
                let row = ((share * ROWS as f64) as usize).min(ROWS - 1);
                if let Some(cell) = cells.get_mut(column * ROWS + row) {
                    *cell += value.count_since_last_iteration();
                }
            }
        }
        let lines = latencies.iter().map(|latency| {
            let at = |quantile| latency.value_at_quantile(quantile);
            (!latency.is_empty()).then(|| (at(0.5), at(0.99)))
        });
        Self {
            columns,
            cells,
            lines: lines.collect(),
        }
    }

    fn draw(&self, frame: &mut Frame, name: &str, most: u64) {
        let share = |at: usize, of: usize| at as f64 / of as f64;
        for (at, count) in self
            .cells
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let (column, row) = (at / ROWS, at % ROWS);
            // A logarithm, so that the few are seen beside the many.
            let depth = (*count as f64).ln_1p() / (most as f64).ln_1p();
            let depth = DEPTH_LEAST + (1.0 - DEPTH_LEAST) * depth;
            let (left, top) = (
                frame.x(share(column, self.columns)),
                frame.y(share(row + 1, ROWS)),
            );
            let width = frame.x(share(column + 1, self.columns)) - left + 0.2;
            let height = frame.y(share(row, ROWS)) - top + 0.2;
            frame.draw(format_args!(
                "<rect class={name} opacity={depth:.2} x={left:.1} y={top:.1} width={width:.1} height={height:.1} />"
            ));
        }
    }
}
