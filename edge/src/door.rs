//! What every door does with a request, whatever protocol it came by: lets it in, signs the answer, and tells of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use seawall_certs::Resolver;
use seawall_config::scope::Scheme;

use crate::admit::{Admitted, Asked, Refused, admit};
use crate::answer::{Answer, Journey};
use crate::clock;
use crate::key::Key;
use crate::log::{Line, Log};
use crate::metrics::Counted;
use crate::ordering::Orders;
use crate::rules::cache_status::{Debugger, Told};
use crate::state::State;

/// How long a request waits for the revision it asks for; then the origin answers it.
const MIN_REVISION_WAIT: Duration = Duration::from_secs(1);
/// A `Retry-After` in seconds, while there is no configuration.
const RETRY_AFTER_S: u64 = 1;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// What all doors share.
pub struct Door {
    pub state: Arc<State>,
    pub log: Log,
    /// What TLS answers with.
    pub keyring: Option<Arc<Resolver>>,
    /// What clients purge here goes there.
    pub orders: Orders,
}

/// One request's notes, for the log.
pub struct Visit {
    pub began: Instant,
    pub at: SystemTime,
    pub first_byte: Option<Instant>,
    pub journey: Option<Arc<Journey>>,
    pub told: Option<Told>,
}

/// What a request was, and what came of it.
pub struct Outcome<'a> {
    pub method: &'a Method,
    /// As it came; the key's counts where there is one.
    pub target: &'a str,
    pub fields: &'a HeaderMap,
    pub client: Option<SocketAddr>,
    pub scheme: Scheme,
    pub protocol: &'static str,
    /// 0: it had no answer.
    pub status: u16,
    /// Of the body.
    pub bytes: u64,
}

impl Visit {
    pub fn begin() -> Self {
        Self {
            began: clock::instant(),
            at: clock::now(),
            first_byte: None,
            journey: None,
            told: None,
        }
    }
}

impl Door {
    /// Who may come in. A request may ask for a revision that is still under way: it is waited for, but not for long.
    /// `shown`: the server name whose certificate the client was shown.
    pub async fn admit(&self, asked: Asked<'_>, shown: Option<&str>) -> Result<Admitted, Refused> {
        self.state.saw_request();
        let admitted = self.admit_now(asked)?;
        let journey = admitted.journey();
        if shown.is_some_and(|shown| self.is_misdirected(shown, journey.key.host())) {
            return Err(Refused::Misdirected);
        }
        match Ok(admitted) {
            Ok(Admitted::Ours(Journey {
                wanted: Some(wanted),
                ..
            })) => {
                let since_ms = clock::boottime_ms();
                let reached = self.state.reaches(wanted.revision);
                let _ = tokio::time::timeout(MIN_REVISION_WAIT, reached).await;
                let mut admitted = self.admit_now(asked)?;
                if let Admitted::Ours(journey) = &mut admitted
                    && let Some(wanted) = &mut journey.wanted
                {
                    wanted.since_ms = since_ms;
                }
                Ok(admitted)
            }
            admitted => admitted,
        }
    }

    /// RFC 9110 §15.5.20: a certificate is good for its own names only.
    fn is_misdirected(&self, shown: &str, host: &str) -> bool {
        let port = host.rfind(':').filter(|_| !host.ends_with(']'));
        let host = host.get(..port.unwrap_or(host.len())).unwrap_or(host);
        let keyring = self.keyring.as_ref().map(|resolver| resolver.keyring());
        keyring.is_some_and(|keyring| !keyring.is_one_for(shown, host))
    }

    fn admit_now(&self, asked: Asked<'_>) -> Result<Admitted, Refused> {
        let snapshot = self.state.snapshot.load_full();
        admit(asked, &snapshot, &self.state.pseudonym, |served| {
            self.state.birth(&snapshot, served)
        })
    }

    /// What every answer says of the way it came. It goes behind what the origin said, but for its `X-Cache`.
    pub fn signature(
        &self,
        told: &Told,
        journey: Option<&Journey>,
    ) -> [(HeaderName, HeaderValue); 3] {
        let key = journey.filter(|journey| journey.may_debug());
        let key = key.map(|journey| format!("{:?}", journey.key));
        let debugger = key.as_deref().map(|key| Debugger { key: Some(key) });
        let member = told.member(&self.state.pseudonym.node, debugger);
        // An edge's id is a token, and a key is of visible characters.
        let member = HeaderValue::try_from(member);
        let member = member.unwrap_or_else(|_| HeaderValue::from_static("seawall"));
        [
            (header::VIA, self.state.pseudonym.via.clone()),
            (CACHE_STATUS, member),
            (X_CACHE, HeaderValue::from_static(told.x_cache())),
        ]
    }

    /// Counts a request that is over, and writes it down.
    pub fn tell(&self, visit: &Visit, outcome: &Outcome<'_>) {
        let now = clock::instant();
        let cache = visit.told.as_ref().map_or("NONE", Told::x_cache);
        let ttfb = visit.first_byte.unwrap_or(now) - visit.began;
        let served = visit.journey.as_ref().map(|journey| &*journey.served);
        let counted = Counted {
            cache,
            status: outcome.status,
            bytes: outcome.bytes,
            ttfb,
        };
        self.state.metrics.request(served, &counted);
        if !self.log.is_on() {
            return;
        }
        let field = |name| outcome.fields.get(name).map(HeaderValue::as_bytes);
        let key = visit.journey.as_ref().map(|journey| &journey.key);
        let host = field(header::HOST).map(String::from_utf8_lossy);
        let member =
            |told: &Told| told.member(&self.state.pseudonym.node, Some(Debugger { key: None }));
        self.log.write(&Line {
            at: visit.at,
            site: served.map_or("", |served| &served.name),
            client: outcome.client,
            method: outcome.method.as_str(),
            scheme: outcome.scheme.as_str(),
            host: key.map_or_else(|| host.as_deref().unwrap_or_default(), Key::host),
            target: key.map_or(outcome.target, Key::target),
            protocol: outcome.protocol,
            status: outcome.status,
            bytes: outcome.bytes,
            cache,
            cache_status: &visit.told.as_ref().map(member).unwrap_or_default(),
            ttfb,
            total: now - visit.began,
            user_agent: field(header::USER_AGENT),
            referer: field(header::REFERER),
        });
    }
}

/// The answer to a request that was not let in.
pub fn refuse(refused: Refused) -> Answer {
    let told = Told::generated(refused.detail());
    let mut answer = Answer::text(refused.status(), told, refused.detail());
    if refused == Refused::NoConfiguration {
        answer
            .head
            .own()
            .insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
    }
    answer
}
