//! Cloudflare's purge API: <https://developers.cloudflare.com/api/resources/cache/methods/purge/>. The token is a bearer
//! token, or in `X-Auth-Key`. Whether it went well is in `success`, as well as in the status.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::scope::PurgeRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::purge;
use crate::api::access::Who;
use crate::api::problem::Refusal;
use crate::api::purges::Waiting;
use crate::api::{BODY_BYTES_MAX, Query, Segment, read_json};
use crate::plane::Plane;

/// The body of `POST /zones/{id}/purge_cache`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    files: Vec<File>,
    tags: Vec<String>,
    hosts: Vec<String>,
    prefixes: Vec<String>,
    purge_everything: bool,
}

/// A URL, or one with the fields of a variant: all variants go.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum File {
    Url(String),
    Variant {
        url: String,
        #[serde(rename = "headers")]
        _headers: Value,
    },
}

/// `POST /zones/{id}/purge_cache`
pub(in crate::api) async fn purge_cache(
    State(plane): State<Arc<Plane>>,
    Extension(who): Extension<Who>,
    Segment(site): Segment<String>,
    Query(waiting): Query<Waiting>,
    body: Body,
) -> Response {
    let purged = async {
        let wait = waiting.checked()?;
        let asked: Asked = read_json(body, BODY_BYTES_MAX).await?;
        let request = asked.into_request(&site);
        purge(&plane, &who, Some(&site), &request, wait).await
    };
    match purged.await {
        Ok(purged) => {
            let result = json!({"id": purged.id});
            purged.answer(answer(true, &[], &result))
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let (status, message): (StatusCode, String) = refusal.told();
    let error = json!({"code": status.as_u16(), "message": message});
    (status, Json(answer(false, &[error], &Value::Null))).into_response()
}

fn answer(success: bool, errors: &[Value], result: &Value) -> Value {
    let none: [Value; 0] = [];
    json!({"success": success, "errors": errors, "messages": none, "result": result})
}

impl Asked {
    fn into_request(self, site: &str) -> PurgeRequest {
        let url = |file| match file {
            File::Url(url) | File::Variant { url, .. } => url,
        };
        let site = self.purge_everything.then(|| site.to_owned());
        PurgeRequest {
            urls: self.files.into_iter().map(url).collect(),
            tags: self.tags,
            hosts: self.hosts,
            prefixes: self.prefixes,
            sites: site.into_iter().collect(),
            ..PurgeRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_zone_is_a_site_and_a_variant_its_url() {
        let check = |body: Value, expect: Value| {
            let asked: Asked = serde_json::from_value(body.clone()).unwrap();
            let request = serde_json::to_value(asked.into_request("www")).unwrap();
            for (word, value) in expect.as_object().unwrap() {
                assert_eq!(&request[word], value, "{body}");
            }
        };
        check(
            json!({"files": ["http://a/b", {"url": "http://a/c", "headers": {"CF-IPCountry": "US"}}]}),
            json!({"urls": ["http://a/b", "http://a/c"], "sites": []}),
        );
        check(
            json!({"purge_everything": true}),
            json!({"sites": ["www"], "all": false}),
        );
        check(
            json!({"tags": ["t"], "hosts": ["a"], "prefixes": ["a/b"]}),
            json!({"tags": ["t"], "hosts": ["a"], "prefixes": ["a/b"]}),
        );
        assert!(serde_json::from_value::<Asked>(json!({"file": []})).is_err());
    }
}
