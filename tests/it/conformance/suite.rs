//! The public HTTP cache tests, `http-cache-tests` from npm: installed once, then asked of a `seawall run` of their
//! own, in front of their own origin.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::root;
use super::score::{Listing, Results};
use crate::support::{Folder, Process, Seawall, eventually, within};

/// All of them take 13 s on an idle machine; most of that they sleep.
const RUN_MAX: Duration = Duration::from_secs(180);
/// 6 MB from a registry.
const INSTALL_MAX: Duration = Duration::from_secs(180);
/// The origin of `config/examples/conformance.toml`.
const EXAMPLE_ORIGIN: &str = "http://127.0.0.1:8000";

pub struct Suite {
    package: PathBuf,
}

impl Suite {
    /// From npm, unless it is there already: below cargo's target folder, named for the lock it was installed by.
    pub fn install() -> Self {
        let lock = fs::read(ours("package-lock.json")).unwrap();
        let mut hasher = DefaultHasher::new();
        lock.hash(&mut hasher);
        let name = format!("http-cache-tests-{:016x}", hasher.finish());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if !folder.exists() {
            install(&folder);
        }
        Self {
            package: folder.join("node_modules/http-cache-tests"),
        }
    }

    /// What it asks, and the results of others that it publishes.
    pub fn listing(&self) -> Listing {
        let folder = Folder::new();
        let mut node = node(&ours("list.mjs"));
        let mut listing = Process::spawn(node.arg(&self.package), &folder);
        assert!(listing.end().success());
        serde_json::from_str(&listing.output()).unwrap()
    }

    /// Asks a new Seawall, with nothing stored, every test.
    pub fn run(&self) -> Results {
        let (_origin, url) = self.start_origin();
        let example = fs::read_to_string(root().join("config/examples/conformance.toml")).unwrap();
        assert!(example.contains(EXAMPLE_ORIGIN), "{example}");
        let seawall = Seawall::run_config(&example.replace(EXAMPLE_ORIGIN, &url));

        let folder = Folder::new();
        let mut node = node(&self.package.join("cli.mjs"));
        node.env("npm_config_base", seawall.url(""));
        // No test in particular: all.
        node.env("npm_config_id", "")
            .env("npm_package_config_id", "");
        let mut asking = Process::spawn(&mut node, &folder);
        within(RUN_MAX, "every test has been asked", || {
            asking.ended().is_some()
        });
        let output = asking.output();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    /// The origin that the tests tell what to answer, and its URL.
    fn start_origin(&self) -> (Process, String) {
        let folder = Folder::new();
        let mut node = node(&ours("origin.mjs"));
        node.arg(&self.package)
            // It serves the files of the folder it is started in: here are none.
            .current_dir(folder.path())
            .env("npm_config_protocol", "http")
            .env("npm_config_port", "0")
            .env("npm_config_pidfile", folder.path().join("pid"));
        let mut origin = Process::spawn(&mut node, &folder);
        let mut url = None;
        eventually("the origin listens", || {
            assert_eq!(origin.ended(), None, "the origin ended");
            url = listens_on(&origin.output());
            url.is_some()
        });
        (origin, url.unwrap())
    }
}

fn install(folder: &Path) {
    // Whoever else installs it has a process of its own, and the same in its hands.
    let unfinished = folder.with_extension(std::process::id().to_string());
    fs::create_dir_all(&unfinished).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(ours(file), unfinished.join(file)).unwrap();
    }
    let output = Folder::new();
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&unfinished);
    let mut npm = Process::spawn(&mut npm, &output);
    within(INSTALL_MAX, "npm has installed http-cache-tests", || {
        npm.ended().is_some()
    });
    assert!(npm.end().success(), "npm cannot install http-cache-tests");
    if fs::rename(&unfinished, folder).is_err() {
        assert!(folder.exists(), "{} cannot be made", folder.display());
        fs::remove_dir_all(&unfinished).unwrap();
    }
}

fn node(script: &Path) -> Command {
    let mut node = Command::new("node");
    node.arg("--no-warnings").arg(script);
    node
}

/// `Listening on http://127.0.0.1:40123/`, once the line is whole.
fn listens_on(output: &str) -> Option<String> {
    let (_, rest) = output.split_once("Listening on ")?;
    let (url, _) = rest.split_once("/\n")?;
    Some(url.to_owned())
}

fn ours(name: &str) -> PathBuf {
    root().join("tests/conformance").join(name)
}
