//! What is answered while a process cannot do its work yet: that it is alive, and why it is not ready.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::ServiceExt;

/// Answers as one router until it is given another, for good.
#[derive(Clone)]
pub(crate) struct Starting(Arc<OnceLock<Router>>);

impl Starting {
    /// The router to serve; it is `first` until [`Starting::become_`].
    pub(crate) fn new(first: Router) -> (Self, Router) {
        let starting = Self(Arc::default());
        let then = starting.0.clone();
        let router = Router::new().fallback(move |request: Request| {
            let router = then.get().unwrap_or(&first).clone();
            async move { answer(router, request).await }
        });
        (starting, router)
    }

    /// From now on.
    pub(crate) fn become_(self, router: Router) {
        // It is given up with this, so it was not set before.
        let _ = self.0.set(router);
    }
}

async fn answer(router: Router, request: Request) -> Result<Response, Infallible> {
    router.oneshot(request).await
}
