//! What whoever runs the tests has to know, though they pass.

use std::io::Write as _;

/// Said on stderr itself: what a test prints is kept from view while it passes.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "\n{text}");
}
