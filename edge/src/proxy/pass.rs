//! What passes through to an origin and back: every method but GET and HEAD, requests with a body, WebSocket.

use std::time::SystemTime;

use http::header::{self, HeaderMap};
use http::{StatusCode, Version};
use pingora_error::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::write::keep_date;
use super::{Ctx, Proxy, internal};
use crate::answer::Journey;
use crate::clock;
use crate::door::X_CACHE;
use crate::fill::posted::Posted;
use crate::origin::interim::Interim;
use crate::origin::{Failure, HEAD_BYTES_MAX, INTERIM_MAX, exchange};
use crate::rules::cache_status::{Fwd, Handling, Told};
use crate::rules::freshness::date_field;
use crate::rules::{fields, invalidation};

impl Proxy {
    /// The request as the origin sees it.
    pub(super) fn pass_on(
        &self,
        request: &mut RequestHeader,
        ctx: &Ctx,
    ) -> pingora_error::Result<()> {
        let Some(journey) = &ctx.visit.journey else {
            return Err(internal("no journey"));
        };
        let mut head: HeaderMap = request.headers.clone();
        self.0.state.pseudonym.sign(&mut head, journey);
        // Origin-form, the very bytes of the key.
        let version = request.version;
        let mut signed = RequestHeader::build(
            request.method.clone(),
            journey.key.target().as_bytes(),
            Some(head.len()),
        )?;
        signed.set_version(version);
        for (name, value) in &head {
            signed.append_header(name, value)?;
        }
        *request = signed;
        Ok(())
    }

    /// A head as the client sees it, and what it changes here.
    pub(super) fn pass_back(
        &self,
        session: &Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<()> {
        let Some(journey) = &ctx.visit.journey else {
            return Ok(());
        };
        if let Some(failure) = broken(session, journey, response) {
            ctx.failure = Some(failure);
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, failure.detail()).into_up());
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // From here on raw bytes pass: nothing of ours may be written among them.
            ctx.visit.first_byte.get_or_insert_with(clock::instant);
            return Ok(());
        }
        if response.status.is_informational() {
            return pass_interim(response, ctx);
        }
        if let Some(lease) = &mut ctx.lease {
            lease.answered(response.status, response.version == Version::HTTP_2);
        }
        let journey = journey.clone();
        ctx.until = Some(clock::instant() + journey.served.pool.origin().fetch_timeout);
        let now = clock::now();
        let told = self.heed(&journey, response, ctx, now);
        let mut unwanted = fields::of_hop_but_framing(&response.headers);
        let names = response.headers.keys();
        unwanted.extend(names.filter(|name| fields::is_for_caches(name)).cloned());
        for name in unwanted {
            response.remove_header(&name);
        }
        response.remove_header(&X_CACHE);
        for (name, value) in self.0.signature(&mut ctx.visit, told) {
            response.append_header(name, value)?;
        }
        let date = date_field(&response.headers, now);
        response.insert_header(header::DATE, date)?;
        keep_date(session, response)?;
        ctx.visit.first_byte.get_or_insert_with(clock::instant);
        Ok(())
    }

    /// What an answer changes here: one to an unsafe method takes what is stored, and may be stored itself.
    fn heed(
        &self,
        journey: &Journey,
        response: &ResponseHeader,
        ctx: &mut Ctx,
        now: SystemTime,
    ) -> Told {
        let (status, head) = (response.status, &response.headers);
        let posted = ctx.posted.take();
        let arrived = posted
            .as_ref()
            .and_then(|posted| posted.judge(status, head, now));
        let tags = arrived.as_ref().map(|arrived| &*arrived.tags);
        let tags = tags.unwrap_or_default();
        let own = posted.as_ref().map(Posted::fill);
        let birth = match invalidation::invalidates(&journey.method, status) {
            true => self.0.state.invalidate(journey, tags, head, own),
            false => None,
        };
        let mut told = Told::forwarded(match journey.method.is_safe() {
            true => Fwd::Bypass,
            false => Fwd::Method,
        });
        let mut stored = false;
        if let (Some(posted), Some(arrived), Some(birth)) = (posted, arrived, birth) {
            stored = true;
            told.ttl = Some(arrived.freshness.ttl(now));
            ctx.kept = posted.keep(arrived, birth);
        }
        if let Handling::Forwarded(forwarded) = &mut told.handling {
            forwarded.status = Some(status.as_u16());
            forwarded.stored = stored;
        }
        told
    }
}

/// Why a head goes no further. Pingora has read it already: of a length beside a transfer coding nothing is left.
fn broken(session: &Session, journey: &Journey, response: &ResponseHeader) -> Option<Failure> {
    let headers = &response.headers;
    match response.status {
        // RFC 9110 §7.8: only who asked may be told; nothing may pass raw otherwise.
        StatusCode::SWITCHING_PROTOCOLS => {
            (!session.is_upgrade_req()).then_some(Failure::BrokenAnswer)
        }
        _ if exchange::size(headers) > HEAD_BYTES_MAX => Some(Failure::HeadTooLarge),
        status if status.is_informational() => None,
        status => exchange::length(status, &journey.method, headers).err(),
    }
}

/// Interim answers are passed on as they come, within bounds.
fn pass_interim(response: &mut ResponseHeader, ctx: &mut Ctx) -> pingora_error::Result<()> {
    ctx.interims += 1;
    if ctx.interims > INTERIM_MAX {
        let failure = Failure::BrokenAnswer;
        ctx.failure = Some(failure);
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, failure.detail()).into_up());
    }
    *response = Interim::of(response).into_header()?;
    Ok(())
}
