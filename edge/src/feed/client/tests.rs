//! The shell against a control plane on loopback that says what it is told to say.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt;
use pingora_core::connectors::http::Connector;
use seawall_config::feed::{Applied, EdgeState, Heartbeat, Renewal, Snapshot};
use seawall_config::{Epoch, Mode, Revision, Scope};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
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
    snapshot: Arc<Mutex<Snapshot>>,
    serving: JoinHandle<()>,
}

impl Plane {
    /// Answers every heartbeat with `head`.
    async fn start(snapshot: Snapshot, head: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (feeds, opened) = unbounded_channel();
        let (beats, heartbeats) = unbounded_channel();
        let snapshot = Arc::new(Mutex::new(snapshot));
        let given = snapshot.clone();
        let feed = async move |RawQuery(query): RawQuery| {
            let (lines, mut told) = unbounded_channel::<Bytes>();
            feeds
                .send(Opened {
                    query: query.unwrap_or_default(),
                    lines,
                })
                .unwrap();
            Body::from_stream(
                futures::stream::poll_fn(move |context| told.poll_recv(context))
                    .map(Ok::<_, std::io::Error>),
            )
        };
        let heartbeat = async move |Json(heartbeat): Json<Heartbeat>| {
            beats.send(heartbeat).unwrap();
            Json(Renewal {
                head: Revision(head),
            })
        };
        let router = Router::new()
            .route(
                "/v1/snapshot",
                get(async move || Json(given.lock().unwrap().clone())),
            )
            .route("/v1/feed", get(feed))
            .route("/v1/edges/e1/heartbeat", post(heartbeat));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            opened,
            heartbeats,
            snapshot,
            serving,
        }
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
        disk::load(&folder.0)
            .snapshot
            .is_some_and(|kept| kept.revision >= Revision(6))
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
async fn a_new_epoch_is_taken_and_an_older_one_is_not() {
    let folder = Folder::new("epochs");
    let mut plane = Plane::start(picture(2, 5), 100).await;
    let (state, stop) = edge(&folder, &[&plane.url]);
    plane.opened().await;
    eventually("it is on disk", || disk::load(&folder.0).snapshot.is_some()).await;
    stop.send(true).unwrap();
    assert_eq!(state.snapshot.load().epoch, Epoch(2));

    // A feed that is of another epoch than it was asked for, again and again, ends in a look at the snapshot.
    *plane.snapshot.lock().unwrap() = picture(1, 900);
    let (state, _stop) = edge(&folder, &[&plane.url]);
    for _ in 0..3 {
        plane.opened().await.say(1, 901, vec![purge()]);
    }
    let refused = |heartbeat: &Heartbeat| {
        heartbeat
            .problems
            .iter()
            .any(|problem| problem.message.contains("its epoch is older"))
    };
    let told = |heartbeat: &Heartbeat| refused(heartbeat) && heartbeat.applied == applied(2, 5);
    let keep_saying = async {
        while let Some(feed) = plane.opened.recv().await {
            feed.say(1, 901, vec![purge()]);
        }
    };
    let heard = async { while !told(&plane.heartbeats.recv().await.unwrap()) {} };
    tokio::select! {
        () = keep_saying => panic!("the plane stopped"),
        heard = tokio::time::timeout(EVENTUALLY, heard) => heard.unwrap(),
    }
    assert_eq!(state.snapshot.load().epoch, Epoch(2));
    *plane.snapshot.lock().unwrap() = picture(3, 1);
    let keep_saying = async {
        while let Some(feed) = plane.opened.recv().await {
            feed.say(3, 2, vec![]);
        }
    };
    tokio::select! {
        () = keep_saying => panic!("the plane stopped"),
        () = eventually("it follows the new epoch", || state.snapshot.load().epoch == Epoch(3)) => {}
    }
}
