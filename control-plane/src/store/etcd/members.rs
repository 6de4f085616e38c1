//! The members of the cluster, each with a connection of its own. One is asked until it fails, then the next: a
//! balancer would go on giving a dead member its share of the requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, GetOptions, GetResponse, Identity, KvClient,
    MaintenanceClient, TlsOptions, Txn, TxnResponse, WatchClient,
};

use super::failure::Failure;
use super::{Options, READ_PAGE_KEYS};

/// For one answer of one member.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// A write waits for the disks of a majority.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A server cuts off who pings more often than each 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(6);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// A request, and so a value, has at most 1.5 MiB by etcd's default; a page of them all must be readable.
const ANSWER_BYTES_MAX: usize = READ_PAGE_KEYS * 2 * 1024 * 1024;

pub(super) struct Members {
    members: Vec<Member>,
    /// Who is asked first.
    current: AtomicUsize,
    options: ConnectOptions,
}

struct Member {
    endpoint: String,
    /// None: not connected yet, or not any more. std's: nothing awaits while it is held.
    wire: Mutex<Option<Wire>>,
}

/// A connection; cloning shares it.
#[derive(Clone)]
pub(super) struct Wire {
    kv: KvClient,
    pub(super) watch: WatchClient,
    maintenance: MaintenanceClient,
}

impl Members {
    /// Connects to nobody yet.
    pub(super) fn new(options: &Options) -> Self {
        let member = |endpoint: &String| Member {
            endpoint: endpoint.clone(),
            wire: Mutex::default(),
        };
        Self {
            members: options.endpoints.iter().map(member).collect(),
            // Of many planes each begins with another member.
            current: AtomicUsize::new(fastrand::usize(..options.endpoints.len().max(1))),
            options: connect_options(options),
        }
    }

    /// Reads; linearizable where `options` do not say otherwise. Another member is asked when one fails.
    pub(super) async fn get(
        &self,
        key: impl Into<Vec<u8>>,
        options: GetOptions,
    ) -> Result<GetResponse, Failure> {
        let key = key.into();
        let mut failure = no_endpoint();
        for _ in &self.members {
            let at = self.current();
            let (key, options) = (key.clone(), Some(options.clone()));
            let asked = |mut wire: Wire| async move { wire.kv.get(key, options).await };
            failure = match self.ask(at, ANSWER_TIMEOUT, asked).await {
                Err(failure @ (Failure::Nothing(_) | Failure::Unknown(_))) => failure,
                answered => return answered,
            };
            self.leave(at);
        }
        Err(failure)
    }

    /// Writes. Another member is asked only where the one before certainly did nothing.
    pub(super) async fn txn(&self, txn: Txn) -> Result<TxnResponse, Failure> {
        let mut failure = no_endpoint();
        for _ in &self.members {
            let at = self.current();
            let txn = txn.clone();
            let asked = |mut wire: Wire| async move { wire.kv.txn(txn).await };
            match self.ask(at, WRITE_TIMEOUT, asked).await {
                Err(nothing @ Failure::Nothing(_)) => failure = nothing,
                Err(unknown @ Failure::Unknown(_)) => {
                    self.leave(at);
                    return Err(unknown);
                }
                answered => return answered,
            }
            self.leave(at);
        }
        Err(failure)
    }

    /// What each member says its version is, of those that say anything.
    pub(super) async fn versions(&self) -> Vec<(&str, String)> {
        let mut versions = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let asked = |mut wire: Wire| async move { wire.maintenance.status().await };
            if let Ok(status) = self.ask(at, ANSWER_TIMEOUT, asked).await {
                versions.push((member.endpoint.as_str(), status.version().to_owned()));
            }
        }
        versions
    }

    /// A connection to the current member, and which that is.
    pub(super) async fn wire(&self) -> Result<(usize, Wire), Failure> {
        let at = self.current();
        match tokio::time::timeout(ANSWER_TIMEOUT, self.connected(at)).await {
            Ok(Ok(wire)) => Ok((at, wire)),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => Err(self.silent(at)),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Whoever is asked now is not to be believed.
    pub(super) fn leave_current(&self) {
        self.leave(self.current());
    }

    /// This member failed: another is asked from now on, and this one over a new connection.
    pub(super) fn leave(&self, at: usize) {
        let next = (at + 1) % self.members.len().max(1);
        // Of several who found that it fails one moves on.
        let _ = self
            .current
            .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
        if let Some(member) = self.members.get(at) {
            *member.wire.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    async fn ask<T, F>(
        &self,
        at: usize,
        timeout: Duration,
        ask: impl FnOnce(Wire) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let asked = async { ask(self.connected(at).await?).await };
        match tokio::time::timeout(timeout, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => Err(self.silent(at)),
        }
    }

    async fn connected(&self, at: usize) -> Result<Wire, Error> {
        let member = self
            .members
            .get(at)
            .ok_or_else(|| Error::InvalidArgs("no endpoint".into()))?;
        let slot = || member.wire.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = &*slot() {
            return Ok(wire.clone());
        }
        let client = Client::connect([&member.endpoint], Some(self.options.clone())).await?;
        let wire = Wire {
            kv: client
                .kv_client()
                .max_decoding_message_size(ANSWER_BYTES_MAX),
            watch: client
                .watch_client()
                .max_decoding_message_size(ANSWER_BYTES_MAX),
            maintenance: client.maintenance_client(),
        };
        Ok(slot().get_or_insert(wire).clone())
    }

    fn silent(&self, at: usize) -> Failure {
        let endpoint = self.members.get(at).map_or("", |member| &member.endpoint);
        Failure::Unknown(format!("{endpoint} does not answer"))
    }

    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }
}

fn no_endpoint() -> Failure {
    Failure::Nothing("no endpoint".into())
}

fn connect_options(options: &Options) -> ConnectOptions {
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE_TIMEOUT)
        .with_keep_alive_while_idle(true)
        // A member that has lost its leader says so instead of saying nothing.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some((user, password)) = &options.user {
        connect = connect.with_user(user, password);
    }
    if let Some(tls) = &options.tls {
        let mut wanted = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca));
        if let Some((certificate, key)) = &tls.identity {
            wanted = wanted.identity(Identity::from_pem(certificate, key));
        }
        connect = connect.with_tls(wanted);
    }
    connect
}
