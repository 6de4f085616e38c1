//! What the store's values hold. Each is a small JSON document; what cannot be read is logged, and stops no plane: a
//! newer version may have written it, or a hand that slipped.

use bytes::Bytes;
use seawall_config::feed::{Applied, Counted, EdgeState, Heartbeat, OriginSight, RefusedSite};
use seawall_config::scope::Purge;
use seawall_config::{Mode, Problem, Revision, Scope};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::millis;

/// Problems of an edge that its record keeps; of those that stay with the edge it keeps the number.
const PROBLEMS_KEPT_MAX: usize = 2;
/// Refused sites that its record names; more are told as any.
const REFUSED_KEPT_MAX: usize = 4;
/// Servers in trouble that its record names.
const ORIGINS_KEPT_MAX: usize = 4;
/// Characters of each text of a problem that a record keeps.
const PROBLEM_CHARS_MAX: usize = 240;

/// Bytes of a site's value that is read: a document and a little around it.
const SITE_BYTES_MAX: usize = seawall_config::site::DOCUMENT_BYTES_MAX + 1_024;

/// Who may change a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    Api,
    /// The sites of `seawall run --config` belong to that file.
    File,
}

/// `site/<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SiteRecord {
    pub owner: Owner,
    /// In the words of the configuration.
    pub site: Value,
}

/// `drained/<site>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DrainedRecord {
    /// The revision that created the site: one that is created again begins anew.
    pub created: Revision,
    /// By their URLs, in order.
    pub servers: Vec<String>,
}

/// `purge/<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PurgeRecord {
    pub scopes: Vec<Scope>,
    pub mode: Mode,
    /// When it was accepted, by the accepting plane's wall clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether someone waits for it to be complete: then acknowledgements are written at once.
    #[serde(default)]
    pub awaited: bool,
    /// What is fetched within so many milliseconds is used until their end only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settle_ms: u64,
    /// Nothing is purged: edges count what would be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Came with a change of sites under an `Idempotency-Key`: a hash of that change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl DrainedRecord {
    /// What it says of the site that was created then.
    pub(crate) fn of(self, created: Revision) -> Self {
        match self.created == created {
            true => self,
            false => Self {
                created,
                servers: Vec::new(),
            },
        }
    }

    pub(crate) fn with(mut self, server: &str, drained: bool) -> Self {
        self.servers.retain(|other| other != server);
        if drained {
            self.servers.push(server.to_owned());
        }
        self.servers.sort_unstable();
        self
    }
}

impl PurgeRecord {
    pub(crate) fn new(purge: Purge, at_ms: u64, awaited: bool) -> Self {
        let Purge {
            scopes,
            mode,
            settle,
            dry_run,
        } = purge;
        Self {
            scopes,
            mode,
            at_ms,
            awaited,
            settle_ms: millis(settle),
            dry_run,
            change: None,
        }
    }

    /// What one counts as of which nobody knows what it said.
    pub(crate) fn unreadable() -> Self {
        Self {
            scopes: vec![Scope::Everything],
            mode: Mode::Hard,
            at_ms: 0,
            awaited: false,
            settle_ms: 0,
            dry_run: false,
            change: None,
        }
    }

    /// Whether both ask for the same, whenever that was.
    pub(crate) fn is_same_order(&self, other: &Self) -> bool {
        let order = |it: &Self| (it.mode, it.settle_ms, it.dry_run);
        order(self) == order(other) && self.scopes == other.scopes && self.change == other.change
    }
}

/// `edge/<id>`: which boot of the edge may vouch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub boot: String,
    pub place: String,
    /// Wall clock, milliseconds since 1970.
    pub first_seen_ms: u64,
}

/// `refusal/<id>`: who was refused, because another boot holds the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusalRecord {
    pub boot: String,
    pub place: String,
}

/// `plane/<id>`: one entry for each edge that reports to this plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PlaneRecord(pub Vec<EdgeRecord>);

/// What an edge said last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EdgeRecord {
    pub id: String,
    pub boot: String,
    pub place: String,
    pub version: String,
    pub state: EdgeState,
    pub applied: Option<Applied>,
    pub lag_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedSite>,
    /// Servers of origins that are not in order, seen from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<OriginSight>,
    /// When it was heard, by the wall clock of the plane that heard it: only ever compared for being another.
    pub at_ms: u64,
}

/// `counted/<purge>/<plane>`: what each edge counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CountedRecord(pub Vec<(String, Matched)>);

/// How many stored objects a purge covered, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matched {
    pub objects: u64,
    pub bytes: u64,
}

impl EdgeRecord {
    pub(crate) fn new(id: &str, heartbeat: &Heartbeat, at_ms: u64) -> Self {
        let problems = heartbeat
            .problems
            .iter()
            .take(PROBLEMS_KEPT_MAX)
            .map(|problem| Problem::new(shortened(&problem.path), shortened(&problem.message)));
        let more = heartbeat.problems.len().saturating_sub(PROBLEMS_KEPT_MAX);
        let more = (more > 0).then(|| Problem::new("", format!("and {more} more")));
        Self {
            id: id.to_owned(),
            boot: heartbeat.boot.clone(),
            place: heartbeat.place.clone(),
            version: heartbeat.version.clone(),
            state: heartbeat.state,
            applied: heartbeat.applied,
            lag_ms: heartbeat.lag_ms,
            problems: problems.chain(more).collect(),
            refused: folded(&heartbeat.refused),
            origins: heartbeat
                .origins
                .iter()
                .take(ORIGINS_KEPT_MAX)
                .map(sight)
                .collect(),
            at_ms,
        }
    }
}

fn sight(sight: &OriginSight) -> OriginSight {
    OriginSight {
        site: shortened(&sight.site),
        server: shortened(&sight.server),
        state: shortened(&sight.state),
        why: sight.why.as_deref().map(shortened),
    }
}

/// No site is forgotten: one that is not named is among all.
fn folded(refused: &[RefusedSite]) -> Vec<RefusedSite> {
    let named = |refused: &RefusedSite| {
        let name = refused.site.as_deref();
        name.is_none_or(|name| seawall_config::site::site_name(name).is_ok())
    };
    match refused.iter().map(|refused| refused.since).min() {
        Some(since) if refused.len() > REFUSED_KEPT_MAX || !refused.iter().all(named) => {
            let (site, behind) = (None, false);
            vec![RefusedSite {
                site,
                behind,
                since,
            }]
        }
        _ => refused.to_vec(),
    }
}

impl Matched {
    /// Both together; edges send the numbers, so too many are as many as there can be.
    pub(crate) fn plus(self, other: Self) -> Self {
        let objects = self.objects.saturating_add(other.objects);
        Self {
            objects,
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl From<Counted> for Matched {
    fn from(counted: Counted) -> Self {
        Self {
            objects: counted.objects,
            bytes: counted.bytes,
        }
    }
}

/// A value as the store keeps it.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    // None of our records has a key that is not text, so this cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// A site that cannot be read is there all the same, and says nothing: edges keep its last good version.
pub(crate) fn site_record(name: &str, value: &[u8]) -> SiteRecord {
    let unreadable = SiteRecord {
        owner: Owner::Api,
        site: Value::Null,
    };
    if value.len() > SITE_BYTES_MAX {
        tracing::warn!(
            name,
            bytes = value.len(),
            "a site in the store is too large and cannot be read"
        );
        return unreadable;
    }
    let record: Option<SiteRecord> = decode(name, value);
    let is_named_so = |record: &SiteRecord| record.site.get("name").is_some_and(|it| it == name);
    record.filter(is_named_so).unwrap_or(unreadable)
}

/// A purge that cannot be read, perhaps of a kind that is not known here yet, purges everything: too much is never
/// wrong.
pub(crate) fn purge_record(key: &str, value: &[u8]) -> PurgeRecord {
    decode(key, value).unwrap_or_else(PurgeRecord::unreadable)
}

/// None when it is not what its key promises.
pub(crate) fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Option<T> {
    match serde_json::from_slice(value) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(key, %error, "a value in the store cannot be read");
            None
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(PROBLEM_CHARS_MAX).collect()
}
