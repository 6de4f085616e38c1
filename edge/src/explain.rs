//! What this edge would do with a request, and why: the very functions that serve are asked, in their order, and
//! nothing is fetched or changed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use seawall_config::scope::{Mode, Scheme, Scope, Target};
use serde::Deserialize;

use crate::admit::{Admitted, Asked, Refused, admit};
use crate::answer::{Journey, Verdict, decide};
use crate::fill::fetch::Stored as Asking;
use crate::ledger::prefixes;
use crate::object::Object;
use crate::origin;
use crate::rules::fields;
use crate::state::State;
use crate::storage::Storage;

mod report;
mod spoken;
mod words;

pub use report::{EdgeView, Report, SiteView, Spoken, Stored, Sum};

/// Fields of one question.
const FIELDS_MAX: usize = 100;

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
    fields: HeaderMap,
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
    let mut report = Report {
        request: format!("{} {}", request.method, question.url),
        edge: EdgeView {
            id: state.pseudonym.node.clone(),
            place: place.to_owned(),
            epoch: snapshot.epoch.0,
            revision: snapshot.revision.0,
            vouches: state.vouches(),
        },
        site: None,
        key: None,
        scopes: Vec::new(),
        stored: Vec::new(),
        not_stored: None,
        rules: Vec::new(),
        verdict: String::new(),
        asks: Vec::new(),
    };
    let asked = Asked {
        method: &request.method,
        scheme: request.scheme,
        authority: request.uri.authority().map(http::uri::Authority::as_str),
        target: request
            .uri
            .path_and_query()
            .map(http::uri::PathAndQuery::as_str),
        fields: &request.fields,
        client: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
    };
    let birth = |served: &_| state.birth(&snapshot, served);
    match admit(asked, &snapshot, &state.pseudonym, birth) {
        Ok(Admitted::Ours(journey)) => report.about(state, &Arc::new(journey), now),
        Ok(Admitted::Passes(journey)) => {
            report.named(&journey);
            let why = "only GET and HEAD without a body are answered from here";
            report.rules.push(Spoken::new("RFC 9110 §9.3", why));
            report.verdict = "pass: to the origin and back".into();
        }
        Err(refused) => {
            report.verdict = format!("refuse: {} {}", refused.status().as_u16(), refused.detail());
            if refused == Refused::NoSite {
                let served = snapshot.sites.served.iter();
                let hosts = served.flat_map(|(_, served)| &served.site.hosts);
                let mut hosts: Vec<_> = hosts.map(ToString::to_string).collect();
                hosts.sort();
                report.rules.push(Spoken::new(
                    "hosts",
                    format!("there are: {}", hosts.join(" ")),
                ));
            }
        }
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
            fields,
        })
    }
}

impl Report {
    /// Whose request it is, and under which names.
    fn named(&mut self, journey: &Journey) {
        let served = &journey.served;
        let rule = served
            .site
            .rules
            .iter()
            .find(|rule| rule.path.matches(journey.key.path()));
        self.site = Some(SiteView {
            name: served.name.to_string(),
            created: served.document.created.0,
            version: served.document.revision.0,
            hosts: served.site.hosts.iter().map(ToString::to_string).collect(),
            rule: rule.map(|rule| rule.path.0.clone()),
            policy: journey.policy().words(),
        });
        self.key = Some(format!("{:?}", journey.key));
    }

    fn about(&mut self, state: &State, journey: &Arc<Journey>, now: SystemTime) {
        self.named(journey);
        let shelf = state.storage.get(&journey.key);
        let selected = shelf
            .as_deref()
            .and_then(|shelf| Storage::select(shelf, &journey.fields));
        let scopes = scopes(journey, selected.as_deref());
        self.scopes = scopes.iter().map(ToString::to_string).collect();
        for object in shelf.iter().flat_map(|shelf| shelf.iter()) {
            let is_it = selected
                .as_ref()
                .is_some_and(|selected| selected.id == object.id);
            self.stored.push(stored(state, object, &scopes, is_it, now));
        }
        let why = state.refusals.get(&journey.key);
        self.not_stored = why.filter(|_| selected.is_none()).map(words::not_stored);
        let variants = shelf.as_ref().map(|shelf| shelf.len());
        self.rules = spoken::rules(state, journey, variants, selected.as_deref(), now);
        let life = |object: &Object| object.life(&state.ledger);
        let verdict = decide(journey, shelf.as_deref(), life, self.edge.vouches, now);
        self.asks = asks(state, journey, &verdict);
        self.verdict = told(&verdict);
    }
}

fn stored(
    state: &State,
    object: &Object,
    scopes: &[Scope],
    selected: bool,
    now: SystemTime,
) -> Stored {
    let freshness = &object.freshness;
    let seconds = |duration: Duration| duration.as_secs_f64();
    let against = scopes.iter().flat_map(|scope| {
        let purges = state
            .ledger
            .read(|ledger| ledger.against(scope, object.birth));
        purges.into_iter().map(move |(mode, at)| match mode {
            Some(Mode::Hard) => format!("{scope}, hard, at revision {at}"),
            Some(Mode::Soft) => format!("{scope}, soft, at revision {at}"),
            None => format!("{scope}, by an unsafe method here"),
        })
    });
    let says = [
        "cdn-cache-control",
        "surrogate-control",
        "cache-control",
        "expires",
        "age",
        "date",
        "vary",
        "etag",
        "last-modified",
    ];
    let says = says.iter().flat_map(|name| {
        let lines = fields::texts(&object.head, *name);
        lines.into_iter().map(move |line| format!("{name}: {line}"))
    });
    Stored {
        selected,
        status: object.status.as_u16(),
        bytes_here: object.body.here(),
        bytes_total: object.body.total(),
        born: object.birth.revision.0,
        selects: object.selection.told(),
        says: says.collect(),
        freshness: Sum {
            lifetime: seconds(freshness.lifetime),
            by: words::by(freshness.by),
            initial_age: seconds(freshness.initial_age),
            here: seconds(freshness.age(now).saturating_sub(freshness.initial_age)),
            left: freshness
                .left(now)
                .map_or_else(|stale| -seconds(stale), seconds),
        },
        against: against.collect(),
    }
}

/// Every scope that covers what the request asks for; the tags are the selected object's.
fn scopes(journey: &Journey, object: Option<&Object>) -> Vec<Scope> {
    let key = &journey.key;
    let target = |path: &str| Target {
        scheme: Some(key.scheme()),
        host: key.host().into(),
        path: path.into(),
    };
    let mut scopes = vec![
        Scope::Everything,
        Scope::Site(journey.served.name.to_string()),
        Scope::Host(key.host().to_owned()),
    ];
    // A host purge without a port covers every port.
    let name = key
        .host()
        .rsplit_once(':')
        .filter(|_| !key.host().ends_with(']'));
    scopes.extend(name.map(|(name, _)| Scope::Host(name.to_owned())));
    scopes.extend(prefixes(key.path()).map(|prefix| Scope::Prefix(target(prefix))));
    scopes.push(Scope::Url(target(key.target())));
    let tags = object.map(|object| fields::tags(&object.head).0);
    scopes.extend(tags.unwrap_or_default().into_iter().map(Scope::Tag));
    scopes
}

/// The request that an origin would get.
fn asks(state: &State, journey: &Journey, verdict: &Verdict) -> Vec<String> {
    let (shared, stored) = match verdict {
        Verdict::Fetch { stored, .. } => (true, stored.clone()),
        Verdict::Alone(..) => (false, Asking::Nothing),
        Verdict::Serve { .. } | Verdict::Refuse(_) => return Vec::new(),
    };
    let Some(request) = origin::request::fetch(journey, shared, &stored, &state.pseudonym) else {
        return Vec::new();
    };
    let fields = request.headers.iter();
    let fields = fields
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let line = format!("{} {}", request.method, journey.key.target());
    std::iter::once(line).chain(fields).collect()
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Serve { behind: false, .. } => "serve: a hit".into(),
        Verdict::Serve { behind: true, .. } => {
            "serve: a hit, stale, while one fetch asks the origin".into()
        }
        Verdict::Fetch { why, stored, .. } => {
            let how = match stored {
                Asking::Nothing => "for all of it",
                Asking::Candidates(_) => "whether what is stored is still good",
                Asking::Part(_) => "for the rest of it",
            };
            format!(
                "fetch: fwd={}, the origin is asked {how}, once for all who wait",
                why.as_str()
            )
        }
        Verdict::Alone(why, _) => format!(
            "alone: fwd={}, the origin is asked for this client",
            why.as_str()
        ),
        Verdict::Refuse(refusal) => {
            format!("refuse: {} {}", refusal.status().as_u16(), refusal.detail())
        }
    }
}
