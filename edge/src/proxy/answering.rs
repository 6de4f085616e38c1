//! What this edge answers itself, over any of Pingora's sessions.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::uri::{Authority, PathAndQuery};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::HttpSession;
use seawall_certs::AuthoritiesId;
use seawall_config::scope::Scheme;

use super::{Proxy, WRITE_STALL};
use crate::admit::{Admitted, Asked};
use crate::answer::Journey;
use crate::door::{Handshake, Outcome, Visit, refuse};

impl Proxy {
    /// A request of HTTP/2 from its head to its line in the log. Some: it passes through, and nothing is told of it yet.
    pub async fn serve(&self, mut stream: HttpSession) -> Option<ServerSession> {
        stream.set_write_timeout(Some(WRITE_STALL));
        let mut session = ServerSession::new_http2(stream);
        let mut visit = Visit::begin();
        match self.answer(&mut session, &mut visit).await {
            Ok(None) => {}
            Ok(Some(_)) => return Some(session),
            // It must not look whole.
            Err(_) => session.shutdown().await,
        }
        self.tell(&session, &visit);
        None
    }

    /// Answers, or says how the request passes through. An error means that the client did not get it whole, or left.
    pub(super) async fn answer(
        &self,
        session: &mut ServerSession,
        visit: &mut Visit,
    ) -> pingora_error::Result<Option<Arc<Journey>>> {
        let fields = Arc::new(session.req_header().headers.clone());
        let asked = asked(session, &fields);
        let digest = session.digest();
        let tls = digest.and_then(|digest| digest.ssl_digest.clone());
        let handshake = tls.as_ref().map(|tls| Handshake {
            shown: tls.organization.as_deref(),
            verified: AuthoritiesId::from_bytes(&tls.cert_digest),
        });
        let answer = match self.0.admit(asked, handshake).await {
            Ok(Admitted::Ours(journey)) => {
                let journey = Arc::new(journey);
                visit.journey = Some(journey.clone());
                self.wait(session, &journey).await?
            }
            Ok(Admitted::Purges(journey)) => {
                let answer = self.0.orders.purge(&journey).await;
                visit.journey = Some(Arc::new(journey));
                answer
            }
            Ok(Admitted::Passes(journey)) => {
                let journey = Arc::new(journey);
                visit.journey = Some(journey.clone());
                return Ok(Some(journey));
            }
            Err(refused) => {
                if refused.closes() {
                    session.set_keepalive(None);
                }
                refuse(refused)
            }
        };
        self.write(session, visit, answer).await.map(|()| None)
    }

    pub(super) fn tell(&self, session: &ServerSession, visit: &Visit) {
        let request = session.req_header();
        let written = session.response_written();
        self.0.tell(
            visit,
            &Outcome {
                method: &request.method,
                target: request
                    .uri
                    .path_and_query()
                    .map_or("", PathAndQuery::as_str),
                fields: &request.headers,
                client: client(session),
                scheme: scheme(session),
                protocol: match session.is_http2() {
                    true => "HTTP/2",
                    false => "HTTP/1",
                },
                status: written.map_or(0, |head| head.status.as_u16()),
                bytes: session.body_bytes_sent() as u64,
            },
        );
    }
}

/// The request as it is looked at.
fn asked<'a>(session: &'a ServerSession, fields: &'a Arc<HeaderMap>) -> Asked<'a> {
    let request = session.req_header();
    let target = request.uri.path_and_query().map(PathAndQuery::as_str);
    Asked {
        method: &request.method,
        scheme: scheme(session),
        authority: request.uri.authority().map(Authority::as_str),
        // Bytes that are no text have no key.
        target: target.filter(|target| target.as_bytes() == request.raw_path()),
        fields,
        client: client(session),
    }
}

fn scheme(session: &ServerSession) -> Scheme {
    let digest = session.digest();
    match digest.is_some_and(|digest| digest.ssl_digest.is_some()) {
        true => Scheme::Https,
        false => Scheme::Http,
    }
}

fn client(session: &ServerSession) -> Option<SocketAddr> {
    session.client_addr()?.as_inet().copied()
}
