//! What every role answers on its admin address: health, readiness, metrics; and the API where there is one.
//!
//! - [`listener`]: the address itself, HTTP/1.1 and HTTP/2 without TLS.
//! - [`starting`]: what is answered before the work can begin.
//! - [`guard`]: on loopback no token is asked for, and so a web page must not get through.

mod guard;
mod listener;
mod starting;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use seawall_control_plane::api::{self, Access};
use serde_json::json;

pub(crate) use listener::{bind, cannot_listen};
pub(crate) use starting::Starting;

/// What is asked before this process calls itself ready. Ok: what there is to say of it, if anything.
type Check = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Everything the admin address knows of its process.
pub(crate) struct Admin {
    registry: Registry,
    checks: Vec<(&'static str, Check)>,
    stage: Arc<Stage>,
    /// What else is answered here, under the same guard.
    routes: Router,
}

/// How far the process is, beyond its parts. Shared with whoever starts and stops it.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    started: AtomicBool,
    draining: AtomicBool,
}

/// All metrics of the process, with what it was built from.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("seawall");
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What this process was built from", build);
    registry
}

impl Stage {
    /// Everything listens and `addresses.json` says where.
    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// No new work, please.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn check(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Acquire) {
            return Err("draining: this process has been asked to stop".into());
        }
        if !self.started.load(Ordering::Acquire) {
            return Err("starting: not everything listens yet".into());
        }
        Ok(())
    }
}

impl Admin {
    pub(crate) fn new(registry: Registry) -> Self {
        let stage = Arc::new(Stage::default());
        let own = stage.clone();
        Self {
            registry,
            checks: vec![(
                "process",
                Box::new(move || own.check().map(|()| String::new())),
            )],
            stage,
            routes: Router::new(),
        }
    }

    /// Adds what a part of the process answers here.
    pub(crate) fn answer(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Adds a part that must be ready too. Its name is what `/readyz?verbose` calls it.
    pub(crate) fn check(
        self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.tell(name, move || check().map(|()| String::new()))
    }

    /// The same of a part that says, when it is ready, how it is.
    pub(crate) fn tell(
        mut self,
        name: &'static str,
        check: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Box::new(check)));
        self
    }

    pub(crate) fn stage(&self) -> Arc<Stage> {
        self.stage.clone()
    }

    /// `api` is the control plane's, where this process has one; it guards itself, and knows what to say to a path
    /// that nobody knows. Where it asks who asks, so do the metrics; health is everyone's.
    pub(crate) fn router(mut self, api: Option<(Router, &Access)>) -> Router {
        let routes = std::mem::take(&mut self.routes);
        let health = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz));
        let inside = Router::new().route("/metrics", get(metrics));
        let admin = Arc::new(self);
        let [health, inside] = [health, inside].map(|router| {
            router
                .method_not_allowed_fallback(no_such_method)
                .with_state(admin.clone())
        });
        let inside = inside.merge(routes);
        let on_loopback = |router: Router| router.layer(from_fn(guard::loopback_only));
        match api {
            Some((api, access @ Access::Guarded(_))) => {
                health.merge(api::for_readers(inside, access)).merge(api)
            }
            Some((api, Access::Open)) => on_loopback(health.merge(inside)).merge(api),
            None => on_loopback(health.merge(inside).fallback(no_such_path)),
        }
    }

    /// Before the work can begin: health, and for everything else that it is too early.
    pub(crate) fn router_while_starting(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .fallback(too_early)
            .with_state(Arc::new(self))
    }

    /// Whether all checks passed; all that is to be said of it in one line, and a line for each.
    fn verdicts(&self) -> (bool, String, String) {
        let (mut ready, mut line, mut lines) = (true, "ok".to_owned(), String::new());
        for (name, check) in &self.checks {
            let verdict = check();
            ready &= verdict.is_ok();
            let _ = match verdict {
                Ok(text) if text.is_empty() => writeln!(lines, "{name}: ok"),
                Ok(text) => {
                    let _ = write!(line, "; {name}: {text}");
                    writeln!(lines, "{name}: ok: {text}")
                }
                Err(reason) => writeln!(lines, "{name}: not ready: {reason}"),
            };
        }
        line.push('\n');
        (ready, line, lines)
    }
}

/// A problem (RFC 9457) in the words of the API.
pub(crate) fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Response {
    let body = json!({"type": kind, "title": title, "status": status.as_u16(), "detail": detail});
    let headers = [
        (CONTENT_TYPE, "application/problem+json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}

/// The process answers: that is all it says.
async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when this process should get traffic. `?verbose` lists every check; a refusal always does.
async fn readyz(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let (ready, line, lines) = admin.verdicts();
    let verbose =
        query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")));
    match (ready, verbose) {
        (true, false) => line.into_response(),
        (true, true) => lines.into_response(),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, lines).into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A fault of ours",
            &error.to_string(),
        ),
    }
}

async fn too_early() -> Response {
    let detail = "this process is starting; /readyz says what it waits for";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = problem(status, "starting", "Not yet", detail);
    let again = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, again);
    response
}

async fn no_such_path(uri: Uri) -> Response {
    let detail = format!(
        "nothing is at {:?}; /healthz, /readyz and /metrics are here",
        uri.path()
    );
    problem(
        StatusCode::NOT_FOUND,
        "no-such-path",
        "Nothing is here",
        &detail,
    )
}

async fn no_such_method() -> Response {
    let detail = "this path does not know that method; Allow names those it knows";
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-such-method",
        "Not with this method",
        detail,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_part_is_and_says_which_is_not() {
        let part = Arc::new(AtomicBool::new(false));
        let asked = part.clone();
        let admin = Admin::new(registry()).tell("edge", move || {
            if asked.load(Ordering::Relaxed) {
                Ok("live".into())
            } else {
                Err("no snapshot yet".into())
            }
        });
        let stage = admin.stage();
        let check = |ready: bool, lines: &str| {
            let verdicts = admin.verdicts();
            assert_eq!((verdicts.0, verdicts.2.as_str()), (ready, lines));
        };
        check(
            false,
            "process: not ready: starting: not everything listens yet\nedge: not ready: no snapshot yet\n",
        );
        stage.start();
        check(false, "process: ok\nedge: not ready: no snapshot yet\n");
        part.store(true, Ordering::Relaxed);
        check(true, "process: ok\nedge: ok: live\n");
        assert_eq!(admin.verdicts().1, "ok; edge: live\n");
        stage.drain();
        check(
            false,
            "process: not ready: draining: this process has been asked to stop\nedge: ok: live\n",
        );
    }

    #[test]
    fn metrics_begin_with_our_name() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry()).expect("text");
        assert!(text.contains("seawall_build_info{version="), "{text}");
    }

    #[tokio::test]
    async fn every_role_answers_the_same_and_the_rest_is_a_problem() {
        let listener = bind(([127, 0, 0, 1], 0).into(), "--admin")
            .await
            .expect("a port");
        let address = listener.address();
        let serving = listener.serve(Admin::new(registry()).router(None));
        let check = async |url: String, path: &str, status: StatusCode, part: &str| {
            let client = crate::client::Client::new(&crate::cli::Server {
                url,
                ca: None,
                token: None,
            })
            .expect("a URL");
            let answer = client.get(path).await.expect("an answer");
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, status, "{path}: {body}");
            assert!(body.contains(part), "{path}: {body}");
        };
        let here = format!("http://{address}");
        check(here.clone(), "/healthz", StatusCode::OK, "ok").await;
        check(
            here.clone(),
            "/readyz",
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
        )
        .await;
        check(here.clone(), "/metrics", StatusCode::OK, "# EOF").await;
        check(
            here.clone(),
            "/metrix",
            StatusCode::NOT_FOUND,
            "\"status\":404",
        )
        .await;
        check(here, "/v1/sites", StatusCode::NOT_FOUND, "nothing is at").await;
        serving.stop().await;
    }
}
