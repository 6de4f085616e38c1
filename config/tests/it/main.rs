//! The configuration as an operator meets it: its examples, its reference, its error messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod addresses;
mod examples;
mod messages;
mod mutations;
mod origins;
mod reference;
mod roles;

use seawall_config::Problems;
use serde_json::{Value, json};

/// The problems as `path: message` lines.
fn lines<T>(result: Result<T, Problems>) -> Vec<String> {
    let problems = result.err().unwrap_or_default();
    problems
        .0
        .into_iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

/// A good site with one word changed (or, with null, taken out).
fn site_with(word: &str, value: Value) -> Value {
    let mut site = json!({"name": "a", "hosts": ["a.example"], "origin": "http://127.0.0.1:9000"});
    site.as_object_mut().unwrap().insert(word.to_owned(), value);
    site
}
