//! Cloudflare's purge API: <https://developers.cloudflare.com/api/resources/cache/methods/purge/>. The token is a bearer
//! token, or in `X-Auth-Key`. Whether it went well is in `success`, as well as in the status.
//!
//! And what their own plug-in for WordPress needs besides, <https://github.com/cloudflare/Cloudflare-WordPress>: in
//! `src/WordPress/WordPressClientAPI.php` it looks its zone up by name (`getZoneTag`), and purges with DELETE
//! (`zonePurgeCache`, `zonePurgeFiles`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::Scope;
use seawall_config::scope::PurgeRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::purge;
use crate::api::access::Who;
use crate::api::problem::{self, Refusal};
use crate::api::purges::Waiting;
use crate::api::{BODY_BYTES_MAX, Query, Segment, read_json};
use crate::plane::Plane;

/// What of `GET /zones` is heard; at most one zone is found, whatever else there is to sort or to narrow.
#[derive(Debug, Deserialize)]
pub(in crate::api) struct Wanted {
    name: Option<String>,
    status: Option<String>,
    page: Option<String>,
}

/// The body of `/zones/{id}/purge_cache`.
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

/// `GET /zones?name=…`: <https://developers.cloudflare.com/api/resources/zones/methods/list/>. Without a name it is refused;
/// the plug-in then asks again with one (`returnWordPressDomain` of `src/WordPress/ClientActions.php`).
pub(in crate::api) async fn zones(
    State(plane): State<Arc<Plane>>,
    Extension(who): Extension<Who>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let Wanted { name, status, page } = wanted;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        let message = "a zone is looked up by its name, a host of the site";
        return refused(&problem::not_readable("name", message));
    };
    let others = status.is_some_and(|status| status != "active");
    let further = page.is_some_and(|page| page != "1");
    let found = match others || further {
        true => None,
        false => site_of(&plane, &who, &name),
    };
    // As it was asked for: the plug-in takes the zone of that very name.
    let zone = found.map(|id| json!({"id": id, "name": name, "status": "active"}));
    let count = usize::from(zone.is_some());
    let mut answer = answer(true, &[], &zone.into_iter().collect());
    if let Value::Object(words) = &mut answer {
        let info = json!({
            "page": 1, "per_page": 1, "count": count, "total_count": count, "total_pages": count,
        });
        words.insert("result_info".to_owned(), info);
    }
    Json(answer).into_response()
}

/// `POST` or `DELETE /zones/{id}/purge_cache`
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

/// The site of a zone's name. A plug-in takes a leading `www.` off the host that it knows (`formatDomain` of
/// `src/WordPress/WordPressAPI.php`), so it may be the site's that has the host with it.
fn site_of(plane: &Plane, who: &Who, name: &str) -> Option<String> {
    let request = PurgeRequest {
        hosts: vec![name.to_owned()],
        ..PurgeRequest::default()
    };
    // As hosts are read everywhere; what is none is nobody's.
    let scopes = request.check().ok()?.scopes;
    let Some(Scope::Host(host)) = scopes.first() else {
        return None;
    };
    let www = format!("www.{host}");
    plane.find_site(&[host, &www], |site| who.sees(site))
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
