//! Certificates as clients, operators and a second start see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod development;
mod folder;
mod handshake;
mod peers;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When these tests take place: 2026-11-23.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_392_000)
}

/// An empty folder that is this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A self-signed certificate for `names` that expires `days` after [`now`], and its key; both PEM.
fn pair(names: &[&str], days: i64) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let now = time::OffsetDateTime::from(now());
    params.not_before = now - time::Duration::days(400);
    params.not_after = now + time::Duration::days(days);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}
