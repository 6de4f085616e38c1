//! Purges in the shapes that other CDNs made a habit: a plug-in that purges there purges here, once its base URL and its
//! token are ours. What they call a service or a zone is a site, by its name.
//!
//! Answers come when the purge has its place in the order, as theirs do; `?wait=complete` works here, too.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::scope::PurgeRequest;
use seawall_config::site::HostPattern;
use seawall_config::{Scope, Site};
use serde::Serialize;

use super::access::Who;
use super::audit::Made;
use super::problem::{self, Refusal};
use super::purges::{check_limit, status};
use crate::plane::{Plane, PlaneError, Wait};

pub(super) mod cloudflare;
pub(super) mod fastly;

/// A purge that is under way.
struct Purged {
    status: StatusCode,
    made: Made,
    /// Which one it is, as they give each an id.
    id: String,
}

impl Purged {
    fn answer(self, body: impl Serialize) -> Response {
        (self.status, Extension(self.made), Json(body)).into_response()
    }
}

/// `site`: must exist, where one was named.
async fn purge(
    plane: &Arc<Plane>,
    who: &Who,
    site: Option<&str>,
    request: &PurgeRequest,
    wait: Wait,
) -> Result<Purged, Refusal> {
    if let Some(name) = site {
        let stored = plane.get_site(name)?;
        let scopes = request.check().map_err(PlaneError::from)?.scopes;
        // A document that does not read has no hosts to go by; to purge too much is the safe mistake.
        if let Ok(site) = Site::from_document(&stored.document.site)
            && let Some(scope) = scopes.iter().find(|scope| !may_be_of(&site, scope))
        {
            return Err(problem::foreign_scope(scope, name));
        }
    }
    check_limit(plane, who, request)?;
    let receipt = plane.purge(request, None, wait).await?;
    let made = Made::at(receipt.revision).what(request);
    // They know no 202.
    let status = match wait {
        Wait::Accepted => StatusCode::OK,
        Wait::Complete(_) => status(wait, &receipt),
    };
    let id = receipt.token.to_string();
    Ok(Purged { status, made, id })
}

/// Whether what is purged in the name of a site may be its own. Tags belong to no site: they are purged everywhere.
fn may_be_of(site: &Site, scope: &Scope) -> bool {
    let host = match scope {
        Scope::Host(host) => host,
        Scope::Url(target) | Scope::Prefix(target) => &target.host,
        Scope::Everything | Scope::Site(_) | Scope::Tag(_) => return true,
    };
    let name = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => host.get(..at).unwrap_or(host),
        _ => host,
    };
    site.hosts.iter().any(|pattern| match pattern {
        HostPattern::Any => true,
        HostPattern::Exact(exact) => exact == name,
        HostPattern::Below(above) => name
            .strip_suffix(above.as_str())
            .is_some_and(|below| below.ends_with('.')),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_purged_in_the_name_of_a_site_is_on_its_hosts() {
        let check = |hosts: &[&str], request: serde_json::Value, expect: bool| {
            let document = json!({"name": "s", "hosts": hosts, "origin": "http://127.0.0.1:9"});
            let site = Site::from_document(&document).unwrap();
            let purge: PurgeRequest = serde_json::from_value(request.clone()).unwrap();
            let scopes = purge.check().unwrap().scopes;
            let all = scopes.iter().all(|scope| may_be_of(&site, scope));
            assert_eq!(all, expect, "{hosts:?} {request}");
        };
        let www = ["www.test"];
        check(&www, json!({"hosts": ["www.test"]}), true);
        check(&www, json!({"hosts": ["www.test:8080"]}), true);
        check(&www, json!({"hosts": ["other.test"]}), false);
        check(&www, json!({"urls": ["http://other.test/a"]}), false);
        check(&www, json!({"prefixes": ["other.test/a"]}), false);
        check(&www, json!({"hosts": ["a.www.test"]}), false);
        check(&www, json!({"tags": ["t"]}), true);
        check(&["*.test"], json!({"hosts": ["a.b.test"]}), true);
        check(&["*.test"], json!({"hosts": ["test"]}), false);
        check(&["*.test"], json!({"hosts": ["atest"]}), false);
        check(&["*"], json!({"hosts": ["any.test"]}), true);
    }
}
