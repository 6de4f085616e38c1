//! Pingora's hooks, in the order it calls them. What is not cacheable passes through to the origin, with the same origin
//! policy; GET and HEAD are answered in `request_filter` where no door of our own has done it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use crate::answer::Answer;
use crate::clock;
use crate::door::{Door, Visit};
use crate::fill::posted::{Kept, Posted};
use crate::front::handed::{self, Broken};
use crate::origin::{Asking, Failure, Lease, exchange};
use crate::rules::cache_status::{Fwd, Told};

mod answering;
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

/// What the doors hand over.
pub struct Proxy(pub Arc<Door>);

/// One request's notes, for the log.
pub struct Ctx {
    visit: Visit,
    /// Why the origin gave no answer, where it passes through.
    failure: Option<Failure>,
    /// The request under way, and the servers it has been to.
    lease: Option<Lease>,
    tried: Vec<usize>,
    /// Interim answers that passed through.
    interims: usize,
    /// When the last byte of an answer that passes through has to be here.
    until: Option<Instant>,
    /// Bytes of its body, and what is wrong with that.
    body_bytes: u64,
    broken: Option<Broken>,
    /// What passes through, and may be kept.
    posted: Option<Posted>,
    kept: Option<Kept>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx {
            visit: Visit::begin(),
            failure: None,
            lease: None,
            tried: Vec::new(),
            interims: 0,
            until: None,
            body_bytes: 0,
            broken: None,
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
        let Some(journey) = self.answer(session, &mut ctx.visit).await? else {
            return Ok(true);
        };
        if session.req_header().version < Version::HTTP_11 {
            session.as_downstream_mut().set_ignore_info_resp(true);
        }
        if session.is_upgrade_req() {
            session.set_read_timeout(Some(UPGRADED_IDLE));
            session.set_write_timeout(Some(UPGRADED_IDLE));
        }
        ctx.posted = Posted::open(&self.0.state, &journey, ctx.visit.at);
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<Box<HttpPeer>> {
        let Some(journey) = &ctx.visit.journey else {
            return Err(internal("no journey"));
        };
        let pool = &journey.served.pool;
        let asking = Asking::of(journey, &self.0.state.own_addresses);
        // The try before this one is over, and must not be waited for.
        ctx.lease = None;
        match pool.reach(asking, &mut ctx.tried).await {
            Ok((mut peer, lease)) => {
                ctx.lease = Some(lease);
                if session.is_upgrade_req() {
                    // RFC 9113 §8.6: HTTP/2 has no Upgrade.
                    peer.options.alpn = ALPN::H1;
                    peer.options.read_timeout = Some(UPGRADED_IDLE);
                    peer.options.write_timeout = Some(UPGRADED_IDLE);
                }
                self.0
                    .state
                    .metrics
                    .fetch(&journey.served.name, Fwd::Method);
                Ok(Box::new(peer))
            }
            Err(failure) => {
                ctx.failure = Some(failure);
                Err(Error::explain(ErrorType::ConnectError, failure.detail()).into_up())
            }
        }
    }

    /// Not a byte was sent, so it may be sent elsewhere, also where it is not idempotent.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(mut lease) = ctx.lease.take() {
            lease.failed();
        }
        if let Some(journey) = &ctx.visit.journey {
            let failure = exchange::failure(&error);
            let again = journey.served.pool.may_retry(failure, false, &ctx.tried);
            error.set_retry(again);
        }
        error
    }

    /// How slow a body may be over HTTP/2; over HTTP/1 our own reader sees to it.
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<()> {
        ctx.body_bytes += body.as_ref().map_or(0, Bytes::len) as u64;
        let waited = clock::instant() - ctx.visit.began;
        if session.is_http2() && handed::left(ctx.body_bytes, waited).is_zero() {
            let why = Broken::TooSlow;
            ctx.broken = Some(why);
            return Err(Error::explain(ErrorType::ReadTimedout, why.detail()).into_down());
        }
        Ok(())
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
        if ctx.until.is_some_and(|until| clock::instant() > until) {
            let failure = Failure::TooLong;
            return Err(Error::explain(ErrorType::ReadTimedout, failure.detail()).into_up());
        }
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
        if let (Some(lease), ErrorSource::Upstream) = (&mut ctx.lease, error.esource()) {
            lease.failed();
        }
        let error_code = match (ctx.visit.first_byte, error.esource()) {
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
                let answer = match &ctx.visit.journey {
                    Some(journey) => answer.with_page(journey),
                    None => answer,
                };
                let _ = self.write(session, &mut ctx.visit, answer).await;
                failure.status().as_u16()
            }
            (None, ErrorSource::Downstream) => self.refuse_broken(session, ctx).await,
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

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        if let (Some(mut lease), None) = (ctx.lease.take(), error) {
            lease.whole();
        }
        self.tell(session, &ctx.visit);
    }

    /// Clients come and go; what fails is in the access log.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, _: &Error) -> bool {
        true
    }
}

fn internal(what: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, what)
}
