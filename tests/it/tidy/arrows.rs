//! Which crate may know which: our own, and others'.

use std::env;
use std::process::Command;

use serde_json::Value;

use super::{Source, holds, root, tree};

/// Who may name what is nobody else's business. A `*` stands for any ending.
const OWNED: [(&str, &str, &str); 7] = [
    ("pingora*", "seawall-edge", "only the edge is a proxy"),
    ("moka", "seawall-edge", "only the edge stores responses"),
    ("redb", "seawall-control-plane", "an edge has no store"),
    (
        "etcd-client",
        "seawall-control-plane",
        "an edge does not know etcd",
    ),
    ("anyhow", "seawall", "libraries have typed errors"),
    ("clap", "seawall", "libraries have no command line"),
    (
        "tracing-subscriber",
        "seawall",
        "where logs go is not for a library to say",
    ),
];

/// In the tree of nobody. `openssl-probe` is none of them: it finds the system's certificates for rustls.
const BANNED: [&str; 7] = [
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
    "tokio-openssl",
];

#[test]
fn our_crates_know_one_another_only_along_the_arrows() {
    let may_know = |name: &str| match name {
        "seawall" => &["config", "certs", "edge", "control-plane", "loadtest"][..],
        "seawall-edge" | "seawall-control-plane" => &["config", "certs"],
        "seawall-config" | "seawall-certs" | "seawall-loadtest" => &[],
        other => panic!("{other} is a new crate: say here whom it may know"),
    };
    let mut broken = Vec::new();
    for package in packages() {
        let known = package.dependencies.iter();
        let ours = known.filter_map(|dependency| dependency.strip_prefix("seawall-"));
        let strange = ours.filter(|ours| !may_know(&package.name).contains(ours));
        broken.extend(strange.map(|ours| format!("{} names {ours}", package.manifest)));
    }
    holds("crates know one another along the arrows only", &broken);
}

#[test]
fn what_belongs_to_one_crate_is_named_by_no_other() {
    for (name, owner, why) in OWNED {
        let matches = |dependency: &str| match name.strip_suffix('*') {
            Some(begin) => dependency.starts_with(begin),
            None => dependency == name,
        };
        let others = packages()
            .into_iter()
            .filter(|package| package.name != owner);
        let guilty = others.filter(|package| package.dependencies.iter().any(|name| matches(name)));
        let broken: Vec<_> = guilty.map(|package| package.manifest).collect();
        holds(&format!("only {owner} names {name}: {why}"), &broken);
    }
}

#[test]
fn config_knows_no_runtime() {
    let config = packages().into_iter().find(|p| p.name == "seawall-config");
    let config = config.unwrap();
    let is_runtime = |name: &str| {
        let families = [
            "tokio", "pingora", "hyper", "axum", "futures", "async-", "mio",
        ];
        families.iter().any(|family| name.starts_with(family))
    };
    let broken: Vec<_> = config
        .dependencies
        .into_iter()
        .filter(|name| is_runtime(name))
        .collect();
    holds("config/Cargo.toml: words need no runtime", &broken);
}

#[test]
fn tls_is_rustls_with_ring_and_nothing_else() {
    let lock = file("Cargo.lock");
    let packages: Vec<_> = lock
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("name = "))
        .collect();
    assert!(packages.contains(&"\"rustls\"") && packages.contains(&"\"ring\""));
    let banned = BANNED
        .iter()
        .filter(|name| packages.contains(&format!("\"{name}\"").as_str()));
    let broken: Vec<_> = banned
        .map(|name| format!("{name}; `cargo tree -i {name}` says who brings it"))
        .collect();
    holds("Cargo.lock: TLS is rustls with ring", &broken);
}

#[test]
fn every_dependency_comes_from_the_public_index() {
    let lock = file("Cargo.lock");
    let sources = lock
        .text
        .lines()
        .filter(|line| line.starts_with("source = "));
    let index = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let broken: Vec<_> = sources
        .filter(|source| *source != index)
        .map(str::to_owned)
        .collect();
    holds("Cargo.lock: crates come from the public index", &broken);

    let is_cargos =
        |source: &Source| source.path.ends_with("Cargo.toml") || source.path.contains(".cargo/");
    let words = [
        "[source",
        "replace-with",
        "[registries",
        "registry =",
        "git =",
        "[patch",
    ];
    let cargos = tree().into_iter().filter(is_cargos);
    let broken: Vec<_> = cargos.flat_map(|source| source.mentions(&words)).collect();
    holds("crates come from the public index", &broken);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let root = file("Cargo.toml");
    assert!(
        root.text
            .contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"),
        "Cargo.toml: unsafe code is forbidden"
    );
    let manifests = packages()
        .into_iter()
        .map(|package| file(&package.manifest));
    let lax = manifests.filter(|manifest| !manifest.text.contains("\n[lints]\nworkspace = true\n"));
    let broken: Vec<_> = lax.map(|manifest| manifest.path).collect();
    holds("every crate says `[lints] workspace = true`", &broken);
}

#[test]
fn every_dependency_of_the_workspace_is_used() {
    let packages = packages();
    let named = section(&file("Cargo.toml").text, "[workspace.dependencies]");
    let unused = named.iter().map(|line| name(line)).filter(|name| {
        let uses = |package: &Package| package.dependencies.iter().any(|used| used == name);
        !packages.iter().any(uses)
    });
    let broken: Vec<_> = unused.map(str::to_owned).collect();
    holds(
        "Cargo.toml: every line of [workspace.dependencies] is used",
        &broken,
    );
}

#[test]
fn versions_stand_in_one_place() {
    let mut broken = Vec::new();
    for package in packages() {
        let manifest = file(&package.manifest);
        let sections = [
            "[dependencies]",
            "[dev-dependencies]",
            "[build-dependencies]",
        ];
        let lines = sections
            .iter()
            .flat_map(|header| section(&manifest.text, header));
        let own = lines.filter(|line| !line.contains("workspace = true"));
        broken.extend(own.map(|line| format!("{}: {line}", package.manifest)));
    }
    holds("a crate takes its dependencies from the workspace", &broken);
}

#[test]
fn what_a_crate_depends_on_its_sources_mention() {
    let tree = tree();
    let mut broken = Vec::new();
    for package in packages() {
        let folder = package.manifest.trim_end_matches("Cargo.toml");
        // The root package's own sources are below `src` and `tests`.
        let folders = ["src/", "tests/"].map(|below| format!("{folder}{below}"));
        let own = tree
            .iter()
            .filter(|source| folders.iter().any(|folder| source.path.starts_with(folder)));
        let own: Vec<_> = own.filter(|source| source.is_rust()).collect();
        let unused = package.dependencies.iter().filter(|dependency| {
            let word = dependency.replace('-', "_");
            !own.iter().any(|source| source.text.contains(&word))
        });
        broken.extend(unused.map(|dependency| format!("{}: {dependency}", package.manifest)));
    }
    holds("a dependency is there because a source needs it", &broken);
}

/// A crate of ours.
struct Package {
    name: String,
    /// From the root of the tree.
    manifest: String,
    /// What its manifest names, for building and for tests.
    dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "cargo metadata: {error}; {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let prefix = format!("{}/", root().display());
    let package = |package: &Value| Package {
        name: text(&package["name"]),
        manifest: text(&package["manifest_path"]).replace(&prefix, ""),
        dependencies: package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| text(&one["name"]))
            .collect(),
    };
    let packages: Vec<_> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(package)
        .collect();
    assert!(packages.len() >= 6, "crates are missing: {metadata}");
    packages
}

fn file(path: &str) -> Source {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    Source {
        path: path.to_owned(),
        text,
    }
}

/// The lines below a header of a manifest, to the next one.
fn section(manifest: &str, header: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What is before the first `=` or `.` of a line.
fn name(line: &str) -> &str {
    line.split(['=', '.', ' ']).next().unwrap()
}
