//! Words for whoever runs the command. A reader that has gone (`seawall edges | head -1`), or a disk that is full,
//! is no reason to panic, as `println!` would.

use std::fmt::Display;
use std::io::Write;

/// The result, to stdout, with a line end.
pub(crate) fn result(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// What a person should know beside it, to stderr, with a line end.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
