//! What a control plane and an edge say to each other.
//!
//! `GET /v1/feed?after=<epoch>-<revision>` answers a stream of [`Frame`]s, one JSON document a line, one
//! whole revision each. `410` says that it cannot be continued; then `GET /v1/snapshot` answers a
//! [`Snapshot`]. What a newer version says in words that this one does not know is read so that no purge is lost:
//! see [`newer`]. `POST /v1/edges/{id}/heartbeat` takes a [`Heartbeat`] and answers a [`Renewal`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

mod newer;

use crate::problem::Problem;
use crate::revision::{Epoch, Revision};
use crate::scope::{Mode, Scope};

/// Vouching: an edge may vouch for its objects this long after *sending* a heartbeat that was answered.
pub const VOUCH_MS: u64 = 10_000;
/// How often an edge sends a heartbeat.
pub const HEARTBEAT_MS: u64 = 1_000;
/// The most two clocks may drift apart, in millionths.
pub const DRIFT_PPM: u64 = 500;
/// What a control plane adds before it calls an edge fenced.
pub const MARGIN_MS: u64 = 1_000;
/// How often a control plane writes a beacon.
pub const BEACON_MS: u64 = 1_000;
/// Bytes of one line of the feed.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Sites that a heartbeat names as refused; more are told as all.
pub const REFUSED_SITES_MAX: usize = 16;
/// Servers that a heartbeat names as not in order; of more, the first by site.
pub const ORIGINS_MAX: usize = 32;
/// Bytes of one snapshot.
pub const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One whole revision of the store, or, with no changes, the news that the store has reached it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub epoch: Epoch,
    pub revision: Revision,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "newer::changes"
    )]
    pub changes: Vec<Change>,
}

/// One change of a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    PutSite(SiteDocument),
    DeleteSite {
        name: String,
    },
    Purge {
        scopes: Vec<Scope>,
        mode: Mode,
        /// What is fetched within so many milliseconds is used until their end only.
        #[serde(default, skip_serializing_if = "is_zero")]
        settle_ms: u64,
    },
    /// Say how many objects of these scopes there are, and keep them.
    Count {
        scopes: Vec<Scope>,
        /// True: an edge that does not know this word does not count.
        optional: bool,
    },
    /// These servers of a site get no requests, and all others of it do. An edge that does not know this word goes on as it
    /// did.
    Drain(Drain),
    Beacon(Beacon),
}

/// The servers of one site that an operator has drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub site: String,
    /// By their URLs; empty: none any more.
    pub servers: Vec<String>,
    /// True: an edge that does not know of drained servers need not.
    #[serde(default)]
    pub optional: bool,
}

/// A site as the store holds it; whoever uses it checks it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteDocument {
    pub name: String,
    /// The revision that created the site: its incarnation, part of every cache key.
    pub created: Revision,
    /// The revision that changed it last: its ETag.
    pub revision: Revision,
    /// In the words of the configuration.
    pub site: serde_json::Value,
}

/// Written each second: tells every edge its true lag, and which history it follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// Random: two histories that reach one revision number do not share it.
    pub id: String,
    /// The plane's wall clock, milliseconds since 1970.
    pub at_ms: u64,
}

/// A purge and its place in the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PurgeRecord {
    pub revision: Revision,
    pub scopes: Vec<Scope>,
    pub mode: Mode,
    /// As in [`Change::Purge`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settle_ms: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Everything an edge serves from, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub epoch: Epoch,
    pub revision: Revision,
    /// Objects born before it count as hard-purged; nothing else does.
    pub floor: Revision,
    /// The newest beacon at or before `revision`, and the revision that wrote it.
    pub beacon: Option<(Revision, Beacon)>,
    pub sites: Vec<SiteDocument>,
    /// Every live purge record, oldest first.
    #[serde(deserialize_with = "newer::purges")]
    pub purges: Vec<PurgeRecord>,
    /// Of each site that has drained servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drained: Vec<Drain>,
}

/// A purge that a client ordered at an edge, by the method `PURGE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgePurge {
    /// Whose URL it is: it has to let clients purge at edges.
    pub site: String,
    /// Host and path, without a scheme: both are meant.
    pub url: String,
    pub mode: Mode,
    /// The client.
    pub from: IpAddr,
}

/// What an edge says of itself each second, and at once after it applied a purge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Random, new at each start of the edge.
    pub boot: String,
    pub place: String,
    pub version: String,
    pub state: EdgeState,
    /// None before the first snapshot.
    pub applied: Option<Applied>,
    /// How long the newest applied beacon was under way, in milliseconds.
    pub lag_ms: Option<u64>,
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Sites that this edge does not serve as the newest documents say.
    #[serde(default)]
    pub refused: Vec<RefusedSite>,
    #[serde(default)]
    pub load: Load,
    /// Purges whose objects have been counted since the last answered heartbeat.
    #[serde(default)]
    pub counted: Vec<Counted>,
    /// The servers of origins that are not in order, seen from here; no more than [`ORIGINS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<OriginSight>,
}

/// A server that an edge does not find in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginSight {
    pub site: String,
    /// Its URL.
    pub server: String,
    /// `down`, `ejected` or `open`; perhaps a word of a newer edge.
    pub state: String,
    /// What the last check found wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A site whose newest document an edge refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSite {
    /// None: more are refused than are named, so it may be any.
    pub site: Option<String>,
    /// Its own newest document is in force, and an old version of another site may hold some of its hosts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// From this revision on the edge does not do as the documents say.
    pub since: Revision,
}

/// How far an edge has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub epoch: Epoch,
    pub revision: Revision,
}

/// What an edge serves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeState {
    /// It follows a control plane and may vouch for its objects.
    Live,
    /// It serves from its last-known-good snapshot; no control plane has answered since it started.
    Lkg,
    /// It has been cut off for so long that it may no longer vouch for its objects.
    Fenced,
}

/// How busy an edge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    pub requests_total: u64,
    pub objects: u64,
    pub bytes: u64,
}

/// How many objects of one edge a purge matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub revision: Revision,
    pub objects: u64,
    pub bytes: u64,
}

/// The answer to a heartbeat, given only after a store write begun after its arrival has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The revision of that write.
    pub head: Revision,
    /// The revision that registered this start of the edge: receipts of older purges do not wait for it. None: an older
    /// control plane does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Revision>,
}
