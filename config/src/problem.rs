//! One thing wrong in a configuration, with its path; and all of them at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Problems that are told at once; the rest waits until these are solved.
pub const PROBLEMS_MAX: usize = 100;
/// Characters of a source line that are shown.
const SOURCE_CHARS_MAX: usize = 200;

/// One thing wrong: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The path in the document: `site[0].origin.server[1].url`; empty for the document itself.
    pub path: String,
    /// What is wrong, and where it is not plain, what would be right.
    pub message: String,
    /// For a file: the line and column (both from 1) and the source line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// How many characters the caret underlines, at least 1.
    pub width: usize,
    /// The line, fit for a terminal: see [`At::new`].
    pub source: String,
}

/// Everything that is wrong, in document order. Never empty where it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            at: None,
        }
    }
}

impl At {
    /// A tab in `source` becomes one space, so that a column is a character; a long line is cut.
    pub fn new(line: usize, column: usize, width: usize, source: &str) -> Self {
        let mut shown: String = printable(source).take(SOURCE_CHARS_MAX).collect();
        if source.chars().nth(SOURCE_CHARS_MAX).is_some() {
            shown.push('…');
        }
        Self {
            line,
            column,
            width: width.max(1),
            source: shown,
        }
    }
}

impl Problems {
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.push(Problem::new(path, message));
    }

    /// Past [`PROBLEMS_MAX`] only the news that there are more.
    pub fn push(&mut self, problem: Problem) {
        match self.0.len() {
            0..PROBLEMS_MAX => self.0.push(problem),
            PROBLEMS_MAX => self.add_last(),
            _ => {}
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing was wrong, everything that was wrong otherwise.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    fn add_last(&mut self) {
        self.0.push(Problem::new(
            "",
            format!("there are more; these are the first {PROBLEMS_MAX}"),
        ));
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} problem{}:", if count == 1 { "" } else { "s" })?;
        for problem in &self.0 {
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| printable(text).collect::<String>();
        let colon = if self.path.is_empty() { "" } else { ": " };
        writeln!(f, "  {}{colon}{}", line(&self.path), line(&self.message))?;
        let Some(at) = &self.at else { return Ok(()) };
        // An edge's problems come over the wire: the caret is kept within the line whatever they say.
        let before = at.column.saturating_sub(1).min(at.source.chars().count());
        let under = at
            .source
            .chars()
            .count()
            .saturating_sub(before)
            .clamp(1, at.width.max(1));
        let number = at.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "  {gutter} |")?;
        writeln!(f, "  {number} | {}", line(&at.source))?;
        let blank: String = at
            .source
            .chars()
            .take(before)
            .map(|c| if wide(c) { '\u{3000}' } else { ' ' })
            .collect();
        let caret: String = at
            .source
            .chars()
            .skip(before)
            .take(under)
            .map(|c| if wide(c) { "^^" } else { "^" })
            .collect();
        writeln!(
            f,
            "  {gutter} | {blank}{}",
            if caret.is_empty() { "^" } else { &caret }
        )
    }
}

/// The characters of a line with all that a terminal would obey instead of show replaced, one by one:
/// controls, and the marks that change the direction of text.
fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| match c {
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    })
}

/// Whether a terminal gives the character two columns, near enough for a caret to stand right.
fn wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, message: &str, at: At) -> String {
        Problem {
            path: path.into(),
            message: message.into(),
            at: Some(at),
        }
        .to_string()
    }

    #[test]
    fn the_caret_stands_under_the_value() {
        let at = At::new(12, 11, 4, "\tweight = 1001 # é");
        let expect =
            "  a.weight: too much\n     |\n  12 |  weight = 1001 # é\n     |           ^^^^\n";
        assert_eq!(shown("a.weight", "too much", at), expect);
        // A wide character takes two columns, before the caret and above it.
        let at = At::new(1, 5, 3, "名 = \"名\"");
        assert_eq!(
            shown("", "bad", at),
            "  bad\n    |\n  1 | 名 = \"名\"\n    | \u{3000}   ^^^^\n"
        );
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        let at = At::new(1, 1, 1, "a\u{1b}[2J\u{202e}\u{9b}b\r");
        let text = shown("\u{1b}[31m", "\u{7}", at);
        let raw: String = text
            .chars()
            .filter(|c| c.is_control() && *c != '\n')
            .collect();
        assert_eq!(raw, "", "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }

    #[test]
    fn a_place_from_the_wire_cannot_ask_for_memory() {
        for (column, width) in [(0, 0), (usize::MAX, usize::MAX), (2, usize::MAX)] {
            let at = At {
                line: usize::MAX,
                column,
                width,
                source: "\u{1b}short".into(),
            };
            let text = shown("p", "m", at);
            assert!(
                text.len() < 200 && text.contains('^') && !text.contains('\u{1b}'),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_thousand_problems_are_cut_and_the_reader_is_told() {
        let mut problems = Problems::default();
        for i in 0..1_000 {
            problems.add(format!("w{i}"), "wrong");
        }
        assert_eq!(problems.0.len(), PROBLEMS_MAX + 1);
        let last = problems.0.last().map(|problem| problem.message.as_str());
        assert_eq!(last, Some("there are more; these are the first 100"));
    }
}
