//! Real input: nginx from Debian serves a real tree of files, thousands of small ones and some large, and a client
//! that is not ours asks for all of it through the edge.

mod batch;
pub mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::support::{Connection, Folder, Seawall};
use batch::{Protocol, Transfer, fetch_all};
use server::Nginx;

const MIB: usize = 1024 * 1024;
/// nginx serves what is below it.
const ROOT: &str = "/usr/share";
/// Debian's documentation; where an image was stripped of it, whatever else there is.
const TREES: [&str; 2] = ["/usr/share/doc", "/usr/share"];
const FILES_ENOUGH: usize = 2_000;
const FILES_MAX: usize = 6_000;
const FILE_BYTES_MAX: u64 = 16 << 20;
const CLIENTS: usize = 200;

/// All that is requested is fresh for an hour, except for the documentation of libraries, of which nginx says nothing
/// but when it was changed.
const LOCATIONS: &str = "
    root /usr/share;
    expires 1h;
    location /doc/lib { expires off; }
    location /large/ { root FOLDER; }
";

#[test]
fn every_file_of_a_real_tree_comes_whole_twice_over_both_versions_of_http() {
    let _alone = one_at_a_time();
    let folder = Folder::new();
    let mut files = real_files();
    let large = folder.path().join("large");
    fs::create_dir(&large).unwrap();
    for (name, bytes) in [("50.bin", 50 * MIB), ("100.bin", 100 * MIB), ("nothing", 0)] {
        fs::write(large.join(name), content(bytes)).unwrap();
        files.push((format!("/large/{name}"), large.join(name)));
    }
    let nginx = Nginx::start(&folder, LOCATIONS);
    let seawall = Seawall::run_with(&["--origin", &nginx.url()], &Folder::new());
    let targets: Vec<_> = files.iter().map(|(target, _)| target.clone()).collect();

    let mut fresh = 0;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for turn in ["MISS", "HIT"] {
            let began = Instant::now();
            let got = fetch_all(&seawall, protocol, &targets);
            let took = began.elapsed();
            assert_eq!(got.transfers.len(), files.len());
            fresh = 0;
            let mut tally = BTreeMap::new();
            for ((target, file), transfer) in files.iter().zip(&got.transfers) {
                is_whole(target, file, protocol, transfer);
                *tally.entry(transfer.x_cache.clone()).or_insert(0) += 1;
                if transfer.cache_control == "max-age=3600" {
                    assert_eq!(transfer.x_cache, turn, "{target} over {protocol:?}");
                    fresh += 1;
                }
            }
            println!(
                "{protocol:?}: {} files in {took:.1?}: {tally:?}",
                files.len()
            );
        }
    }
    assert!(
        fresh > FILES_ENOUGH / 2,
        "nginx gave freshness to {fresh} files only"
    );

    // http and https are two URLs: each was fetched once, and never again.
    let mut fetches: BTreeMap<String, usize> = BTreeMap::new();
    for line in nginx.quit() {
        *fetches.entry(line.target).or_default() += 1;
    }
    let fresh_targets = targets
        .iter()
        .filter(|target| !target.starts_with("/doc/lib"));
    for target in fresh_targets {
        assert_eq!(fetches[target], 2, "fetches of {target}");
    }
    println!("{fresh} files with freshness, each fetched from nginx once a scheme");
}

#[test]
fn ranges_of_a_hundred_megabytes_are_exact_while_they_arrive_and_once_they_are_here() {
    let _alone = one_at_a_time();
    let folder = Folder::new();
    let whole = content(100 * MIB);
    folder.write("100.bin", &whole);
    // Fast enough that most of it is here at once, slow enough that the end is not.
    let location = "root FOLDER; expires 1h; limit_rate_after 60m; limit_rate 5m;";
    let nginx = Nginx::start(&folder, location);
    let seawall = Seawall::run_with(&["--origin", &nginx.url()], &Folder::new());

    // On a busy machine all of it may arrive before the ranges are asked for: then once more.
    let tries = 5;
    let arriving = (1..=tries).find(|turn| {
        let target = format!("/100.bin?{turn}");
        let mut client = seawall.connect();
        client.send("GET", &target, &[], b"");
        assert_eq!(client.head().unwrap().0, 200);
        let mut at = check_next(&mut client, &whole, 0);
        check_ranges(&seawall, &target, &whole);
        let is_arriving = nginx
            .log()
            .iter()
            .all(|line| line.target != target || line.status != 200);
        while at < whole.len() {
            at = check_next(&mut client, &whole, at);
        }
        is_arriving
    });
    let turn = arriving.unwrap_or_else(|| {
        panic!("{tries} times all of it was here before its ranges were asked for")
    });
    println!("ranges were right while the file arrived, at try {turn}");

    let target = format!("/100.bin?{turn}");
    seawall
        .get_with(&target, &[("range", "bytes=0-0")])
        .is_part("HIT", &whole, 0, 1);
    check_ranges(&seawall, &target, &whole);
    let fetched = nginx
        .quit()
        .into_iter()
        .filter(|line| line.target == target && line.status == 200);
    assert_eq!(fetched.count(), 1, "fetches of the whole");
}

#[test]
fn two_hundred_clients_for_one_cold_file_make_one_fetch_and_all_get_it_whole() {
    let _alone = one_at_a_time();
    let folder = Folder::new();
    let whole = Arc::new(content(50 * MIB));
    folder.write("50.bin", &*whole);
    let nginx = Nginx::start(&folder, "root FOLDER; expires 1h;");
    let seawall = Seawall::run_with(&["--origin", &nginx.url()], &Folder::new());

    let start = Arc::new(Barrier::new(CLIENTS + 1));
    let client = |_| {
        let (mut client, start, whole) = (seawall.connect(), start.clone(), whole.clone());
        thread::spawn(move || {
            start.wait();
            client.send("GET", "/50.bin", &[], b"");
            let (status, fields) = client.head().expect("an answer");
            assert_eq!(status, 200);
            let mut at = 0;
            while at < whole.len() {
                at = check_next(&mut client, &whole, at);
            }
            let x_cache = fields.into_iter().find(|(name, _)| name == "x-cache");
            x_cache.map(|(_, value)| value).unwrap_or_default()
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    start.wait();
    let began = Instant::now();
    let mut tally = BTreeMap::new();
    for client in clients {
        *tally.entry(client.join().unwrap()).or_insert(0) += 1;
    }
    println!(
        "{CLIENTS} clients, 50 MiB each: {:.1?}, {tally:?}",
        began.elapsed()
    );
    let fetches: Vec<_> = nginx
        .quit()
        .into_iter()
        .map(|line| (line.status, line.bytes))
        .collect();
    assert_eq!(fetches, [(200, 50 * MIB as u64)], "one fetch");
}

/// These move gigabytes: side by side they would only slow each other, and everyone else, down.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The regular files of a real tree that we may read, with the targets under which nginx serves them.
fn real_files() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    for tree in TREES {
        if files.len() < FILES_ENOUGH {
            files.clear();
            collect(Path::new(tree), &mut files);
        }
    }
    assert!(
        files.len() >= FILES_ENOUGH,
        "only {} files below {ROOT}",
        files.len()
    );
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    // What we may not read, nginx may not either.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        let Ok(kind) = entry.metadata() else { continue };
        if kind.is_dir() {
            collect(&path, files);
        } else if kind.is_file() && kind.len() <= FILE_BYTES_MAX && files.len() < FILES_MAX {
            // nginx speaks of files in bytes, and so do URLs, but curl's list is text.
            let Some(below) = path.strip_prefix(ROOT).unwrap().to_str() else {
                continue;
            };
            if fs::File::open(&path).is_ok() {
                files.push((format!("/{}", encoded(below)), path));
            }
        }
    }
}

/// A path as a URL has it.
fn encoded(path: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(byte).collect()
}

/// Bytes that are nowhere the same: each eight say where they are.
fn content(bytes: usize) -> Vec<u8> {
    let word = |at: u64| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    let mut content: Vec<u8> = (1..=(bytes as u64).div_ceil(8)).flat_map(word).collect();
    content.truncate(bytes);
    content
}

fn is_whole(target: &str, file: &Path, protocol: Protocol, transfer: &Transfer) {
    let found = (transfer.status, transfer.version.as_str());
    assert_eq!(found, (200, protocol.version()), "{target}");
    let (body, expect) = (
        fs::read(&transfer.body).unwrap_or_default(),
        fs::read(file).unwrap(),
    );
    assert!(
        body == expect,
        "{target} over {protocol:?}: {} bytes of {}, or others",
        body.len(),
        expect.len()
    );
}

/// Takes what comes next of `whole`, and says how far that is.
fn check_next(client: &mut Connection, whole: &[u8], at: usize) -> usize {
    let end = whole.len().min(at + 256 * 1024);
    assert!(
        client.take(end - at) == whole[at..end],
        "other bytes between {at} and {end}"
    );
    end
}

/// First, middle, last, and spelled from the end.
fn check_ranges(seawall: &Seawall, target: &str, whole: &[u8]) {
    let length = whole.len();
    let middle = length / 2;
    let check = |range: String, first: usize, count: usize| {
        let answer = seawall.get_with(target, &[("range", &range)]);
        answer.is_part(answer.x_cache(), whole, first, count);
    };
    check("bytes=0-0".into(), 0, 1);
    check("bytes=0-65535".into(), 0, 65_536);
    check(
        format!("bytes={middle}-{}", middle + 99_999),
        middle,
        100_000,
    );
    check(
        format!("bytes={}-{}", length - 1, length - 1),
        length - 1,
        1,
    );
    check(format!("bytes={}-", length - 1_000), length - 1_000, 1_000);
    check("bytes=-70000".into(), length - 70_000, 70_000);
    check(
        format!("bytes={}-{}", length - 10, length + 10),
        length - 10,
        10,
    );
}

trait Part {
    /// 206 with exactly these bytes, and a Content-Range that says so.
    fn is_part(&self, x_cache: &str, whole: &[u8], first: usize, count: usize);
}

impl Part for crate::support::Response {
    #[track_caller]
    fn is_part(&self, x_cache: &str, whole: &[u8], first: usize, count: usize) {
        let range = format!("bytes {first}-{}/{}", first + count - 1, whole.len());
        let found = (
            self.status,
            self.field("content-range"),
            self.x_cache(),
            self.complete,
        );
        assert_eq!(
            found,
            (206, Some(range.as_str()), x_cache, true),
            "{}",
            self.cache_status()
        );
        assert!(
            self.body == whole[first..first + count],
            "{range}: {} bytes, or others",
            self.body.len()
        );
    }
}
