//! What every door does with a request, whatever protocol it came by: lets it in, signs the answer, and tells of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use seawall_certs::{AuthoritiesId, Resolver};
use seawall_config::scope::Scheme;

use crate::admit::{Admitted, Asked, Refused, admit};
use crate::answer::{Answer, Journey};
use crate::clock;
use crate::front::trusted::Trusted;
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
    pub trusted: Trusted,
    /// What clients purge here goes there.
    pub orders: Orders,
}

/// What a client and this edge agreed on before TLS carried a request.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    /// The server name whose certificate the client was shown.
    pub shown: Option<&'a str>,
    /// Who signed the certificate that the client had to show.
    pub verified: Option<AuthoritiesId>,
}

/// One request's notes, for the log.
pub struct Visit {
    pub began: Instant,
    pub at: SystemTime,
    pub first_byte: Option<Instant>,
    pub journey: Option<Arc<Journey>>,
    pub told: Option<Told>,
    /// What is told, where that is all there is to tell.
    member: Option<HeaderValue>,
}

/// What a request was, and what came of it.
pub struct Outcome<'a> {
    pub method: &'a Method,
    /// As it came; the key's counts where there is one.
    pub target: &'a str,
    pub fields: &'a HeaderMap,
    /// The other end of the connection.
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
            member: None,
        }
    }
}

impl Door {
    /// Who may come in. A request may ask for a revision that is still under way: it is waited for, but not for long.
    /// `handshake`: where it came over TLS.
    pub async fn admit(
        &self,
        mut asked: Asked<'_>,
        handshake: Option<Handshake<'_>>,
    ) -> Result<Admitted, Refused> {
        self.state.saw_request();
        asked.client = self.client(asked.client, asked.fields);
        let admitted = self.admit_now(asked)?;
        if handshake.is_some_and(|handshake| self.is_misdirected(handshake, admitted.journey())) {
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

    /// RFC 9110 §15.5.20: a certificate is good for its own names only; and what was agreed on with a client, for the
    /// site it named. A browser that asks another one's host on the same connection (RFC 9113 §9.1.1) opens one more.
    fn is_misdirected(&self, handshake: Handshake<'_>, journey: &Journey) -> bool {
        let host = journey.key.host();
        let port = host.rfind(':').filter(|_| !host.ends_with(']'));
        let host = host.get(..port.unwrap_or(host.len())).unwrap_or(host);
        let Some(keyring) = self.keyring.as_ref().map(|resolver| resolver.keyring()) else {
            return false;
        };
        let is_named = match handshake.shown {
            Some(shown) if shown.eq_ignore_ascii_case(host) => true,
            Some(shown) => {
                let site = journey.snapshot.routes().find(&shown.to_ascii_lowercase());
                let same = site.is_some_and(|site| site.name == journey.served.name);
                same && keyring.is_one_for(shown, host)
            }
            // It connected to an address, and a literal address is not sent as a name (RFC 6066 §3).
            None => is_address(host) || keyring.shows_all(host),
        };
        let clients = journey.served.clients.as_ref();
        let is_let_in = clients.is_none_or(|clients| handshake.verified == Some(clients.id()));
        !(is_named && is_let_in)
    }

    /// Who asks, whoever passed it on.
    fn client(&self, peer: Option<SocketAddr>, fields: &HeaderMap) -> Option<SocketAddr> {
        peer.map(|peer| self.trusted.client(peer, fields))
    }

    fn admit_now(&self, asked: Asked<'_>) -> Result<Admitted, Refused> {
        let snapshot = self.state.snapshot.load_full();
        admit(asked, &snapshot, &self.state.pseudonym, |served| {
            self.state.birth(&snapshot, served)
        })
    }

    /// What every answer says of the way it came. It goes behind what the origin said, but for its `X-Cache`.
    pub fn signature(&self, visit: &mut Visit, told: Told) -> [(HeaderName, HeaderValue); 3] {
        visit.told = Some(told);
        let journey = visit.journey.as_deref();
        let key = journey.filter(|journey| journey.may_debug());
        let key = key.map(|journey| format!("{:?}", journey.key));
        let debugger = key.as_deref().map(|key| Debugger { key: Some(key) });
        let member = told.member(&self.state.pseudonym.node, debugger);
        // An edge's id is a token, and a key is of visible characters.
        let member = HeaderValue::try_from(member);
        let member = member.unwrap_or_else(|_| HeaderValue::from_static("seawall"));
        let is_all = key.is_none() && !told.has_detail();
        visit.member = is_all.then(|| member.clone());
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
        let member = visit.member.as_ref().and_then(|it| it.to_str().ok());
        let told =
            |told: &Told| told.member(&self.state.pseudonym.node, Some(Debugger { key: None }));
        let all = match member {
            Some(_) => None,
            None => visit.told.as_ref().map(told),
        };
        self.log.write(&Line {
            at: visit.at,
            site: served.map_or("", |served| &served.name),
            client: self.client(outcome.client, outcome.fields),
            method: outcome.method.as_str(),
            scheme: outcome.scheme.as_str(),
            host: key.map_or_else(|| host.as_deref().unwrap_or_default(), Key::host),
            target: key.map_or(outcome.target, Key::target),
            protocol: outcome.protocol,
            status: outcome.status,
            bytes: outcome.bytes,
            cache,
            cache_status: member.or(all.as_deref()).unwrap_or_default(),
            ttfb,
            total: now - visit.began,
            user_agent: field(header::USER_AGENT),
            referer: field(header::REFERER),
        });
    }
}

fn is_address(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host).parse::<IpAddr>().is_ok()
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
