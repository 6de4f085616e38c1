//! The store on etcd: the suite on both versions and cluster sizes, and what only a cluster can suffer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::registry::Registry;
use seawall_control_plane::keys;
use seawall_control_plane::store::etcd::{EtcdStore, Options};

use super::*;
use crate::etcd::{Etcd, Version};

mod auth;
mod faults;
mod history;

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

const BOTH: [Version; 2] = [Version::V3_4, Version::V3_5];

/// All that comes after `after`.
async fn following(store: &EtcdStore, after: Revision) -> Follow {
    store
        .follow(keys::ROOT, after)
        .await
        .expect("a store that answers")
}

/// A cluster, and the folder of a plane that uses it.
struct Bench {
    etcd: Etcd,
    folder: PathBuf,
    registry: std::sync::Mutex<Registry>,
}

impl Bench {
    fn start(version: Version, members: usize) -> Option<Self> {
        Self::start_with(version, members, &[])
    }

    fn start_with(version: Version, members: usize, options: &[&str]) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let etcd = Etcd::start_with(version, members, options)?;
        let folder = format!("seawall-etcd-store-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let registry = std::sync::Mutex::default();
        Some(Self {
            etcd,
            folder,
            registry,
        })
    }

    /// One that may ask every member.
    fn store(&self) -> EtcdStore {
        let all: Vec<_> = (0..self.etcd.members()).collect();
        self.store_at(&all)
    }

    fn store_at(&self, members: &[usize]) -> EtcdStore {
        self.store_of(members, None)
    }

    /// As a user with a password.
    fn store_as(&self, user: Option<(&str, &str)>) -> EtcdStore {
        self.store_of(&[0], user)
    }

    fn store_of(&self, members: &[usize], user: Option<(&str, &str)>) -> EtcdStore {
        let endpoints = members.iter().map(|member| self.etcd.endpoint(*member));
        self.store_by(endpoints.collect(), user)
    }

    fn store_by(&self, endpoints: Vec<String>, user: Option<(&str, &str)>) -> EtcdStore {
        let options = Options {
            endpoints,
            tls: None,
            user: user.map(|(name, password)| (name.to_owned(), password.to_owned())),
            state: self.folder.clone(),
        };
        EtcdStore::new(&options, &mut self.registry.lock().unwrap())
    }

    /// The sum of a counter over all stores.
    fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock().unwrap())
            .unwrap();
        let values = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        values.sum()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
