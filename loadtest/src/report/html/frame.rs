//! The paper that pictures are drawn on: a grid, words along it, and curves.
//!
//! Places are shares of the drawing, from the left and from below: 0 to 1.

use std::fmt::Write as _;

use super::super::{Count, Micros};

/// Of all pictures, so that they stand under one another.
pub(crate) const WIDTH: f64 = 880.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 64.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// Marks of an axis, at most.
const MARKS_MAX: f64 = 9.0;
/// Steps between marks of time, in seconds.
const STEPS_S: [f64; 13] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

pub(crate) struct Frame {
    svg: String,
    height: f64,
    left: f64,
}

impl Frame {
    /// `says` is read to those who do not see it.
    pub(crate) fn new(says: &str, height: f64) -> Self {
        Self::with_left(says, height, LEFT)
    }

    /// With so much room for words at the left.
    pub(crate) fn with_left(says: &str, height: f64, left: f64) -> Self {
        let says = super::escape(says);
        Self {
            svg: format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=img aria-label=\"{says}\">"),
            height,
            left,
        }
    }

    pub(crate) fn x(&self, share: f64) -> f64 {
        self.left + share.clamp(0.0, 1.0) * (WIDTH - self.left - RIGHT)
    }

    pub(crate) fn y(&self, share: f64) -> f64 {
        self.height - BOTTOM - share.clamp(0.0, 1.0) * (self.height - TOP - BOTTOM)
    }

    /// Anything else.
    pub(crate) fn draw(&mut self, svg: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.svg, "{svg}");
    }

    /// A line across, and its word at the left.
    pub(crate) fn row(&mut self, share: f64, word: &str) {
        let (at, left, right) = (self.y(share), self.x(0.0), self.x(1.0));
        let text = left - 8.0;
        self.draw(format_args!(
            "<line class=grid x1={left:.1} x2={right:.1} y1={at:.1} y2={at:.1} />\
             <text x={text:.1} y={:.1} text-anchor=end>{word}</text>",
            at + 4.0
        ));
    }

    /// A line upwards, and its word below.
    pub(crate) fn column(&mut self, share: f64, word: &str) {
        let (at, bottom, top) = (self.x(share), self.y(0.0), self.y(1.0));
        self.draw(format_args!(
            "<line class=grid x1={at:.1} x2={at:.1} y1={bottom:.1} y2={top:.1} />\
             <text x={at:.1} y={:.1} text-anchor=middle>{word}</text>",
            bottom + 17.0
        ));
    }

    /// A word at the right, for a second axis.
    pub(crate) fn beside(&mut self, share: f64, word: &str) {
        let (x, y) = (self.x(1.0) + 8.0, self.y(share) + 4.0);
        self.draw(format_args!("<text x={x:.1} y={y:.1}>{word}</text>"));
    }

    /// What is along the axes: upwards, to the right, and upwards at the right.
    pub(crate) fn names(&mut self, up: &str, along: &str, beside: &str) {
        let middle = self.x(0.5);
        let below = self.height - 8.0;
        self.draw(format_args!(
            "<text class=name x={middle:.1} y={below:.1} text-anchor=middle>{along}</text>"
        ));
        for (name, at) in [(up, 13.0), (beside, WIDTH - 6.0)] {
            let y = self.y(0.5);
            self.draw(format_args!(
                "<text class=name transform=\"translate({at:.1} {y:.1}) rotate(-90)\" text-anchor=middle>{name}</text>"
            ));
        }
    }

    pub(crate) fn curve(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let mut path = String::new();
        for (x, y) in points {
            let verb = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", self.x(x), self.y(y));
        }
        self.draw(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    /// Marks of time from the start to `end`.
    pub(crate) fn seconds(&mut self, end: f64) {
        let step = STEPS_S.into_iter().find(|step| end / step <= MARKS_MAX);
        let step = step.unwrap_or(end / MARKS_MAX);
        let minutes = step >= 60.0;
        let mut at = 0.0;
        while at <= end * 1.001 {
            let word = if minutes { at / 60.0 } else { at };
            // Tenths of a second are not written 0.30000000000000004.
            let word = (word * 10.0).round() / 10.0;
            self.column(at / end, &word.to_string());
            at += step;
        }
    }

    /// Marks of a latency, upwards.
    pub(crate) fn latencies(&mut self, scale: &Scale) {
        for (micros, named) in scale.marks() {
            let word = Micros(micros).to_string().replace(".00", "");
            self.row(scale.share(micros), if named { &word } else { "" });
        }
    }

    /// Marks of a count from nothing to `most`, upwards.
    pub(crate) fn counts(&mut self, most: f64) {
        let step = nice_step(most);
        let mut at = 0.0;
        while at <= most * 1.001 {
            self.row(at / most, &Count(at as u64).to_string());
            at += step;
        }
    }

    pub(crate) fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// Latencies on a logarithmic axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Logarithms of microseconds.
    low: f64,
    high: f64,
}

impl Scale {
    /// From 1, 2 or 5 of something just below `least` to one just above `most`.
    pub(crate) fn of(least: u64, most: u64) -> Self {
        let marks = || (0..12).flat_map(|decade| [1, 2, 5].map(|digit| digit * 10_u64.pow(decade)));
        let low = marks().take_while(|mark| *mark <= least.max(1)).last();
        let low = low.unwrap_or(1);
        let high = marks().find(|mark| *mark >= most && *mark > low);
        let high = high.unwrap_or(u64::MAX);
        Self {
            low: (low as f64).log10(),
            high: (high as f64).log10(),
        }
    }

    pub(crate) fn share(&self, micros: u64) -> f64 {
        ((micros.max(1) as f64).log10() - self.low) / (self.high - self.low)
    }

    /// 1, 2 and 5 of each decade, and whether there is room for its word.
    fn marks(&self) -> Vec<(u64, bool)> {
        let decades = self.high - self.low;
        let marks = (0..12).flat_map(|decade| [1, 2, 5].map(|digit| (digit, decade)));
        let marks = marks.map(|(digit, decade)| {
            let named = digit == 1 || decades <= 3.2;
            (digit * 10_u64.pow(decade), named)
        });
        let within = |micros: u64| (-1e-9..=1.0 + 1e-9).contains(&self.share(micros));
        marks.filter(|(micros, _)| within(*micros)).collect()
    }
}

/// What a run of counts up to this reads best in: 1, 2 or 5 of something, six marks or so.
fn nice_step(most: f64) -> f64 {
    let raw = (most / 6.0).max(1.0);
    let decade = 10_f64.powf(raw.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| digit * decade >= raw);
    digit.unwrap_or(10.0) * decade
}

/// The end of an axis that shows `most`: a mark.
pub(crate) fn nice_end(most: f64) -> f64 {
    let step = nice_step(most.max(1.0));
    (most.max(1.0) / step).ceil() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_as_wide_as_what_it_shows() {
        let check = |least, most, low: u64, high: u64| {
            let scale = Scale::of(least, most);
            let (first, last) = (scale.share(low), scale.share(high));
            assert!(first.abs() < 1e-9 && (last - 1.0).abs() < 1e-9, "{scale:?}");
        };
        check(180, 4_430, 100, 5_000);
        check(200, 200, 200, 500);
        check(0, 0, 1, 2);
        check(1_000, 1_000_000, 1_000, 1_000_000);
        let words = |least, most| {
            let marks = Scale::of(least, most).marks();
            marks.into_iter().filter(|(_, named)| *named).count()
        };
        assert_eq!(words(100, 1_000), 4);
        assert_eq!(words(1, 1_000_000), 7);
    }

    #[test]
    fn counts_end_at_a_mark() {
        let check = |most: f64, end: f64, step: f64| {
            assert!(
                (nice_end(most) - end).abs() < 1e-9,
                "{most}: {}",
                nice_end(most)
            );
            assert!(
                (nice_step(end) - step).abs() < 1e-9,
                "{most}: {}",
                nice_step(end)
            );
        };
        check(0.0, 1.0, 1.0);
        check(7.0, 8.0, 2.0);
        check(1_003.0, 1_200.0, 200.0);
        check(41_000.0, 50_000.0, 10_000.0);
    }
}
