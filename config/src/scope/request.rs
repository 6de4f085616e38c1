//! What a client asks to purge, and the scopes it means.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Mode, Scheme, Scope, host, prefix, tag, target};
use crate::problem::Problems;
use crate::reader::duration;

/// Scopes one purge may name.
pub const PURGE_SCOPES_MAX: usize = 1_000;

/// For how long the replicas behind an origin may lag, at most.
pub const SETTLE_MAX: Duration = Duration::from_secs(60);

/// The body of `POST /v1/purges`, as a stranger wrote it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurgeRequest {
    pub urls: Vec<String>,
    pub tags: Vec<String>,
    pub prefixes: Vec<String>,
    pub hosts: Vec<String>,
    pub sites: Vec<String>,
    pub all: bool,
    pub mode: Mode,
    /// What is fetched within this time after the purge is used until its end only: an origin whose replicas lag may
    /// have answered as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<String>,
    /// Count what would go, and let it stay.
    pub dry_run: bool,
}

/// A purge as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Each once, and at least one.
    pub scopes: Vec<Scope>,
    pub mode: Mode,
    /// Zero: at once.
    pub settle: Duration,
    pub dry_run: bool,
}

impl PurgeRequest {
    /// What it means, or everything that is wrong with it.
    pub fn check(&self) -> Result<Purge, Problems> {
        let mut problems = Problems::default();
        let settle = self.settle(&mut problems);
        let scopes = self.scopes(&mut problems);
        problems.or(Purge {
            scopes,
            mode: self.mode,
            settle,
            dry_run: self.dry_run,
        })
    }

    fn settle(&self, problems: &mut Problems) -> Duration {
        let settle = self.settle.as_deref().map(duration).transpose();
        let settle = match settle {
            Ok(settle) => settle.unwrap_or_default(),
            Err(message) => {
                problems.add("settle", message);
                return Duration::ZERO;
            }
        };
        if settle > SETTLE_MAX {
            problems.add("settle", format!("at most {SETTLE_MAX:?}"));
        }
        if !settle.is_zero() && self.mode == Mode::Soft {
            let message =
                "only a hard purge settles: after a soft one everything is validated anyway";
            problems.add("settle", message);
        }
        settle
    }

    fn scopes(&self, problems: &mut Problems) -> Vec<Scope> {
        let named = self.urls.len()
            + self.tags.len()
            + self.prefixes.len()
            + self.hosts.len()
            + self.sites.len();
        if named > PURGE_SCOPES_MAX {
            problems.add("", format!("{named} scopes in one purge; at most {PURGE_SCOPES_MAX} are allowed, send several"));
            return Vec::new();
        }
        if named == 0 && !self.all {
            problems.add(
                "",
                "nothing to purge: name urls, tags, prefixes, hosts or sites, or say \"all\": true",
            );
            return Vec::new();
        }
        let mut scopes = Vec::with_capacity(named);
        let mut seen = HashSet::with_capacity(named);
        let mut each = |word: &str, texts: &[String], parse: fn(&str) -> Result<Scope, String>| {
            for (i, text) in texts.iter().enumerate() {
                match parse(text) {
                    Ok(scope) if seen.insert(scope.clone()) => scopes.push(scope),
                    Ok(_) => {}
                    Err(message) => problems.add(format!("{word}[{i}]"), message),
                }
            }
        };
        each("urls", &self.urls, |text| target(text).map(Scope::Url));
        each("tags", &self.tags, |text| tag(text).map(Scope::Tag));
        each("prefixes", &self.prefixes, |text| {
            prefix(text).map(Scope::Prefix)
        });
        each("hosts", &self.hosts, |text| {
            host_of_any_port(text).map(Scope::Host)
        });
        each("sites", &self.sites, |text| {
            crate::site::site_name(text).map(Scope::Site)
        });
        if self.all {
            scopes.push(Scope::Everything);
        }
        scopes
    }
}

/// A host to purge. With a default port it would match no key: a key never holds one.
fn host_of_any_port(text: &str) -> Result<String, String> {
    let host = host(text, None)?;
    let default = [Scheme::Http, Scheme::Https]
        .into_iter()
        .find_map(|scheme| host.strip_suffix(scheme.colon_port()));
    match default {
        Some(name) => Err(format!(
            "leave out the default port: write {name:?}, which covers every port, or purge a prefix"
        )),
        None => Ok(host),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_named_twice_is_purged_once_and_too_many_are_refused() {
        let urls = |count: usize| {
            (0..count)
                .map(|i| format!("http://a/{}", i % 900))
                .collect()
        };
        let request = PurgeRequest {
            urls: urls(PURGE_SCOPES_MAX),
            ..PurgeRequest::default()
        };
        assert_eq!(request.check().expect("fine").scopes.len(), 900);
        let request = PurgeRequest {
            urls: urls(PURGE_SCOPES_MAX + 1),
            ..PurgeRequest::default()
        };
        assert!(request.check().is_err());
    }

    #[test]
    fn a_host_with_a_default_port_would_match_nothing_and_is_refused() {
        let check = |host: &str| {
            PurgeRequest {
                hosts: vec![host.into()],
                ..PurgeRequest::default()
            }
            .check()
            .is_ok()
        };
        assert!(check("a.example"));
        assert!(check("a.example:8080"));
        assert!(check("[::1]"));
        assert!(!check("a.example:80"));
        assert!(!check("[::1]:443"));
    }

    #[test]
    fn a_purge_of_nothing_is_refused_and_every_problem_named() {
        let all_wrong = PurgeRequest {
            urls: vec!["/a".into(), "http://a/".into()],
            tags: vec!["a b".into()],
            ..PurgeRequest::default()
        };
        let paths: Vec<_> = all_wrong
            .check()
            .expect_err("wrong")
            .0
            .into_iter()
            .map(|p| p.path)
            .collect();
        assert_eq!(paths, ["urls[0]", "tags[0]"]);
        assert!(PurgeRequest::default().check().is_err());
        assert_eq!(
            PurgeRequest {
                all: true,
                ..PurgeRequest::default()
            }
            .check()
            .map(|purge| purge.scopes),
            Ok(vec![Scope::Everything])
        );
    }

    #[test]
    fn a_purge_settles_for_a_minute_at_most() {
        let check = |settle: &str, mode, expect: Option<u64>| {
            let request = PurgeRequest {
                all: true,
                mode,
                settle: Some(settle.into()),
                ..PurgeRequest::default()
            };
            let found = request.check().ok().map(|purge| purge.settle);
            assert_eq!(found, expect.map(Duration::from_millis), "{settle}");
        };
        check("2s", Mode::Hard, Some(2_000));
        check("1m", Mode::Hard, Some(60_000));
        check("61s", Mode::Hard, None);
        check("2", Mode::Hard, None);
        check("2s", Mode::Soft, None);
        check("0s", Mode::Soft, Some(0));
    }
}
