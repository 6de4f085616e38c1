//! `addresses.json`: what listens where. Written before `/readyz` answers 200, so that whoever started a
//! process with port 0 finds it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::state::write_atomically;

const FILE_NAME: &str = "addresses.json";

/// What listens where; None is what this process does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// HTTP, the first edge's.
    pub(crate) listen: Option<SocketAddr>,
    /// HTTPS, the first edge's.
    pub(crate) listen_tls: Option<SocketAddr>,
    /// The API, where this process has one; else health and metrics.
    pub(crate) admin: Option<SocketAddr>,
    /// Where the content comes from, as a URL.
    pub(crate) origin: Option<String>,
    pub(crate) edges: Vec<EdgeAddress>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EdgeAddress {
    pub(crate) id: String,
    pub(crate) place: String,
    pub(crate) listen: SocketAddr,
    /// Its own health and metrics.
    pub(crate) admin: SocketAddr,
    pub(crate) pid: u32,
}

impl Addresses {
    /// What the process that owns `folder` wrote last.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let text = std::fs::read(folder.join(FILE_NAME))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let file = folder.join(FILE_NAME);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_atomically(&file, &text)
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// What an earlier process wrote is not true any more.
    pub(crate) fn forget(folder: &Path) -> anyhow::Result<()> {
        let file = folder.join(FILE_NAME);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", file.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn the_file_has_the_words_outside_programs_rely_on() {
        let addresses = Addresses {
            listen: Some(([127, 0, 0, 1], 8080).into()),
            origin: Some("http://127.0.0.1:9000".into()),
            edges: vec![EdgeAddress {
                id: "edge-1".into(),
                place: "local".into(),
                listen: ([127, 0, 0, 1], 8080).into(),
                admin: ([127, 0, 0, 1], 9080).into(),
                pid: 7,
            }],
            ..Addresses::default()
        };
        let expect = serde_json::json!({
            "listen": "127.0.0.1:8080", "listen_tls": null, "admin": null, "origin": "http://127.0.0.1:9000",
            "edges": [{"id": "edge-1", "place": "local", "listen": "127.0.0.1:8080", "admin": "127.0.0.1:9080", "pid": 7}]
        });
        assert_eq!(serde_json::to_value(addresses).expect("JSON"), expect);
    }
}
