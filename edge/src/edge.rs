//! One edge, from options to running and back: binds, boots from what is on disk, follows, serves, drains.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerOptions;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use prometheus_client::registry::Registry;
use seawall_certs::Resolver;
use seawall_config::feed::{Applied, EdgeState};
use seawall_config::roles::DoorConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock;
use crate::door::Door;
use crate::explain::{Question, Report, explain};
use crate::feed::client::{FollowConfig, follow};
use crate::feed::credentials::Credentials;
use crate::front::Front;
use crate::front::tls::Tls;
use crate::front::trusted::Trusted;
use crate::log::{AccessLog, Log};
use crate::metrics::Metrics;
use crate::metrics::certificates::Certificates;
use crate::metrics::levels::Levels;
use crate::ordering::Orders;
use crate::proxy::Proxy;
use crate::state::State;
use crate::{origin, settling, sweep};

/// Connections to origins kept for reuse.
const POOLED_CONNECTIONS_MAX: usize = 1024;
/// The default bound of the cache, when the machine's memory cannot be read.
const CACHE_BYTES_FALLBACK: u64 = 256 * 1024 * 1024;
const CACHE_BYTES_DEFAULT_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Everything an edge is told at its start; the rest comes by the feed.
pub struct EdgeOptions {
    /// Its name in `Cache-Status`: a token.
    pub id: String,
    pub place: String,
    pub listen: SocketAddr,
    pub listen_tls: Option<SocketAddr>,
    /// What TLS answers with; needed where `listen_tls` is set.
    pub keyring: Option<Arc<Resolver>>,
    /// `https://10.0.0.1:9080`; the first that answers is followed.
    pub control_planes: Vec<String>,
    pub credentials: Credentials,
    /// Where the last-known-good snapshot is kept.
    pub state: PathBuf,
    /// The bound of the cache, in bytes.
    pub cache_bytes: u64,
    pub access_log: AccessLog,
    /// Whether HTTP/1 is answered by our own reader. Off: by Pingora's, with the same answers.
    pub front_door: bool,
    /// Whom it lets in, and whom it believes.
    pub door: DoorConfig,
    /// Other listeners of this process, which no origin may be.
    pub own_addresses: Vec<SocketAddr>,
}

/// A running edge.
pub struct Edge {
    state: Arc<State>,
    door: Arc<Door>,
    front: Front,
    place: String,
    listen: SocketAddr,
    listen_tls: Option<SocketAddr>,
    stop: watch::Sender<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("TLS is to be served on {0}, but there is no certificate")]
    NoKeyring(SocketAddr),
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cannot write the access log: {0}")]
    AccessLog(io::Error),
}

impl Edge {
    /// Serves as soon as it returns; with a snapshot on disk, at once from that.
    pub async fn start(options: EdgeOptions, registry: &mut Registry) -> Result<Self, StartError> {
        let (clear, listen) = bind(options.listen).await?;
        let secure = match options.listen_tls {
            Some(address) => {
                let keyring = options
                    .keyring
                    .clone()
                    .ok_or(StartError::NoKeyring(address))?;
                let (listener, address) = bind(address).await?;
                Some((listener, address, Tls::new(keyring)?))
            }
            None => None,
        };
        // It serves without a disk; what that costs is told with the first save.
        let _ = std::fs::create_dir_all(&options.state);
        let listen_tls = secure.as_ref().map(|(_, address, _)| *address);
        let metrics = Metrics::register(registry);
        let log = Log::open(&options.access_log, &options.id, metrics.clone())
            .map_err(StartError::AccessLog)?;
        let own = [listen]
            .into_iter()
            .chain(listen_tls)
            .chain(options.own_addresses.iter().copied())
            .collect();
        let state = Arc::new(State::new(
            &options.id,
            own,
            options.cache_bytes,
            connections(),
            metrics,
        ));
        Levels::register(registry, &state);
        if let Some(keyring) = &options.keyring {
            Certificates::register(registry, keyring.clone());
        }

        let (stop, stopped) = watch::channel(false);
        follow(
            state.clone(),
            FollowConfig::new(&options),
            registry,
            stopped.clone(),
        );
        tokio::spawn(sweep::run(state.clone(), stopped.clone()));
        tokio::spawn(origin::checks::run(state.clone(), stopped.clone()));
        tokio::spawn(settling::run(state.clone(), stopped));
        let door = Arc::new(Door {
            state: state.clone(),
            log,
            keyring: options.keyring.clone(),
            trusted: Trusted::new(&options.door),
            orders: Orders::new(&options),
        });
        let proxy = proxy(door.clone(), options.door.idle_timeout);
        let front = Front::new(door.clone(), proxy, options.front_door, options.door);
        front.open(clear, None);
        if let Some((listener, _, tls)) = secure {
            front.open(listener, Some(tls));
        }
        Ok(Self {
            state,
            door,
            front,
            place: options.place,
            listen,
            listen_tls,
            stop,
        })
    }

    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    pub fn listen_tls(&self) -> Option<SocketAddr> {
        self.listen_tls
    }

    /// What it serves from; Err: why it should get no traffic yet.
    pub fn ready(&self) -> Result<String, String> {
        let Some(Applied { epoch, revision }) = self.applied() else {
            let why =
                "no configuration yet: no snapshot on disk, and no control plane has answered";
            return Err(why.into());
        };
        let state = match self.state.vouching.state(clock::boottime_ms()) {
            EdgeState::Live if self.state.vouches() => "live",
            EdgeState::Live => "live, but may not vouch yet",
            EdgeState::Lkg => "lkg, from disk: no control plane has answered since it started",
            EdgeState::Fenced => "fenced: no control plane has answered for too long",
        };
        Ok(format!("{state}, at revision {revision} of epoch {epoch}"))
    }

    /// What it serves from; None before the first snapshot.
    pub fn applied(&self) -> Option<Applied> {
        let snapshot = self.state.snapshot.load();
        let applied = Applied {
            epoch: snapshot.epoch,
            revision: snapshot.revision,
        };
        self.state.is_configured().then_some(applied)
    }

    /// What it would do with a request, and why; Err: what is wrong with the question.
    pub fn explain(&self, question: &Question) -> Result<Report, String> {
        explain(&self.state, &self.place, question, clock::now())
    }

    /// Takes no more connections, lets the busy ones finish for as long as `grace`, and stops following.
    pub async fn drain(&self, grace: Duration) {
        if !self.front.drain(grace).await {
            tracing::warn!(
                ?grace,
                "some requests were still under way when the time to drain was over"
            );
        }
        self.stop.send_replace(true);
        let door = self.door.clone();
        let _ = tokio::task::spawn_blocking(move || door.log.flush()).await;
    }
}

/// A quarter of the memory, at most 4 GiB.
pub fn default_cache_bytes() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(CACHE_BYTES_FALLBACK, |kib| {
        (kib * 1024 / 4).min(CACHE_BYTES_DEFAULT_MAX)
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn connections() -> Connector<()> {
    let mut options = ConnectorOptions::new(POOLED_CONNECTIONS_MAX);
    options.offload_threadpool = None;
    Connector::new(Some(options))
}

fn proxy(door: Arc<Door>, idle: Duration) -> HttpProxy<Proxy> {
    let conf = ServerConf {
        upstream_keepalive_pool_size: POOLED_CONNECTIONS_MAX,
        max_retries: crate::origin::RETRIES_MAX,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Proxy(door), Arc::new(conf));
    proxy.h2_options = Some(h2_options());
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(idle);
    proxy.server_options = Some(options);
    proxy.handle_init_modules();
    proxy
}

/// Own options replace Pingora's bounds, so they begin from those: a hundred streams at once, and a list of fields that
/// is smaller still.
fn h2_options() -> H2Options {
    let mut options = default_h2_options();
    options
        .max_header_list_size(crate::admit::HEAD_BYTES_MAX as u32)
        .max_concurrent_reset_streams(32)
        .max_local_error_reset_streams(Some(100))
        .max_pending_accept_reset_streams(32);
    options
}
