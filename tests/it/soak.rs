//! Minutes of churn: many more bytes than the cache may hold, in bodies of all sizes, and the memory of the edge
//! meanwhile.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::bench::bare::origin;
use crate::support::{Connection, Folder, Seawall};

const CLIENTS: u64 = 4;
const CACHE_MIB: u64 = 64;
/// The bound, a quarter, and what an edge needs for itself.
const RESIDENT_KIB_MAX: u64 = (CACHE_MIB + CACHE_MIB / 4 + 64) * 1024;
/// Bodies from 64 bytes to 8 MiB, and now and then one larger than the cache.
const SIZE_BITS: std::ops::Range<u32> = 6..24;
const HUGE: u64 = 80 << 20;
/// Of each size.
const NAMES: u64 = 100_000;

#[test]
#[ignore = "ten minutes, unless SOAK_S says otherwise: make soak"]
fn memory_stays_within_its_bound_whatever_is_asked_for() {
    let seconds = std::env::var("SOAK_S")
        .ok()
        .and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(600);
    let (url, cache) = (
        format!("http://{}", origin(None)),
        format!("{CACHE_MIB}MiB"),
    );
    let args = [
        "--origin",
        &url,
        "--cache-bytes",
        &cache,
        "--access-log",
        "off",
    ];
    let seawall = Seawall::run_with(&args, &Folder::new());
    let (done, bytes, requests) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let most = thread::scope(|scope| {
        for seed in 0..CLIENTS {
            let (listen, done, bytes, requests) = (seawall.listen(), &done, &bytes, &requests);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                while !done.load(Ordering::Relaxed) {
                    bytes.fetch_add(ask(listen, &mut random), Ordering::Relaxed);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut most = 0;
        for second in 1..=seconds {
            thread::sleep(Duration::from_secs(1));
            let now = seawall.resident_kib();
            most = now.max(most);
            if second % 30 == 0 || second == seconds {
                let (held, gone) = (
                    seawall.metric("seawall_cache_bytes"),
                    seawall.metric("seawall_evictions_total"),
                );
                println!(
                    "{second:4} s: {:4} MiB resident, {:3.0} MiB stored, {gone} evicted",
                    now / 1024,
                    held / f64::from(1 << 20),
                );
            }
        }
        done.store(true, Ordering::Relaxed);
        most
    });
    println!(
        "{} requests, {} MiB; at most {} MiB of {} resident",
        requests.into_inner(),
        bytes.into_inner() >> 20,
        most / 1024,
        RESIDENT_KIB_MAX / 1024
    );
    assert!(most <= RESIDENT_KIB_MAX, "{most} KiB");
}

/// `.cargo/config.toml` says it when the allocator is built: a build that loses it holds more memory under churn.
#[test]
fn free_pages_go_back_to_the_kernel_soon() {
    let told = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .arg("--version")
        .env("_RJEM_MALLOC_CONF", "confirm_conf:true")
        .output()
        .unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    for setting in ["background_thread:true", "dirty_decay_ms:100"] {
        let set = format!("Set conf value: {setting}");
        assert!(told.contains(&set), "{told}");
    }
}

/// One body, whole; how many bytes it had.
fn ask(edge: SocketAddr, random: &mut fastrand::Rng) -> u64 {
    let bits = random.u32(SIZE_BITS);
    let size = match random.u32(0..2_000) {
        0 => HUGE,
        _ => random.u64(1 << (bits - 1)..1 << bits),
    };
    let target = format!("/{size}/{}", random.u64(..NAMES));
    let mut connection = Connection::open(edge);
    for _ in 0..random.u32(1..4) {
        let answer = connection.request("GET", &target, &[("host", "a.test")], b"");
        let whole = answer.complete && answer.body.len() as u64 == size;
        assert!(
            answer.status == 200 && whole,
            "{target}: {} bytes",
            answer.body.len()
        );
    }
    size
}
