//! What this edge would do with a request, and why: the very functions that serve are asked, in their order, and
//! nothing is fetched. Nothing changes but that moka counts the look at the shelf as one use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use seawall_config::scope::Scheme;
use serde::Deserialize;

use crate::admit::{Admitted, Asked, Refused, admit};
use crate::answer::{Answer, Journey, Verdict, asked_behind, decide, would_join};
use crate::fill::fetch::Stored as Asking;
use crate::object::Object;
use crate::origin;
use crate::rules::invalidation;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::storage::{Shelf, Storage};

mod report;
mod spoken;
mod stored;
mod words;

use report::{Decision, EdgeView, SiteView, Spoken};
pub use report::{Kind, Report};

/// Fields of one question.
const FIELDS_MAX: usize = 100;
/// Hosts that are named to somebody who asks for one that is not there.
const HOSTS_TOLD_MAX: usize = 20;

/// The request that is asked about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Absolute, as a client would spell it.
    pub url: String,
    #[serde(default = "get")]
    pub method: String,
    /// Name and value, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// A request as a door would have read it.
struct Request {
    method: Method,
    scheme: Scheme,
    uri: Uri,
    fields: Arc<HeaderMap>,
}

/// All there is to decide from, looked at once.
struct Looked<'a> {
    state: &'a State,
    journey: &'a Journey,
    shelf: Option<Shelf>,
    selected: Option<Arc<Object>>,
    vouches: bool,
    now: SystemTime,
}

fn get() -> String {
    "GET".to_owned()
}

/// Err: what is wrong with the question.
pub fn explain(
    state: &State,
    place: &str,
    question: &Question,
    now: SystemTime,
) -> Result<Report, String> {
    let request = Request::read(question)?;
    let snapshot = state.snapshot.load_full();
    let edge = EdgeView {
        id: state.pseudonym.node.clone(),
        place: place.to_owned(),
        epoch: snapshot.epoch.0,
        revision: snapshot.revision.0,
        vouches: state.vouches(),
    };
    let mut report = Report::new(format!("{} {}", request.method, question.url), edge);
    let birth = |served: &_| state.birth(&snapshot, served);
    match admit(request.asked(), &snapshot, &state.pseudonym, birth) {
        Ok(Admitted::Ours(journey)) => report.ours(state, &journey, now),
        Ok(Admitted::Purges(journey) | Admitted::Passes(journey)) => report.passes(&journey),
        Err(refused) => report.refused(refused, &snapshot),
    }
    Ok(report)
}

impl Request {
    fn read(question: &Question) -> Result<Self, String> {
        let Question {
            url,
            method,
            headers,
        } = question;
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("url: {url:?} is no URL: {error}"))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(other) => {
                return Err(format!(
                    "url: the scheme is {other:?}; http and https are served"
                ));
            }
            None => return Err(format!("url: {url:?} has no scheme; write http://{url}")),
        };
        let method = method
            .parse()
            .map_err(|_| format!("method: {method:?} is no method"))?;
        if headers.len() > FIELDS_MAX {
            return Err(format!("headers: at most {FIELDS_MAX} are read"));
        }
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            let wrong = |what: &str| format!("headers: {name:?}: {value:?} {what}");
            let name: HeaderName = name.parse().map_err(|_| wrong("has no field's name"))?;
            let value: HeaderValue = value.parse().map_err(|_| wrong("is no field's value"))?;
            fields.append(name, value);
        }
        Ok(Self {
            method,
            scheme,
            uri,
            fields: Arc::new(fields),
        })
    }

    fn asked(&self) -> Asked<'_> {
        let target = self.uri.path_and_query();
        Asked {
            method: &self.method,
            scheme: self.scheme,
            authority: self.uri.authority().map(http::uri::Authority::as_str),
            target: target.map(http::uri::PathAndQuery::as_str),
            fields: &self.fields,
            // Whoever asks is on this machine.
            client: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        }
    }
}

impl Report {
    fn ours(&mut self, state: &State, journey: &Journey, now: SystemTime) {
        self.named(journey);
        let shelf = state.storage.get(&journey.key);
        let selected = shelf
            .as_deref()
            .and_then(|shelf| Storage::select(shelf, &journey.fields));
        let looked = Looked {
            state,
            journey,
            shelf,
            selected,
            vouches: self.edge.vouches,
            now,
        };
        let scopes = stored::scopes(&journey.served.name, &journey.key);
        self.scopes = scopes.iter().map(ToString::to_string).collect();
        let objects = looked.shelf.iter().flat_map(|shelf| shelf.iter());
        let objects = objects.map(|object| stored::stored(&looked, object, &scopes));
        self.stored = objects.collect();
        let why = state.refusals.why(&journey.key);
        let why = why.filter(|_| looked.selected.is_none());
        self.not_stored = why.map(words::not_stored);
        self.decided(&looked);
    }

    fn decided(&mut self, looked: &Looked<'_>) {
        let Looked {
            state,
            journey,
            vouches,
            now,
            ..
        } = *looked;
        let life = |object: &Object| object.life(&state.ledger);
        let verdict = decide(journey, looked.shelf.as_deref(), life, vouches, now);
        let verdict = verdict.unless_for_one(state.refusals.is_for_one(&journey.key));
        let fetches = matches!(
            verdict,
            Verdict::Fetch { .. } | Verdict::Serve { behind: true, .. }
        );
        let joins = fetches && would_join(state, journey);
        self.rules = spoken::rules(looked, &verdict, joins);
        if !joins {
            self.asks = asks(state, journey, &verdict);
        }
        if let Verdict::Serve { object, .. } = &verdict {
            let Answer { status, told, .. } = Answer::stored(journey, object, now);
            let member = told.member(&state.pseudonym.node, None);
            let x_cache = told.x_cache();
            let status = status.as_u16();
            self.answer = Some(format!("{status}, {member}, X-Cache {x_cache}"));
        }
        self.verdict = words::decision(&verdict, joins);
    }

    fn passes(&mut self, journey: &Journey) {
        self.named(journey);
        let why = "only GET and HEAD without a body are answered from here";
        self.rules.push(Spoken::new("RFC 9110 §9.3", why));
        if invalidation::invalidates(&journey.method, StatusCode::OK) {
            let says = "an answer that is no error ends what is stored for this URL";
            self.rules.push(Spoken::new("RFC 9111 §4.4", says));
        }
        if journey.method == Method::POST && journey.policy().cache {
            let says = "its answer is kept where it says for how long, and that it is what a GET would bring";
            self.rules.push(Spoken::new("RFC 9110 §9.3.3", says));
        }
        self.verdict = Decision::new(Kind::Pass, "to the origin and back");
    }

    fn refused(&mut self, refused: Refused, snapshot: &Snapshot) {
        let why = format!("{} {}", refused.status().as_u16(), refused.detail());
        self.verdict = Decision::new(Kind::Refuse, why);
        if refused == Refused::NoSite {
            let served = snapshot.sites.served.iter();
            let hosts = served.flat_map(|(_, served)| &served.site.hosts);
            let mut told: Vec<_> = hosts.map(ToString::to_string).collect();
            told.sort();
            let more = told.len().saturating_sub(HOSTS_TOLD_MAX);
            told.truncate(HOSTS_TOLD_MAX);
            if more > 0 {
                told.push(format!("and {more} more"));
            }
            let says = format!("there are: {}", told.join(" "));
            self.rules.push(Spoken::new("hosts", says));
        }
    }

    /// Whose request it is, and under which name.
    fn named(&mut self, journey: &Journey) {
        let Journey { served, key, .. } = journey;
        let matched = journey.snapshot.routes().matched(key.host());
        let rule = served.site.rule(key.path());
        self.site = Some(SiteView {
            name: served.name.to_string(),
            created: served.document.created.0,
            changed: served.document.revision.0,
            host: matched.map_or_else(String::new, |(_, matched)| matched.to_string()),
            rule: rule.map(|rule| rule.path.0.clone()),
            policy: journey.policy().words(),
        });
        self.key = Some(format!("{key:?}"));
    }
}

/// The request that an origin would get.
fn asks(state: &State, journey: &Journey, verdict: &Verdict) -> Vec<String> {
    let (method, shared, stored) = match verdict {
        Verdict::Fetch { stored, .. } => (&journey.method, true, stored.clone()),
        Verdict::Alone { .. } => (&journey.method, false, Asking::Nothing),
        Verdict::Serve {
            object,
            behind: true,
        } => (&Method::GET, true, asked_behind(object)),
        Verdict::Serve { behind: false, .. } | Verdict::Refuse(_) => return Vec::new(),
    };
    let Some(request) = origin::request::fetch(journey, shared, &stored, &state.pseudonym) else {
        return Vec::new();
    };
    let fields = request.headers.iter();
    let fields = fields
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let line = format!("{method} {}", journey.key.target());
    std::iter::once(line).chain(fields).collect()
}
