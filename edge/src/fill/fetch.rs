//! The way to the origin and back: ask, judge the head, take the body, seal the object.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::ResponseHeader;

use super::judge::{Heard, judge};
use super::{Arrived, End, Fill, Stage, worth_finishing};
use crate::answer::Journey;
use crate::clock;
use crate::ledger::Life;
use crate::object::{Object, Parts};
use crate::origin::exchange::{exchange, failure};
use crate::origin::{self, Failure};
use crate::rules::storing::Storing;
use crate::rules::validation;
use crate::state::State;

/// The connections to all origins.
pub type Connections = Connector<()>;

/// A fill and everything it needs. Dropped half-way, also by a panic, it fails its readers rather than
/// leaving them waiting.
pub struct Fetch {
    pub state: Arc<State>,
    pub journey: Arc<Journey>,
    pub fill: Arc<Fill>,
    /// What is stored and may still be good.
    pub validates: Option<Arc<Object>>,
}

/// An origin's answer, its head read.
struct Answered {
    session: HttpSession<()>,
    peer: HttpPeer,
    head: ResponseHeader,
    requested: SystemTime,
    received: SystemTime,
}

impl Fetch {
    pub fn spawn(self) {
        tokio::spawn(async move {
            let end = match self.run().await {
                Ok(()) => End::Whole,
                Err(failure) => End::Cut(failure),
            };
            self.close();
            self.fill.finish(end);
        });
    }

    async fn run(&self) -> Result<(), Failure> {
        let mut answered = self.ask(self.validates.as_deref()).await?;
        if let (Some(stored), StatusCode::NOT_MODIFIED) = (&self.validates, answered.head.status) {
            if validation::selects(&stored.head, &answered.head.headers) {
                return self.refresh(stored, answered).await;
            }
            // RFC 9111 §4.3.4: a 304 that selects no stored response updates none: ask for the whole.
            answered = self.ask(None).await?;
        }
        if self.fill.shared && answered.head.status == StatusCode::NOT_MODIFIED {
            return Err(Failure::BrokenAnswer);
        }
        let arrived = Arc::new(self.judge(&answered, &answered.head.headers)?);
        if !arrived.kept {
            self.close();
            self.fill.flow().become_window();
        }
        // Whoever has the whole answer finds it stored: the end is shown only after it is sealed.
        let empty = arrived.length == Some(0);
        if !empty {
            self.fill.reach(Stage::Arrived(arrived.clone()));
        }
        self.take_body(&mut answered.session, &arrived).await?;
        if arrived.kept {
            self.seal(&arrived);
        }
        self.fill.flow().show_last();
        if empty {
            self.fill.reach(Stage::Arrived(arrived));
        }
        self.release(answered).await;
        Ok(())
    }

    /// Asks until there is a final head. Only a GET or HEAD comes this way, so asking again is safe while
    /// no byte of an answer was seen.
    async fn ask(&self, stored: Option<&Object>) -> Result<Answered, Failure> {
        let conditions = stored.map(|stored| &stored.head);
        let mut tries = 0;
        loop {
            let peer = self
                .journey
                .served
                .pool
                .peer(&self.state.own_addresses, tries)
                .await?;
            let request = origin::request::fetch(
                &self.journey,
                self.fill.shared,
                conditions,
                &self.state.pseudonym,
            );
            let request = Box::new(request.ok_or(Failure::BrokenAnswer)?);
            let asked = async {
                let (session, reused) = self
                    .state
                    .connections
                    .get_http_session(&peer)
                    .await
                    .map_err(|e| (failure(&e), true))?;
                let requested = clock::now();
                let (session, head) = exchange(session, request)
                    .await
                    .map_err(|failure| (failure, reused && failure == Failure::NoAnswer))?;
                Ok((session, head, requested))
            };
            let asked = tokio::select! {
                asked = asked => asked,
                () = self.fill.abandoned(), if !self.fill.shared => return Err(Failure::GivenUp),
            };
            match asked {
                Ok((session, head, requested)) => {
                    let received = clock::now();
                    self.state
                        .metrics
                        .origin_ttfb(received.duration_since(requested).unwrap_or_default());
                    return Ok(Answered {
                        session,
                        peer,
                        head,
                        requested,
                        received,
                    });
                }
                Err((failure, again))
                    if again && tries < self.journey.served.pool.retries(failure) =>
                {
                    tries += 1
                }
                Err((failure, _)) => return Err(failure),
            }
        }
    }

    fn judge(&self, answered: &Answered, head: &HeaderMap) -> Result<Arrived, Failure> {
        let status = match (answered.head.status, &self.validates) {
            (StatusCode::NOT_MODIFIED, Some(stored)) => stored.status,
            (status, _) => status,
        };
        let heard = Heard {
            journey: &self.journey,
            shared: self.fill.shared,
            status,
            head,
            requested: answered.requested,
            received: answered.received,
        };
        let prints = self.state.ledger.read(|ledger| ledger.prints().clone());
        let (arrived, tags_cut) = judge(heard, &prints, |length| self.state.storage.takes(length))?;
        self.state.metrics.tags_cut(tags_cut);
        Ok(arrived)
    }

    async fn take_body(
        &self,
        session: &mut HttpSession<()>,
        arrived: &Arrived,
    ) -> Result<(), Failure> {
        let state = &self.state;
        let mut kept = Retained { state, bytes: 0 };
        loop {
            let (received, unread, windowed, full) = {
                let flow = self.fill.flow();
                (
                    flow.received(),
                    flow.is_unread(),
                    flow.is_windowed(),
                    flow.is_full(),
                )
            };
            if unread && (windowed || !worth_finishing(received, arrived.length)) {
                self.close();
                // Nobody can join it now; but somebody may just have.
                if self.fill.flow().is_unread() {
                    return Err(Failure::GivenUp);
                }
                continue;
            }
            if full {
                self.room().await;
                continue;
            }
            let piece = tokio::select! {
                piece = session.read_response_body() => piece.map_err(|_| Failure::BodyCut)?,
                () = self.fill.abandoned(), if windowed => return Err(Failure::GivenUp),
            };
            let Some(piece) = piece else { break };
            let grown = received + piece.len() as u64;
            let fits = windowed || (state.storage.takes(grown) && kept.grow(piece.len() as u64));
            if !fits {
                self.close();
                self.fill.flow().become_window();
            }
            if arrived.kept && arrived.length == Some(grown) {
                self.fill.flow().hold_last(piece);
                continue;
            }
            self.fill.flow().push(piece);
            self.fill.progress.send_modify(|_| ());
            state.metrics.origin_bytes(grown - received);
        }
        let received = self.fill.flow().received();
        match arrived.length {
            Some(length) if received != length => Err(Failure::BodyCut),
            _ => Ok(()),
        }
    }

    /// Waits until the slowest reader has caught up, or the last has left.
    async fn room(&self) {
        loop {
            let moved = self.fill.moved.notified();
            {
                let flow = self.fill.flow();
                if !flow.is_full() || flow.is_unread() {
                    return;
                }
            }
            moved.await;
        }
    }

    /// The body is whole: it becomes an object, unless it was purged on its way or something newer is there.
    fn seal(&self, arrived: &Arrived) {
        let Some(body) = self.fill.flow().body() else {
            return;
        };
        let object = self.object(arrived, body);
        if object.life(&self.state.ledger) != Life::HardDead {
            self.state.storage.put(&object);
        }
    }

    /// A 304: the stored response, its head updated, was born when this validation began.
    async fn refresh(&self, stored: &Arc<Object>, answered: Answered) -> Result<(), Failure> {
        let updated = validation::update(&stored.head, &answered.head.headers);
        let arrived = self.judge(&answered, &updated)?;
        let object = self.object(&arrived, stored.body.clone());
        match arrived.storing {
            Storing::Keep => drop(self.state.storage.replace(stored.id, &object)),
            Storing::Refuse(_) => self.state.storage.remove(&stored.key, &[stored.id]),
        }
        self.close();
        self.fill.reach(Stage::Refreshed(object));
        self.release(answered).await;
        Ok(())
    }

    fn object(&self, arrived: &Arrived, body: crate::object::Body) -> Arc<Object> {
        Arc::new(Object::new(Parts {
            site: self.journey.served.name.clone(),
            key: self.journey.key.clone(),
            birth: self.fill.birth,
            status: arrived.status,
            head: arrived.head.clone(),
            body,
            tags: arrived.tags.clone(),
            selection: arrived.selection.clone(),
            directives: arrived.directives.clone(),
            freshness: arrived.freshness,
        }))
    }

    fn close(&self) {
        self.state.fills.close(&self.journey.key, &self.fill);
    }

    async fn release(&self, answered: Answered) {
        let Answered { session, peer, .. } = answered;
        self.state
            .connections
            .release_http_session(session, &peer, Some(origin::IDLE_TIMEOUT))
            .await;
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.close();
        self.fill.finish(End::Cut(Failure::BrokenAnswer));
    }
}

/// Bytes a fill keeps for the cache; given back when it ends, however it ends.
struct Retained<'a> {
    state: &'a State,
    bytes: u64,
}

impl Retained<'_> {
    fn grow(&mut self, by: u64) -> bool {
        let fits = self.state.fills.retain(by, self.state.retained_bytes_max);
        self.bytes += if fits { by } else { 0 };
        fits
    }
}

impl Drop for Retained<'_> {
    fn drop(&mut self) {
        self.state.fills.release(self.bytes);
    }
}
