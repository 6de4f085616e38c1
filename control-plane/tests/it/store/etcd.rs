//! The store on etcd: the suite on both versions and cluster sizes, and what only a cluster can suffer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::registry::Registry;
use seawall_control_plane::store::etcd::{EtcdStore, Options};

use super::*;
use crate::etcd::{Etcd, Version};

/// The suite over one version and size; a test says that it was not run where the version is not to be had.
macro_rules! on_etcd {
    ($name:ident, $version:ident, $members:literal) => {
        mod $name {
            use super::*;

            super::super::conformance!({
                let Some(bench) = Bench::start(Version::$version, $members) else {
                    return;
                };
                let store: Arc<dyn Store> = Arc::new(bench.store());
                (store, bench)
            });
        }
    };
}

on_etcd!(one_member_of_3_4, V3_4, 1);
on_etcd!(one_member_of_3_5, V3_5, 1);
on_etcd!(three_members_of_3_4, V3_4, 3);
on_etcd!(three_members_of_3_5, V3_5, 3);

/// A cluster, and a folder for each store of it.
struct Bench {
    etcd: Etcd,
    folder: PathBuf,
}

impl Bench {
    fn start(version: Version, members: usize) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let etcd = Etcd::start(version, members)?;
        let folder = format!("seawall-etcd-store-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        Some(Self { etcd, folder })
    }

    fn store(&self) -> EtcdStore {
        let options = Options {
            endpoints: self.etcd.endpoints(),
            tls: None,
            user: None,
            state: self.folder.clone(),
        };
        EtcdStore::new(&options, &mut Registry::default())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
