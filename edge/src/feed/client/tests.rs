//! The shell against a control plane on loopback that says what it is told to say.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use pingora_core::connectors::http::Connector;
use seawall_config::feed::{Applied, EdgeState, Heartbeat, Renewal, Snapshot};
use seawall_config::{Epoch, Mode, Revision, Scope, Token};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{
    UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel,
};
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::Metrics;

const EVENTUALLY: Duration = Duration::from_secs(30);

/// One feed that an edge has opened.
struct Opened {
    query: String,
    lines: UnboundedSender<Bytes>,
}

struct Plane {
    url: String,
    opened: UnboundedReceiver<Opened>,
    heartbeats: UnboundedReceiver<Heartbeat>,
    says: Arc<Mutex<Says>>,
    serving: JoinHandle<()>,
}

/// What a plane answers.
struct Says {
    snapshot: Snapshot,
    /// To whom it does not answer with a feed: how the question begins; and the type of the problem.
    gone: Option<(&'static str, &'static str)>,
}

impl Plane {
    /// Answers every heartbeat with `head`.
    async fn start(snapshot: Snapshot, head: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (feeds, opened) = unbounded_channel();
        let (beats, heartbeats) = unbounded_channel();
        let says = Arc::new(Mutex::new(Says {
            snapshot,
            gone: None,
        }));
        let (shown, gone) = (says.clone(), says.clone());
        let feed = async move |RawQuery(query): RawQuery| {
            let query = query.unwrap_or_default();
            let gone = gone.lock().unwrap().gone;
            if let Some((_, kind)) = gone.filter(|(asked, _)| query.starts_with(asked)) {
                return (
                    StatusCode::GONE,
                    Body::from(format!("{{\"type\":\"{kind}\"}}")),
                );
            }
            let (lines, mut told) = unbounded_channel::<Bytes>();
            tokio::spawn(keep_alive(query.clone(), lines.downgrade()));
            feeds.send(Opened { query, lines }).unwrap();
            let lines = futures::stream::poll_fn(move |context| told.poll_recv(context));
            let lines = lines.map(Ok::<_, std::io::Error>);
            (StatusCode::OK, Body::from_stream(lines))
        };
        let heartbeat = async move |Json(heartbeat): Json<Heartbeat>| {
            beats.send(heartbeat).unwrap();
            Json(Renewal {
                head: Revision(head),
                registered: None,
            })
        };
        let router = Router::new()
            .route(
                "/v1/snapshot",
                get(async move || Json(shown.lock().unwrap().snapshot.clone())),
            )
            .route("/v1/feed", get(feed))
            .route("/v1/edges/e1/heartbeat", post(heartbeat));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            opened,
            heartbeats,
            says,
            serving,
        }
    }

    fn show(&self, snapshot: Snapshot) {
        self.says.lock().unwrap().snapshot = snapshot;
    }

    fn answer_gone(&self, asked: &'static str, kind: &'static str) {
        self.says.lock().unwrap().gone = Some((asked, kind));
    }

    async fn opened(&mut self) -> Opened {
        tokio::time::timeout(EVENTUALLY, self.opened.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// The first heartbeat to come that is as asked for.
    async fn heartbeat(&mut self, wanted: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        let search = async {
            loop {
                let heartbeat = self.heartbeats.recv().await.unwrap();
                if wanted(&heartbeat) {
                    return heartbeat;
                }
            }
        };
        tokio::time::timeout(EVENTUALLY, search).await.unwrap()
    }
}

/// Says nothing new, as beacons would, for as long as the feed is held: a slow machine is no silence.
async fn keep_alive(query: String, lines: WeakUnboundedSender<Bytes>) {
    let after: Token = query.trim_start_matches("after=").parse().unwrap();
    while let Some(lines) = lines.upgrade() {
        let line = format!("{{\"epoch\":{},\"revision\":0}}\n", after.epoch);
        // Whoever no longer listens is not told.
        let _ = lines.send(line.into());
        drop(lines);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Opened {
    fn say(&self, epoch: u64, revision: u64, changes: Vec<Change>) {
        let frame = Frame {
            epoch: Epoch(epoch),
            revision: Revision(revision),
            changes,
        };
        let mut line = serde_json::to_vec(&frame).unwrap();
        line.push(b'\n');
        self.lines.send(line.into()).unwrap();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("seawall-feed-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// An edge that follows; it stops when the sender is dropped or says so.
fn edge(folder: &Folder, planes: &[&str]) -> (Arc<State>, watch::Sender<bool>) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let state = Arc::new(State::new(
        "e1",
        Vec::new(),
        1 << 20,
        Connector::new(None),
        metrics,
    ));
    let config = FollowConfig {
        id: "e1".into(),
        place: "p".into(),
        control_planes: planes.iter().map(|url| (*url).to_owned()).collect(),
        credentials: Credentials::default(),
        state_folder: folder.0.clone(),
    };
    let (stop, stopped) = watch::channel(false);
    follow(state.clone(), config, &mut registry, stopped);
    (state, stop)
}

fn picture(epoch: u64, revision: u64) -> Snapshot {
    Snapshot {
        epoch: Epoch(epoch),
        revision: Revision(revision),
        ..Snapshot::default()
    }
}

fn applied(epoch: u64, revision: u64) -> Option<Applied> {
    Some(Applied {
        epoch: Epoch(epoch),
        revision: Revision(revision),
    })
}

fn purge() -> Change {
    Change::Purge {
        scopes: vec![Scope::Everything],
        mode: Mode::Hard,
        settle_ms: 0,
    }
}

async fn eventually(what: &str, mut there: impl FnMut() -> bool) {
    let looking = async {
        while !there() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(EVENTUALLY, looking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn an_edge_takes_a_snapshot_follows_vouches_and_boots_from_disk() {
    let folder = Folder::new("journey");
    let mut plane = Plane::start(picture(1, 5), 7).await;
    let (state, stop) = edge(&folder, &[&plane.url]);
    let feed = plane.opened().await;
    assert_eq!(feed.query, "after=1-5");
    feed.say(1, 6, vec![purge()]);
    let heartbeat = plane
        .heartbeat(|heartbeat| heartbeat.applied == applied(1, 6))
        .await;
    assert_eq!(
        (heartbeat.state, heartbeat.boot.len()),
        (EdgeState::Live, 32)
    );
    assert_eq!(state.snapshot.load().revision, Revision(6));
    assert!(
        !state.vouches(),
        "renewed as of revision 7, which has not come yet"
    );
    feed.say(1, 7, vec![]);
    eventually("it vouches", || state.vouches()).await;
    eventually("it is on disk", || {
        let kept = disk::load(&folder.0).generation;
        kept.is_some_and(|kept| kept.followed.revision >= Revision(6))
    })
    .await;
    stop.send(true).unwrap();
    drop((plane, feed));

    // No control plane: it serves what it had as soon as it has started.
    let (state, _stop) = edge(&folder, &["http://127.0.0.1:9"]);
    assert!(state.is_configured() && state.snapshot.load().epoch == Epoch(1));
    assert!(!state.vouches());
}

#[tokio::test]
async fn an_edge_goes_on_with_another_control_plane_from_where_it_was() {
    let folder = Folder::new("another");
    // Not a control plane at all: it closes the door on everyone.
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let strange = format!("http://{}", stranger.local_addr().unwrap());
    let rude = tokio::spawn(async move {
        while let Ok((mut door, _)) = stranger.accept().await {
            let _ = door.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await;
        }
    });
    let mut plane = Plane::start(picture(1, 5), 100).await;
    let (state, _stop) = edge(&folder, &[&strange, &plane.url]);
    let feed = plane.opened().await;
    feed.say(1, 6, vec![]);
    feed.lines.send(Bytes::from_static(b"{not json\n")).unwrap();
    let feed = plane.opened().await;
    assert_eq!(
        feed.query, "after=1-6",
        "what came before the bad line was applied"
    );
    drop(feed);
    let feed = plane.opened().await;
    feed.say(1, 9, vec![]);
    eventually("it follows", || {
        state.snapshot.load().revision == Revision(9)
    })
    .await;
    plane
        .heartbeat(|heartbeat| heartbeat.applied == applied(1, 9) && heartbeat.problems.is_empty())
        .await;
    rude.abort();
}

#[tokio::test]
async fn another_history_is_refused_until_the_epoch_is_raised() {
    let folder = Folder::new("histories");
    let mut plane = Plane::start(picture(2, 5), 100).await;
    let (state, _stop) = edge(&folder, &[&plane.url]);
    let feed = plane.opened().await;
    plane.answer_gone("after=2-", "history-differs");
    plane.show(picture(2, 900));
    drop(feed);
    let told = plane
        .heartbeat(|heartbeat| !heartbeat.problems.is_empty())
        .await;
    assert!(
        told.problems
            .iter()
            .all(|problem| problem.message.contains("raise the epoch")),
        "{:?}",
        told.problems
    );
    assert_eq!(
        (told.applied, state.snapshot.load().revision),
        (applied(2, 5), Revision(5))
    );

    plane.show(picture(3, 1));
    plane
        .heartbeat(|heartbeat| heartbeat.applied == applied(3, 1) && heartbeat.problems.is_empty())
        .await;
    let feed = plane.opened().await;
    assert_eq!(feed.query, "after=3-1");
    feed.say(3, 2, vec![]);
    eventually("it follows the new epoch", || {
        state.snapshot.load().revision == Revision(2)
    })
    .await;
}
