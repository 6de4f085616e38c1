//! A plane to ask, a store that can be made to fail, and an edge that says what a test wants it to say.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use seawall_config::feed::Frame;
use seawall_config::tokens::{TokenEntry, TokenScope};
use seawall_config::{Epoch, Revision};
use seawall_control_plane::api::{self, Access, Tokens};
use seawall_control_plane::store::embedded::EmbeddedStore;
use seawall_control_plane::store::{Commit, Follow, Store, StoreError, Txn, View};
use seawall_control_plane::{Clock, Plane};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Every wait of a test ends, one way or the other.
pub const CAP: Duration = Duration::from_secs(30);

/// One plane over one store.
pub struct Bench {
    pub plane: Arc<Plane>,
    pub clock: Clock,
    pub store: Arc<Tamed>,
    router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
}

impl Bench {
    /// With a new store and a clock that stands still.
    pub async fn new() -> Self {
        Self::over(Tamed::new(), Clock::manual()).await
    }

    /// With a new store and the system's clock.
    pub async fn ticking() -> Self {
        Self::over(Tamed::new(), Clock::system()).await
    }

    /// A plane over a store. Its first beacon has been written, so that nothing else happens by itself
    /// while a clock stands still.
    pub async fn over(store: Arc<Tamed>, clock: Clock) -> Self {
        let registry = &mut Registry::default();
        let before = store.head().await.unwrap();
        let plane = Plane::start_with(store.clone(), registry, clock.clone())
            .await
            .unwrap();
        let router = api::router(plane.clone(), &Access::Open);
        let bench = Self {
            plane,
            clock,
            store,
            router,
        };
        let fresh = |answer: &Answer| answer.json["beacon"][0].as_u64() > Some(before.0);
        eventually(&bench, "/v1/snapshot", fresh).await;
        bench
    }

    /// The same plane, for those who hold one of these tokens.
    pub fn guarded(self, tokens: Vec<TokenEntry>) -> Self {
        let access = Access::Guarded(Tokens::new(tokens));
        let router = api::router(self.plane.clone(), &access);
        Self { router, ..self }
    }

    /// Another plane over the same store.
    pub async fn second(&self) -> Self {
        Self::over(self.store.clone(), self.clock.clone()).await
    }

    /// The plane stops, another takes over its store.
    pub async fn restarted(self) -> Self {
        self.plane.stop().await;
        self.second().await
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let answer = tokio::time::timeout(CAP, self.router.clone().oneshot(request)).await;
        let (head, body) = answer.expect("an answer in time").unwrap().into_parts();
        let body = tokio::time::timeout(CAP, body.collect())
            .await
            .expect("a body in time");
        let body = body.unwrap().to_bytes();
        let json = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).expect("JSON"),
        };
        Answer {
            status: head.status,
            headers: head.headers,
            json,
        }
    }

    pub async fn ask(&self, line: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path);
        if headers.iter().all(|(name, _)| *name != "host") {
            request = request.header("host", "localhost");
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(&format!("POST {path}"), &[], body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(&format!("PUT {path}"), &[], body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(&format!("DELETE {path}"), &[], Value::Null).await
    }

    /// Puts a site that says nothing but its host and what a cut-off edge does.
    pub async fn site(&self, name: &str, host: &str, on_partition: &str) {
        let document = json!({"hosts": [host], "origin": "http://127.0.0.1:9000", "on_partition": on_partition});
        let answer = self.put(&format!("/v1/sites/{name}"), document).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// Purges, waits for nothing, and says which revision that was.
    pub async fn purge(&self, request: Value) -> u64 {
        let answer = self.post("/v1/purges", request).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json["revision"].as_u64().expect("a revision")
    }

    /// One heartbeat of an edge that has applied a revision.
    pub async fn heartbeat(&self, id: &str, boot: &str, applied: u64) -> Answer {
        self.heartbeat_with(id, boot, applied, json!({})).await
    }

    pub async fn heartbeat_with(&self, id: &str, boot: &str, applied: u64, more: Value) -> Answer {
        let mut heartbeat = json!({
            "boot": boot, "place": "here", "version": "1.2.3", "state": "live", "lag_ms": 4,
            "applied": {"epoch": self.plane.epoch(), "revision": applied},
        });
        heartbeat
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let path = format!("/v1/edges/{id}/heartbeat");
        let sent = self.post(&path, heartbeat);
        // On a clock that stands still, the next round has to be let come.
        let mut sent = std::pin::pin!(sent);
        loop {
            tokio::select! {
                answer = &mut sent => return answer,
                () = tokio::time::sleep(Duration::from_millis(5)) => self.advance(Duration::from_millis(100)),
            }
        }
    }

    /// The frames of the feed after a revision, until `until` is content with them.
    pub async fn feed(&self, query: &str, until: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
        let request = Request::builder()
            .uri(format!("/v1/feed?{query}"))
            .header("host", "localhost");
        let answer = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        let (mut body, mut text, mut frames) = (answer.into_body(), Vec::new(), Vec::new());
        while !until(&frames) {
            let chunk = tokio::time::timeout(CAP, body.frame())
                .await
                .expect("a line in time");
            text.extend_from_slice(
                &chunk
                    .expect("the feed goes on")
                    .unwrap()
                    .into_data()
                    .unwrap(),
            );
            let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
            frames = lines
                .map(|line| serde_json::from_slice(line).expect("a frame"))
                .collect();
        }
        frames
    }
}

/// Its text is its name.
pub fn token(name: &str, scopes: &[TokenScope], sites: &[&str]) -> TokenEntry {
    TokenEntry {
        name: name.into(),
        sha256: api::hash_of(name),
        scopes: scopes.to_vec(),
        sites: sites.iter().map(ToString::to_string).collect(),
        edges: Vec::new(),
    }
}

/// Asks again until the answer is content: for what comes right after, and is waited for by nobody.
pub async fn eventually(bench: &Bench, path: &str, content: impl Fn(&Answer) -> bool) -> Answer {
    let asked = async {
        loop {
            let answer = bench.get(path).await;
            if content(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(CAP, asked)
        .await
        .expect("it comes true")
}

/// An embedded store that fails on command.
pub struct Tamed {
    inner: EmbeddedStore,
    mood: Arc<AtomicU64>,
    /// Its history is said to begin here.
    oldest: AtomicU64,
    folder: PathBuf,
}

/// What a [`Tamed`] store does with what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Mood {
    Fine,
    /// Nothing is answered.
    Down,
    /// The next commit is done, and nobody hears of it.
    LosesAnswer,
    /// The next commit is not done, and nobody hears of it.
    LosesRequest,
    /// No commit is done, and nobody hears of any.
    LosesRequests,
    /// Followers are not told the next step.
    LosesStep,
}

impl Tamed {
    pub fn new() -> Arc<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "seawall-plane-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let inner = EmbeddedStore::open(&folder).unwrap();
        let (mood, oldest) = (Arc::default(), AtomicU64::new(0));
        Arc::new(Self {
            inner,
            mood,
            oldest,
            folder,
        })
    }

    pub fn be(&self, mood: Mood) {
        self.mood.store(mood as u64, Ordering::SeqCst);
    }

    pub fn forget_before(&self, oldest: u64) {
        self.oldest.store(oldest, Ordering::SeqCst);
    }

    fn is(&self, mood: Mood) -> bool {
        self.mood.load(Ordering::SeqCst) == mood as u64
    }

    fn up(&self) -> Result<(), StoreError> {
        match self.is(Mood::Down) {
            true => Err(StoreError::Unavailable("a test said so".into())),
            false => Ok(()),
        }
    }

    fn once(&self, mood: Mood) -> bool {
        once(&self.mood, mood)
    }
}

fn once(mood: &AtomicU64, wanted: Mood) -> bool {
    let fine = Mood::Fine as u64;
    mood.compare_exchange(wanted as u64, fine, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

impl Drop for Tamed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Tells everything but what [`Mood::LosesStep`] swallows.
fn forgetful(mut follow: Follow, mood: Arc<AtomicU64>) -> Follow {
    let (steps, told) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let step = tokio::select! {
                step = follow.next() => step,
                () = steps.closed() => return,
            };
            let Some(step) = step else { return };
            if once(&mood, Mood::LosesStep) {
                continue;
            }
            if steps.send(step).await.is_err() {
                return;
            }
        }
    });
    Follow::new(told)
}

#[async_trait]
impl Store for Tamed {
    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }

    async fn read(&self, prefix: &str) -> Result<View, StoreError> {
        self.up()?;
        self.inner.read(prefix).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.up()?;
        let unknown = || Err(StoreError::OutcomeUnknown("a test said so".into()));
        if self.is(Mood::LosesRequests) || self.once(Mood::LosesRequest) {
            return unknown();
        }
        let lost = self.once(Mood::LosesAnswer);
        let committed = self.inner.commit(txn).await;
        if lost { unknown() } else { committed }
    }

    async fn follow(&self, prefix: &str, after: Revision) -> Result<Follow, StoreError> {
        self.up()?;
        let oldest = Revision(self.oldest.load(Ordering::SeqCst));
        match after.next() < oldest {
            true => Err(StoreError::Compacted { oldest }),
            false => {
                let follow = self.inner.follow(prefix, after).await?;
                Ok(forgetful(follow, self.mood.clone()))
            }
        }
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        self.up()?;
        self.inner.head().await
    }
}
