//! `POST /v1/explain` on the admin address of a process with an edge: what that edge would do, and why.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use seawall_edge::{Edge, Question};

use crate::admin::problem;

pub(crate) const PATH: &str = "/v1/explain";
/// Bytes of a question: the fields of one request, as JSON.
const QUESTION_BYTES_MAX: usize = 128 * 1024;

pub(crate) fn router(edge: Arc<Edge>) -> Router {
    Router::new()
        .route(PATH, post(explain))
        .layer(DefaultBodyLimit::max(QUESTION_BYTES_MAX))
        .with_state(edge)
}

async fn explain(
    State(edge): State<Arc<Edge>>,
    question: Result<Json<Question>, JsonRejection>,
) -> Response {
    let explained = match question {
        Ok(Json(question)) => edge.explain(&question),
        Err(rejection) => Err(rejection.body_text()),
    };
    match explained {
        Ok(report) => Json(report).into_response(),
        Err(wrong) => problem(
            StatusCode::BAD_REQUEST,
            "bad-question",
            "Not a request",
            &wrong,
        ),
    }
}
