//! What `explain` answers: as JSON for programs, and as text for people.

use serde::{Deserialize, Serialize};

mod text;

/// What this edge would do with one request now, and why. Nothing was fetched to find out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Method and URL.
    pub request: String,
    pub edge: EdgeView,
    /// Whose request it is; None where it is refused before that is known.
    pub site: Option<SiteView>,
    /// What two requests must agree on to share an answer.
    pub key: Option<String>,
    /// What a purge could name to take the answer, besides its tags.
    pub scopes: Vec<String>,
    /// Every variant stored under the key, the newest last.
    pub stored: Vec<Stored>,
    /// Why the origin's last answer was not stored, as far as this edge remembers.
    pub not_stored: Option<Spoken>,
    /// The rules that were asked, in order, and what each said.
    pub rules: Vec<Spoken>,
    pub verdict: Decision,
    /// How it would be answered; None where the origin has a say in that.
    pub answer: Option<String>,
    /// The request the origin would get; empty where it gets none.
    pub asks: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EdgeView {
    pub id: String,
    pub place: String,
    pub epoch: u64,
    pub revision: u64,
    /// Whether it may vouch for what it stored.
    pub vouches: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SiteView {
    pub name: String,
    /// The revision that created it, and the one that changed it last.
    pub created: u64,
    pub changed: u64,
    /// The pattern that matches the host.
    pub host: String,
    /// The path rule that matches; None: the site's own words hold.
    pub rule: Option<String>,
    /// The words in force, as the configuration spells them.
    pub policy: Vec<String>,
}

/// One stored variant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    pub selected: bool,
    /// The request fields that select another, as they are said now.
    pub differs: Vec<String>,
    pub status: u16,
    pub bytes_here: u64,
    pub bytes_total: u64,
    /// The revision its fetch was routed with.
    pub born: u64,
    /// The request fields it was selected by, as they were said.
    pub selects: Vec<String>,
    /// What it says of caching, as it was said.
    pub says: Vec<String>,
    /// The directives that were read of it, and where.
    pub read: Option<Spoken>,
    pub tags: Vec<String>,
    /// Cache groups (RFC 9875).
    pub groups: Vec<String>,
    pub freshness: Sum,
    /// The purges that count against it.
    pub against: Vec<String>,
}

/// The freshness sum (RFC 9111 §4.2): what is left is the lifetime without the age.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sum {
    pub lifetime_ms: u64,
    /// What set the lifetime, and where that is said.
    pub by: Spoken,
    /// What the age is made of (§4.2.3).
    pub age: Vec<Term>,
    pub fresh: bool,
}

/// One part of a sum.
#[derive(Debug, Serialize, Deserialize)]
pub struct Term {
    pub ms: u64,
    pub says: String,
}

/// What it comes to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decision {
    pub kind: Kind,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Answered from what is stored.
    Serve,
    /// Waits for a fetch that is under way.
    Join,
    /// The origin is asked whether what is stored is still good.
    Validate,
    Fetch,
    /// The origin is asked for this client only.
    Alone,
    /// Goes through to the origin and back.
    Pass,
    Refuse,
}

/// A rule, and what it said.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spoken {
    pub section: String,
    pub says: String,
}

impl Report {
    /// Nothing is known yet but who is asked what.
    pub fn new(request: String, edge: EdgeView) -> Self {
        Self {
            request,
            edge,
            site: None,
            key: None,
            scopes: Vec::new(),
            stored: Vec::new(),
            not_stored: None,
            rules: Vec::new(),
            verdict: Decision::new(Kind::Refuse, ""),
            answer: None,
            asks: Vec::new(),
        }
    }
}

impl Sum {
    pub fn age_ms(&self) -> u64 {
        let age = self.age.iter().map(|term| term.ms);
        age.fold(0, u64::saturating_add)
    }
}

impl Decision {
    pub fn new(kind: Kind, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { kind, why }
    }
}

impl Spoken {
    pub fn new(section: &str, says: impl Into<String>) -> Self {
        Self {
            section: section.to_owned(),
            says: says.into(),
        }
    }
}
