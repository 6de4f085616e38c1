//! What a source file may not say, and how long it may be.

use super::{Source, holds, rust_files, tree};

/// Messages and time in, effects out. One simulation can run all of them.
const PURE: [&str; 14] = [
    "control-plane/src/receipt.rs",
    "control-plane/src/renewal.rs",
    "edge/src/admit.rs",
    "edge/src/feed.rs",
    "edge/src/heartbeat.rs",
    "edge/src/key.rs",
    "edge/src/ledger.rs",
    "edge/src/origin/balance.rs",
    "edge/src/origin/breaker.rs",
    "edge/src/origin/budget.rs",
    "edge/src/origin/ejection.rs",
    "edge/src/origin/health.rs",
    "edge/src/origin/servers.rs",
    "edge/src/rules/",
];

/// What those do not do.
const IMPURE: [&str; 14] = [
    "tokio::",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
    "thread::spawn",
    "spawn(",
    "Mutex",
    "RwLock",
    "SystemTime::now",
    "Instant::now",
    "clock::",
    ".await",
    "async fn",
    "println!",
];

/// How a program learns what time it is.
const SAYS_NOW: [&str; 6] = [
    "SystemTime::now",
    "Instant::now",
    "now_utc",
    "now_local",
    "clock_gettime",
    ".elapsed(",
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Tables: longer files that are read one row at a time.
const LONG_FILES: [&str; 0] = [];

#[test]
fn what_decides_does_no_io_reads_no_clock_holds_no_lock_and_spawns_nothing() {
    let files = rust_files();
    let mut broken = Vec::new();
    for pure in PURE {
        let is_this = |file: &&Source| {
            file.path == pure || pure.ends_with('/') && file.path.starts_with(pure)
        };
        let found: Vec<_> = files.iter().filter(is_this).collect();
        assert!(
            !found.is_empty(),
            "{pure} is gone: name here what took its place"
        );
        broken.extend(found.iter().flat_map(|file| file.mentions(&IMPURE)));
    }
    holds(
        "rules, ledger, key, follower, heartbeat, receipt, renewal and the choice of servers decide, and do nothing",
        &broken,
    );
}

#[test]
fn only_the_clock_says_now() {
    let in_src = |file: &Source| file.path.contains("src/") && !file.path.ends_with("/clock.rs");
    let files = rust_files().into_iter().filter(in_src);
    let broken: Vec<_> = files.flat_map(|file| file.mentions(&SAYS_NOW)).collect();
    holds("only a crate's clock.rs reads the clock", &broken);
}

#[test]
fn storing_is_ours_and_one_file_knows_each_store() {
    let check = |word: &str, allowed: &str, why: &str| {
        let others = rust_files()
            .into_iter()
            .filter(|file| allowed.is_empty() || !file.path.starts_with(allowed));
        let broken: Vec<_> = others.flat_map(|file| file.mentions(&[word])).collect();
        holds(why, &broken);
    };
    check(
        concat!("pingora_", "cache"),
        "",
        "storing and reusing is ours, not pingora-cache's",
    );
    check(
        concat!("etcd_", "client"),
        "control-plane/src/store/etcd",
        "only store/etcd.rs speaks to etcd",
    );
    check(
        concat!("redb", "::"),
        "control-plane/src/store/embedded",
        "only store/embedded.rs speaks to redb",
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    // `name/tests.rs` is the end of `name.rs`, which says it.
    let silent = |file: &Source| !file.text.starts_with("//!") && !file.path.ends_with("/tests.rs");
    let silent = rust_files().into_iter().filter(silent);
    let broken: Vec<_> = silent.map(|file| file.path).collect();
    holds("a file begins with `//!`: what it is for", &broken);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long = |file: &Source| file.text.lines().count() > FILE_LINES_MAX;
    let files = rust_files().into_iter().filter(long);
    let files = files.filter(|file| !LONG_FILES.contains(&file.path.as_str()));
    let broken: Vec<_> = files
        .map(|file| format!("{} has {}", file.path, file.text.lines().count()))
        .collect();
    holds(
        &format!("a file has at most {FILE_LINES_MAX} lines"),
        &broken,
    );
}

#[test]
fn no_function_is_too_long_to_be_seen_at_once() {
    let mut broken = Vec::new();
    let mut count = 0;
    for file in rust_files() {
        for (number, lines) in functions(&file.text) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                broken.push(format!("{}:{number} has {lines}", file.path));
            }
        }
    }
    assert!(count > 100, "functions are written in another way now");
    holds(
        &format!("a function has at most {FUNCTION_LINES_MAX} lines"),
        &broken,
    );
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let words = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
        concat!("/tmp/", "bri", "ef"),
    ];
    let mut broken = Vec::new();
    for file in tree() {
        for (number, line) in (1..).zip(file.text.lines()) {
            let named = words.iter().filter(|word| line.contains(*word));
            broken.extend(named.map(|word| format!("{}:{number}: {word}", file.path)));
        }
    }
    holds("the tree works wherever it is cloned to", &broken);
}

/// A file that no module names is not compiled, and nobody says so: its tests would never run.
#[test]
fn every_file_is_a_module_of_another() {
    let files = rust_files();
    let names = |parent: &str, module: &str| {
        let parent = files.iter().find(|file| file.path == parent);
        let declared = |file: &Source| {
            let mut code = file.code();
            code.any(|(_, line)| line.ends_with(&format!("mod {module};")))
        };
        parent.is_some_and(declared)
    };
    let mut broken = Vec::new();
    for file in &files {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let module = name.trim_end_matches(".rs");
        // Cargo finds those by itself.
        if ["main", "lib", "build"].contains(&module) || file.path.contains("/fuzz_targets/") {
            continue;
        }
        let parents = [
            format!("{folder}/main.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}.rs"),
        ];
        if !parents.iter().any(|parent| names(parent, module)) {
            broken.push(format!("{}: no `mod {module};` above it", file.path));
        }
    }
    holds("every file is compiled", &broken);
}

/// Line and length of every function, as rustfmt lays them out: the closing brace stands below the `fn`.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        // A test may be a table, which is as long as there are cases.
        let is_test = at > 0 && lines[at - 1].contains("test]");
        if !declares_function(line) || line.ends_with('}') || is_test {
            continue;
        }
        let rest = &lines[at..];
        // In a trait it may have no body.
        let opens = rest
            .iter()
            .find(|line| line.ends_with('{') || line.ends_with(';'));
        if opens.is_none_or(|line| line.ends_with(';')) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", &line[..indent]);
        if let Some(length) = rest.iter().position(|line| *line == end) {
            found.push((at + 1, length + 1));
        }
    }
    found
}

fn declares_function(line: &str) -> bool {
    let modifiers = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "async",
        "const",
        "extern",
    ];
    let mut words = line
        .split_whitespace()
        .skip_while(|word| modifiers.contains(word));
    words.next() == Some("fn")
}

#[test]
fn functions_are_found_and_measured() {
    let text = "fn one() {\n    1\n}\n\ntrait T {\n    fn none(&self);\n    pub async fn two(\n        a: u8,\n    ) {\n        if a {\n        }\n    }\n}\nfn short() {}\n";
    assert_eq!(functions(text), [(1, 3), (7, 6)]);
}
