//! What may know what, and what a file may not do: the rules of ARCHITECTURE.md and CONTRIBUTING.md that a compiler
//! does not hold, checked over the manifests and the sources. `clippy.toml` and `deny.toml` hold the rest.

mod arrows;
mod sections;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// Not ours, or not sources: built, fetched, or written by a running Seawall.
const SKIPPED: [&str; 6] = [
    ".git",
    "node_modules",
    "seawall-demo",
    "seawall-state",
    "state",
    "target",
];

/// One text file of the tree.
struct Source {
    /// From the root of the tree, such as `edge/src/key.rs`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines with their numbers, without what stands behind `//`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line| match str::find(line, "//") {
            // Not the `//` of a URL.
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            _ => line,
        };
        (1..).zip(self.text.lines().map(code))
    }

    /// Where its code holds one of `words`, for a person.
    fn mentions(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in self.code() {
            let said = words.iter().filter(|word| line.contains(*word));
            found.extend(said.map(|word| format!("{}:{number}: {word}", self.path)));
        }
        found
    }
}

/// Every text file of the tree.
fn tree() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&root(), &mut sources);
    assert!(sources.len() > 50, "the tree is somewhere else");
    sources
}

fn rust_files() -> Vec<Source> {
    tree().into_iter().filter(Source::is_rust).collect()
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&path, sources);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).unwrap();
            let path = path.to_str().unwrap().to_owned();
            sources.push(Source { path, text });
        }
    }
}

/// Fails with the rule and every place that breaks it.
#[track_caller]
fn holds(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}; but\n  {}", broken.join("\n  "));
}
