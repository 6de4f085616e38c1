//! `/v1/sites`: documents in the words of the configuration. The entity tag is the revision that changed it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::scope::PurgeRequest;
use seawall_config::site::{DOCUMENT_BYTES_MAX, site_name};
use seawall_config::{Revision, Site};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::{Denied, Who, may_put};
use super::audit::Made;
use super::problem::{self, Refusal, etag};
use super::purges::{self, Waiting, idempotency_id};
use super::{BODY_BYTES_MAX, Query, Segment, members, read_json};
use crate::plane::{IfMatch, Owner, Plane, PlaneError, Put, SitesChange, StoredSite, Wait};

#[derive(Serialize)]
struct Listing {
    sites: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    owner: Owner,
    /// The revision that created it.
    created: Revision,
    /// The revision that changed it last.
    revision: Revision,
    site: Value,
}

pub(super) async fn list(State(plane): State<Arc<Plane>>) -> Response {
    let listed = |StoredSite { owner, document }| {
        let seawall_config::feed::SiteDocument {
            name,
            created,
            revision,
            site,
        } = document;
        Listed {
            name,
            owner,
            created,
            revision,
            site,
        }
    };
    // Asked for first: a set that changes in between is then newer than its tag, and a change under it is refused.
    let etag = [(ETAG, etag(plane.sites_changed()))];
    let sites = plane.list_sites().into_iter().map(listed).collect();
    (etag, Json(Listing { sites })).into_response()
}

/// Several sites, changed as one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    put: Vec<Value>,
    /// Names.
    #[serde(default)]
    delete: Vec<String>,
    /// In the same revision.
    purge: Option<PurgeRequest>,
}

pub(super) async fn change(
    State(plane): State<Arc<Plane>>,
    Extension(who): Extension<Who>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let wait = waiting.checked()?;
    let id = idempotency_id(&who, &headers)?;
    let expect = match expectation(&headers)? {
        IfMatch::Always => None,
        IfMatch::OneOf(revisions) if revisions.len() == 1 => revisions.first().copied(),
        _ => {
            let message =
                "several sites change under one entity tag, that of the list, or under none";
            return Err(problem::not_readable("If-Match", message));
        }
    };
    let Changes { put, delete, purge } = read_json(body, BODY_BYTES_MAX).await?;
    if purge.is_none() && wait != Wait::Accepted {
        let message = "only a purge is waited for, and none comes with this change; /v1/edges tells what each edge has \
                       applied";
        return Err(problem::not_readable("wait", message));
    }
    let change = SitesChange {
        put,
        delete,
        expect,
    };
    let receipt = match &purge {
        None => None,
        Some(purge) => {
            let purged = plane.change_sites_and_purge(&change, purge, id, wait);
            Some(purged.await?)
        }
    };
    let revision = match &receipt {
        None => plane.change_sites(&change).await?,
        Some(receipt) => receipt.revision,
    };
    let SitesChange { put, delete, .. } = change;
    let names: Vec<_> = put.iter().filter_map(|site| site.get("name")).collect();
    let what = json!({"put": names, "delete": delete, "purge": purge});
    let made = Extension(Made::at(revision).what(&what));
    // Where only the purge was news, the set of sites is as it was.
    let etag = (plane.sites_changed() == revision).then(|| [(ETAG, etag(revision))]);
    let status = receipt
        .as_ref()
        .map_or(StatusCode::OK, |receipt| purges::status(wait, receipt));
    let answer = json!({"revision": revision, "purge": receipt});
    let response = (status, made, Json(answer));
    Ok(match etag {
        Some(etag) => (etag, response).into_response(),
        None => response.into_response(),
    })
}

pub(super) async fn read(
    State(plane): State<Arc<Plane>>,
    Segment(name): Segment<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let StoredSite { document, .. } = plane.get_site(&name)?;
    let etag = etag(document.revision);
    // RFC 9110 §13.1.2: If-None-Match compares weakly.
    let known = |member: &str| member == "*" || member.trim_start_matches("W/") == etag;
    if members(&headers, "if-none-match").any(known) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    Ok(([(ETAG, etag)], Json(document.site)).into_response())
}

pub(super) async fn write(
    State(plane): State<Arc<Plane>>,
    Extension(who): Extension<Who>,
    Segment(name): Segment<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    site_name(&name).map_err(|message| problem::not_readable("name", &message))?;
    let mut expect = expectation(&headers)?;
    let mut document: Value = read_json(body, DOCUMENT_BYTES_MAX).await?;
    if let Value::Object(words) = &mut document {
        // The address has said it.
        words.entry("name").or_insert_with(|| name.clone().into());
    }
    if who.limit().is_some() {
        expect = within_its_hosts(&plane, &name, &document, &expect)?;
    }
    let (revision, put) = plane.put_site(&name, document.clone(), &expect).await?;
    let (etag, made) = ([(ETAG, etag(revision))], Extension(Made::at(revision)));
    Ok(match put {
        Put::Created => {
            let location = [(LOCATION, format!("/v1/sites/{name}"))];
            (StatusCode::CREATED, etag, made, location, Json(document)).into_response()
        }
        Put::Changed | Put::Unchanged => (etag, made, Json(document)).into_response(),
    })
}

pub(super) async fn remove(
    State(plane): State<Arc<Plane>>,
    Segment(name): Segment<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let revision = plane.delete_site(&name, &expectation(&headers)?).await?;
    Ok((StatusCode::NO_CONTENT, Extension(Made::at(revision))).into_response())
}

/// For a token that is limited to sites: what it may expect to be there, so that the hosts that were looked at are those
/// that are written over.
fn within_its_hosts(
    plane: &Plane,
    name: &str,
    document: &Value,
    expect: &IfMatch,
) -> Result<IfMatch, Refusal> {
    let wanted = Site::from_document(document).map_err(PlaneError::from)?;
    let there = plane.get_site(name).ok();
    let site = there
        .as_ref()
        .and_then(|there| Site::from_document(&there.document.site).ok());
    if let Err(Denied::Forbidden(why)) = may_put(site.as_ref(), &wanted) {
        return Err(problem::forbidden(why));
    }
    let seen = there.map(|there| there.document.revision);
    Ok(match expect {
        IfMatch::Absent => IfMatch::Absent,
        IfMatch::Always | IfMatch::Present => IfMatch::OneOf(seen.into_iter().collect()),
        IfMatch::OneOf(revisions) => {
            let those = revisions.iter().copied();
            IfMatch::OneOf(those.filter(|revision| Some(*revision) == seen).collect())
        }
    })
}

/// RFC 9110 §13.1.1 and §13.1.2, for a change.
fn expectation(headers: &HeaderMap) -> Result<IfMatch, Refusal> {
    let if_match: Vec<_> = members(headers, "if-match").collect();
    let if_none_match: Vec<_> = members(headers, "if-none-match").collect();
    match (&if_match[..], &if_none_match[..]) {
        ([], []) => Ok(IfMatch::Always),
        (["*"], []) => Ok(IfMatch::Present),
        ([], ["*"]) => Ok(IfMatch::Absent),
        (tags, []) => {
            // §13.1.1: a strong comparison. A weak tag, or one that was never ours, equals none of ours.
            let ours = |tag: &&str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
            Ok(IfMatch::OneOf(
                tags.iter().filter_map(ours).map(Revision).collect(),
            ))
        }
        _ => {
            let message = "a change is made under If-Match, or under If-None-Match: *";
            Err(problem::not_readable("If-None-Match", message))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_change_may_expect_what_is_there() {
        let check =
            |if_match: Option<&str>, if_none_match: Option<&str>, expect: Option<IfMatch>| {
                let mut headers = HeaderMap::new();
                if_match.map(|value| headers.insert("if-match", value.parse().unwrap()));
                if_none_match.map(|value| headers.insert("if-none-match", value.parse().unwrap()));
                let found = expectation(&headers).ok();
                assert_eq!(found, expect, "{if_match:?} {if_none_match:?}");
            };
        let one_of = |revisions: &[u64]| {
            Some(IfMatch::OneOf(
                revisions.iter().copied().map(Revision).collect(),
            ))
        };
        check(None, None, Some(IfMatch::Always));
        check(Some("*"), None, Some(IfMatch::Present));
        check(None, Some("*"), Some(IfMatch::Absent));
        check(Some("\"7\""), None, one_of(&[7]));
        check(Some("\"7\", \"9\""), None, one_of(&[7, 9]));
        check(Some("W/\"7\""), None, one_of(&[]));
        check(Some("7"), None, one_of(&[]));
        check(Some("\"seven\""), None, one_of(&[]));
        check(None, Some("\"7\""), None);
        check(Some("\"7\""), Some("*"), None);
    }
}
