//! Pingora's hooks, in the order it calls them. GET and HEAD are answered in `request_filter`; what is not
//! cacheable passes through to the origin, with the same origin policy.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use seawall_config::scope::Scheme;

use crate::admit::{Admitted, Asked, Refused, admit};
use crate::answer::{Answer, Journey};
use crate::clock;
use crate::fill::posted::{Kept, Posted};
use crate::log::{Line, Log};
use crate::metrics::{RequestLabels, code_class};
use crate::origin::{Failure, exchange};
use crate::rules::cache_status::{Debugger, Fwd, Told};
use crate::state::State;

mod pass;
mod wait;
mod write;

/// An idle connection is kept this long.
const IDLE_S: u64 = 60;
/// A client that takes no byte for this long is let go.
const WRITE_STALL: Duration = Duration::from_secs(12);
/// A connection that was upgraded may be quiet for so long, on either side.
const UPGRADED_IDLE: Duration = Duration::from_secs(600);
/// A client that sends no byte of a header or body for this long is let go.
const READ_STALL: Duration = Duration::from_secs(10);
/// How long a request waits for the revision it asks for; then the origin answers it.
const MIN_REVISION_WAIT: Duration = Duration::from_secs(1);
/// A `Retry-After` in seconds, while there is no configuration.
const RETRY_AFTER_S: u64 = 1;

pub struct Proxy {
    pub state: Arc<State>,
    pub log: Arc<Log>,
}

/// One request's notes, for the log.
pub struct Ctx {
    began: Instant,
    at: SystemTime,
    first_byte: Option<Instant>,
    journey: Option<Arc<Journey>>,
    told: Option<Told>,
    /// Why the origin gave no answer, where it passes through.
    failure: Option<Failure>,
    /// Interim answers that passed through.
    interims: usize,
    /// What passes through, and may be kept.
    posted: Option<Posted>,
    kept: Option<Kept>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx {
            began: clock::instant(),
            at: clock::now(),
            first_byte: None,
            journey: None,
            told: None,
            failure: None,
            interims: 0,
            posted: None,
            kept: None,
        }
    }

    /// None: what is compressed, and how, is ours to decide.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        _: &mut Ctx,
    ) -> pingora_error::Result<()> {
        // Set anew for each request: Pingora's own default never closes an idle connection after the first.
        // And only where it is on, for at shutdown it is off, and HTTP/1.0 has none unless it asks.
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(IDLE_S));
        }
        // Needed to notice a client that leaves while it waits (and pipelined requests are answered in order).
        session.as_downstream_mut().set_pipelining_enabled(true);
        session.set_write_timeout(Some(WRITE_STALL));
        session.set_read_timeout(Some(READ_STALL));
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<bool> {
        self.state.saw_request();
        let journey = match self.admit_in_time(session).await {
            Ok(Admitted::Ours(journey)) => Arc::new(journey),
            Ok(Admitted::Passes(journey)) => {
                if session.req_header().version < Version::HTTP_11 {
                    session.as_downstream_mut().set_ignore_info_resp(true);
                }
                if session.is_upgrade_req() {
                    session.set_read_timeout(Some(UPGRADED_IDLE));
                    session.set_write_timeout(Some(UPGRADED_IDLE));
                }
                let journey = Arc::new(journey);
                ctx.posted = Posted::open(&self.state, &journey, ctx.at);
                ctx.journey = Some(journey);
                return Ok(false);
            }
            Err(refused) => {
                if refused.closes() {
                    session.set_keepalive(None);
                }
                return self
                    .write(session, ctx, refuse(refused))
                    .await
                    .map(|()| true);
            }
        };
        ctx.journey = Some(journey.clone());
        let ready = self.wait(session, &journey).await?;
        self.write(session, ctx, ready).await.map(|()| true)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<Box<HttpPeer>> {
        let Some(journey) = &ctx.journey else {
            return Err(internal("no journey"));
        };
        match journey.served.pool.peer(&self.state.own_addresses, 0).await {
            Ok(mut peer) => {
                if session.is_upgrade_req() {
                    peer.options.read_timeout = Some(UPGRADED_IDLE);
                    peer.options.write_timeout = Some(UPGRADED_IDLE);
                }
                self.state.metrics.fetch(&journey.served.name, Fwd::Method);
                Ok(Box::new(peer))
            }
            Err(failure) => {
                ctx.failure = Some(failure);
                Err(Error::explain(ErrorType::ConnectError, failure.detail()).into_up())
            }
        }
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<()> {
        self.pass_on(request, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<()> {
        self.pass_back(session, response, ctx)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        ends: bool,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<Option<Duration>> {
        let kept = ctx.kept.take();
        ctx.kept = kept.and_then(|kept| kept.pass(body.as_ref(), ends));
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let error_code = match (ctx.first_byte, error.esource()) {
            // Something was sent already: the connection is cut, so that the body never looks whole.
            (Some(_), _) => {
                if session.is_http2() {
                    session.as_downstream_mut().shutdown().await;
                }
                0
            }
            (None, ErrorSource::Upstream) => {
                let failure = ctx.failure.unwrap_or_else(|| exchange::failure(error));
                let told = Told {
                    detail: Some(failure.detail()),
                    ..Told::forwarded(Fwd::Method)
                };
                let answer = Answer::text(failure.status(), told, failure.detail());
                let _ = self.write(session, ctx, answer).await;
                failure.status().as_u16()
            }
            (None, ErrorSource::Downstream) => 0,
            (None, ErrorSource::Internal | ErrorSource::Unset) => {
                let _ = session.respond_error(500).await;
                500
            }
        };
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Ctx) {
        let now = clock::instant();
        let status = session
            .response_written()
            .map_or(0, |head| head.status.as_u16());
        let cache = ctx.told.as_ref().map_or("NONE", Told::x_cache);
        let bytes = session.body_bytes_sent() as u64;
        let ttfb = ctx.first_byte.unwrap_or(now) - ctx.began;
        let site = ctx
            .journey
            .as_ref()
            .map(|journey| journey.served.name.to_string())
            .unwrap_or_default();
        let labels = RequestLabels {
            site: site.clone(),
            cache,
            code_class: code_class(status),
        };
        self.state.metrics.request(&labels, bytes, ttfb);
        self.log.write(|| {
            let request = session.req_header();
            let field = |name| {
                request.headers.get(name).map(|value: &HeaderValue| {
                    String::from_utf8_lossy(value.as_bytes()).into_owned()
                })
            };
            let key = ctx.journey.as_ref().map(|journey| &journey.key);
            Line {
                at: ctx.at,
                site,
                client: client(session),
                method: request.method.to_string(),
                scheme: scheme(session).as_str(),
                host: key.map_or_else(
                    || field(header::HOST).unwrap_or_default(),
                    |key| key.host().to_owned(),
                ),
                target: key.map_or_else(|| request.uri.to_string(), |key| key.target().to_owned()),
                protocol: if session.is_http2() {
                    "HTTP/2"
                } else {
                    "HTTP/1"
                },
                status,
                bytes,
                cache,
                cache_status: ctx
                    .told
                    .as_ref()
                    .map(|told| {
                        told.member(&self.state.pseudonym.node, Some(Debugger { key: None }))
                    })
                    .unwrap_or_default(),
                ttfb,
                total: now - ctx.began,
                user_agent: field(header::USER_AGENT),
                referer: field(header::REFERER),
            }
        });
    }

    /// Clients come and go; what fails is in the access log.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, _: &Error) -> bool {
        true
    }
}

impl Proxy {
    /// A request may ask for a revision that is still under way: it is waited for, but not for long.
    async fn admit_in_time(&self, session: &Session) -> Result<Admitted, Refused> {
        match self.admit(session) {
            Ok(Admitted::Ours(Journey {
                wanted: Some(wanted),
                ..
            })) => {
                let _ = tokio::time::timeout(MIN_REVISION_WAIT, self.state.reaches(wanted)).await;
                self.admit(session)
            }
            admitted => admitted,
        }
    }

    fn admit(&self, session: &Session) -> Result<Admitted, Refused> {
        let request = session.req_header();
        let target = request
            .uri
            .path_and_query()
            .map(http::uri::PathAndQuery::as_str);
        let asked = Asked {
            method: &request.method,
            scheme: scheme(session),
            authority: request.uri.authority().map(http::uri::Authority::as_str),
            // Bytes that are no text have no key.
            target: target.filter(|target| target.as_bytes() == request.raw_path()),
            fields: &request.headers,
            client: client(session),
        };
        let snapshot = self.state.snapshot.load_full();
        admit(asked, &snapshot, &self.state.pseudonym, |served| {
            self.state.birth(&snapshot, served)
        })
    }

    /// What every answer says of the way it came.
    fn sign(
        &self,
        response: &mut ResponseHeader,
        told: &Told,
        journey: Option<&Journey>,
    ) -> pingora_error::Result<()> {
        let key = journey.filter(|journey| journey.may_debug());
        let key = key.map(|journey| format!("{:?}", journey.key));
        let debugger = key.as_deref().map(|key| Debugger { key: Some(key) });
        let member = told.member(&self.state.pseudonym.node, debugger);
        response.append_header(header::VIA, self.state.pseudonym.via.clone())?;
        response.append_header("cache-status", member)?;
        response.insert_header("x-cache", told.x_cache())?;
        Ok(())
    }
}

fn refuse(refused: Refused) -> Answer {
    let told = Told::generated(refused.detail());
    let mut answer = Answer::text(refused.status(), told, refused.detail());
    if refused == Refused::NoConfiguration {
        answer
            .head
            .insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
    }
    answer
}

fn internal(what: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, what)
}

fn scheme(session: &Session) -> Scheme {
    let tls = session
        .digest()
        .is_some_and(|digest: &Digest| digest.ssl_digest.is_some());
    if tls { Scheme::Https } else { Scheme::Http }
}

fn client(session: &Session) -> Option<std::net::SocketAddr> {
    session
        .client_addr()
        .and_then(|address| address.as_inet())
        .copied()
}
