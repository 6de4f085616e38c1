//! Thousands of URLs in one go, by `curl`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Folder, Seawall};

#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// In the clear.
    Http1,
    /// With TLS, and a certificate of the development CA.
    Http2,
}

/// All of them, in the order they were asked for.
pub struct Batch {
    pub transfers: Vec<Transfer>,
    /// Where the bodies are.
    _folder: Folder,
}

/// One URL.
#[derive(Clone, Default)]
pub struct Transfer {
    pub status: u16,
    pub version: String,
    pub x_cache: String,
    pub cache_control: String,
    pub body: PathBuf,
}

/// What curl writes of each transfer, in the order of [`Transfer`]; and first, which one it is.
const WRITE_OUT: &str =
    "%{urlnum}|%{http_code}|%{http_version}|%header{x-cache}|%header{cache-control}\\n";

impl Protocol {
    /// As curl calls it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        }
    }
}

pub fn fetch_all(seawall: &Seawall, protocol: Protocol, targets: &[String]) -> Batch {
    let folder = Folder::new();
    let base = match protocol {
        Protocol::Http1 => format!("http://{}", seawall.listen()),
        Protocol::Http2 => format!("https://{}", seawall.listen_tls()),
    };
    let bodies: Vec<_> = (0..targets.len())
        .map(|number| folder.path().join(number.to_string()))
        .collect();
    let mut list = String::new();
    for (target, body) in targets.iter().zip(&bodies) {
        writeln!(
            list,
            "url = \"{base}{target}\"\noutput = \"{}\"",
            body.display()
        )
        .unwrap();
    }
    let list = folder.write("list", list);
    let output = Command::new("curl")
        .args([
            "--silent",
            "--parallel",
            "--path-as-is",
            "--globoff",
            "--max-time",
            "120",
        ])
        .arg(match protocol {
            Protocol::Http1 => "--http1.1",
            Protocol::Http2 => "--http2",
        })
        .arg("--cacert")
        .arg(seawall.state().join("ca.pem"))
        .args(["--write-out", WRITE_OUT, "--config", &list])
        .output()
        .unwrap_or_else(|error| panic!("curl: {error}; `make test` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl: {}; {said}", output.status);
    let mut transfers = vec![Transfer::default(); targets.len()];
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let words: Vec<_> = line.split('|').collect();
        let [number, status, version, x_cache, cache_control] = words[..] else {
            panic!("curl wrote {line:?}")
        };
        let number: usize = number.parse().unwrap();
        transfers[number] = Transfer {
            status: status.parse().unwrap(),
            version: version.to_owned(),
            x_cache: x_cache.to_owned(),
            cache_control: cache_control.to_owned(),
            body: bodies[number].clone(),
        };
    }
    Batch {
        transfers,
        _folder: folder,
    }
}
