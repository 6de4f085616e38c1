//! What happened, for whoever has to find out why.

use std::collections::VecDeque;
use std::fmt;

/// Lines that are kept: the last ones tell most.
const LINES_MAX: usize = 400;

#[derive(Default)]
pub struct Story {
    lines: VecDeque<String>,
    left_out: usize,
}

impl Story {
    pub fn tell(&mut self, at_ms: u64, line: impl fmt::Display) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(format!("{at_ms:>7} ms  {line}"));
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            writeln!(f, "({} lines before these)", self.left_out)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
