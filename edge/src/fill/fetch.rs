//! The way to the origin and back: ask, judge the head, take the body, seal the object.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;

use super::body::{Source, Taken};
use super::judge::{Heard, judge};
use super::{Arrived, End, Fill, Stage};
use crate::answer::{Journey, may_wait, stands_in};
use crate::clock;
use crate::ledger::{Fingerprint, Life};
use crate::object::Object;
use crate::origin::exchange::{FinalHead, exchange, failure, has_excess};
use crate::origin::interim::Interims;
use crate::origin::{self, Asking, Failure, Lease};
use crate::rules::{freshening, ranges, reuse};
use crate::state::State;

/// The connections to all origins.
pub type Connections = Connector<()>;

/// A fill and everything it needs. Dropped half-way, also by a panic, it fails its readers rather than
/// leaving them waiting.
pub struct Fetch {
    pub state: Arc<State>,
    pub journey: Arc<Journey>,
    pub fill: Arc<Fill>,
    pub stored: Stored,
    /// What may be served if the origin fails.
    pub stand_in: Option<Arc<Object>>,
    pub interims: Interims,
}

/// What is stored and may help.
#[derive(Clone, Debug)]
pub enum Stored {
    Nothing,
    /// One that the request selects, or several that it does not: any of them may be what the origin would send.
    Candidates(Vec<Arc<Object>>),
    /// Some of the body: only the rest is asked for.
    Part(Arc<Object>),
}

/// An origin's answer, its head read.
pub(super) struct Answered {
    pub session: HttpSession<()>,
    peer: HttpPeer,
    lease: Lease,
    pub head: FinalHead,
    pub requested: SystemTime,
    pub received: SystemTime,
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
        let until = clock::instant() + self.journey.served.pool.origin().fetch_timeout;
        let mut answered = self.ask(&self.stored, until).await?;
        match (&self.stored, answered.head.status) {
            (Stored::Candidates(stored), StatusCode::NOT_MODIFIED) => {
                let heads = stored.iter().map(|object| &object.head);
                let at = freshening::selected(heads, &answered.head.fields);
                if let Some(object) = at.and_then(|at| stored.get(at)) {
                    self.refresh(object, &answered)?;
                    self.release(answered).await;
                    return Ok(());
                }
                // RFC 9111 §4.3.4: a 304 that selects no stored response updates none: ask for the whole.
                answered = self.ask(&Stored::Nothing, until).await?;
            }
            (Stored::Part(part), StatusCode::PARTIAL_CONTENT) => {
                if let Some(arrived) = self.rest_of(part, &answered)? {
                    return self.complete(part, answered, arrived, until).await;
                }
                answered = self.ask(&Stored::Nothing, until).await?;
            }
            (Stored::Part(_), StatusCode::RANGE_NOT_SATISFIABLE) => {
                answered = self.ask(&Stored::Nothing, until).await?;
            }
            _ => {}
        }
        if answered.head.status == StatusCode::NOT_MODIFIED && !self.is_conditional() {
            return Err(Failure::BrokenAnswer);
        }
        let head = &answered.head.fields;
        let status = answered.head.status;
        let mut arrived = self.judge(&self.journey.method, status, head, &[], &answered)?;
        let (state, journey) = (&self.state, &self.journey);
        let (key, method) = (&journey.key, &journey.method);
        state.refusals.note(key, method, &self.fill, &arrived);
        // A failure does not take the place of what stands in for it.
        arrived.kept &= !(reuse::is_failure(status) && self.is_stood_in_for());
        self.forget_asked(&arrived);
        if self.journey.method == Method::HEAD && arrived.status == StatusCode::OK {
            self.freshen(&answered);
        }
        self.deliver(answered, arrived, None, until).await
    }

    /// Whether the client's own condition went to the origin: RFC 9110 §15.4.5, only then 304 is an answer.
    fn is_conditional(&self) -> bool {
        let fields = &self.journey.fields;
        let names = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
        !self.fill.shared && names.iter().any(|name| fields.contains_key(name))
    }

    fn is_stood_in_for(&self) -> bool {
        let (state, journey, now) = (&self.state, &self.journey, clock::now());
        let object = self.stand_in.as_ref();
        object.is_some_and(|object| stands_in(state, journey, object, now))
    }

    /// The whole that an answer makes of what is stored in part. None: it is not the rest, or of another whole by now; or
    /// what is stored may not be served any more, as after a 304.
    fn rest_of(&self, part: &Object, answered: &Answered) -> Result<Option<Arrived>, Failure> {
        let head = &answered.head.fields;
        let is_rest = part.body.missing().is_some_and(|missing| {
            let whole = (&part.head, part.body.total());
            ranges::is_rest(whole, missing, head)
        });
        if !is_rest {
            return Ok(None);
        }
        let mut whole = freshening::update(&part.head, head);
        whole.remove(http::header::TRANSFER_ENCODING);
        whole.insert(http::header::CONTENT_LENGTH, part.body.total().into());
        let arrived = self.judge(&Method::GET, part.status, &whole, &part.tags, answered)?;
        let is_good =
            may_wait(&self.state, &self.journey) && self.life(&arrived.tags) == Life::Alive;
        Ok(is_good.then_some(arrived))
    }

    /// Readers get the whole, as if it came at once.
    async fn complete(
        &self,
        part: &Arc<Object>,
        answered: Box<Answered>,
        arrived: Arrived,
        until: Instant,
    ) -> Result<(), Failure> {
        self.forget_asked(&arrived);
        let delivered = self.deliver(answered, arrived, Some(part), until).await;
        if let Err(Failure::BodyCut | Failure::BrokenAnswer) = delivered {
            // An origin that cannot send the rest may be able to send all of it.
            self.state.storage.remove(&part.key, &[part.id]);
        }
        delivered
    }

    /// Shows the head to whoever waits, streams the body to them, and keeps what is to be kept.
    async fn deliver(
        &self,
        mut answered: Box<Answered>,
        arrived: Arrived,
        part: Option<&Arc<Object>>,
        until: Instant,
    ) -> Result<(), Failure> {
        let arrived = Arc::new(arrived);
        if !arrived.kept {
            self.close();
            self.fill.flow().become_window();
        }
        // Whoever has the whole answer finds it stored: the end is shown only after it is sealed, and nobody joins.
        let empty = arrived.length == Some(0);
        if !empty {
            self.fill.reach(Stage::Arrived(arrived.clone()));
        }
        let mut source = match part {
            Some(part) => Source::completing(&mut answered.session, &part.body),
            None => Source::whole(&mut answered.session),
        };
        let taken = self.take_body(&mut source, &arrived, until).await;
        let taken = taken.inspect_err(|failure| answered.lease.cut(*failure))?;
        if arrived.kept {
            let whole = taken == Taken::Whole;
            if !(whole && has_excess(&mut answered.session)) {
                self.seal(&arrived, part);
            }
            self.close();
        }
        if taken == Taken::Enough {
            return Err(Failure::GivenUp);
        }
        self.fill.flow().show_last();
        if empty {
            self.fill.reach(Stage::Arrived(arrived));
        }
        self.release(answered).await;
        Ok(())
    }

    /// Asks until there is a final head. Only a GET or HEAD comes this way, so asking again is safe while
    /// no byte of an answer was seen, an interim one's included.
    async fn ask(&self, stored: &Stored, until: Instant) -> Result<Box<Answered>, Failure> {
        let pool = &self.journey.served.pool;
        let mut tried = Vec::new();
        loop {
            let (peer, mut lease) = self.reach(&mut tried).await?;
            let request = origin::request::fetch(
                &self.journey,
                self.fill.shared,
                stored,
                &self.state.pseudonym,
            );
            let request = Box::new(request.ok_or(Failure::BrokenAnswer)?);
            let asked = async {
                // Boxed: to make a connection takes kilobytes of state, and almost always there is one.
                let connected = Box::pin(self.state.connections.get_http_session(&peer)).await;
                let (mut session, reused) = connected.map_err(|e| (failure(&e), true, false))?;
                let requested = clock::now();
                let left = until - clock::instant();
                let mut begun = false;
                let exchanged = exchange(&mut session, request, left, |interim| {
                    begun = true;
                    self.interims.tell(interim);
                });
                let head = exchanged.await;
                let head = head.map_err(|failure| (failure, !begun, reused))?;
                Ok((session, head, requested))
            };
            let asked = tokio::select! {
                asked = asked => asked,
                () = self.fill.abandoned(), if !self.fill.shared => return Err(Failure::GivenUp),
            };
            match asked {
                Ok((session, head, requested)) => {
                    let received = clock::now();
                    lease.answered(head.status, session.as_http2().is_some());
                    self.state
                        .metrics
                        .origin_ttfb(received.duration_since(requested).unwrap_or_default());
                    return Ok(Box::new(Answered {
                        session,
                        peer,
                        lease,
                        head,
                        requested,
                        received,
                    }));
                }
                Err((failure, unseen, kept)) => {
                    // A connection that was kept and had ended says nothing of the server.
                    if !(kept && failure == Failure::NoAnswer) {
                        lease.failed();
                    }
                    if !unseen || !pool.may_retry(failure, kept, &tried) {
                        return Err(failure);
                    }
                    self.state.metrics.origin_retried();
                }
            }
        }
    }

    /// A server that may be asked, at an address that is known.
    async fn reach(&self, tried: &mut Vec<usize>) -> Result<(HttpPeer, Lease), Failure> {
        let pool = &self.journey.served.pool;
        let asking = Asking::of(&self.journey, &self.state.own_addresses);
        loop {
            let asked = tried.len();
            let reached = tokio::select! {
                reached = pool.reach(asking, tried) => reached,
                () = self.fill.abandoned(), if !self.fill.shared => return Err(Failure::GivenUp),
            };
            match reached {
                // One was chosen that has no address: another may have.
                Err(failure) if tried.len() > asked && pool.may_retry(failure, false, tried) => {}
                reached => return reached,
            }
        }
    }

    /// `head` is the answer's own, or a stored one that it updated, which had the tags `made_of`.
    pub(super) fn judge(
        &self,
        method: &Method,
        status: StatusCode,
        head: &HeaderMap,
        made_of: &[Fingerprint],
        answered: &Answered,
    ) -> Result<Arrived, Failure> {
        let heard = Heard {
            journey: &self.journey,
            shared: self.fill.shared,
            method,
            status,
            head,
            made_of,
            requested: answered.requested,
            received: answered.received,
        };
        let prints = self.state.ledger.read(|ledger| ledger.prints().clone());
        let (mut arrived, tags_cut) =
            judge(heard, &prints, |length| self.state.storage.takes(length))?;
        arrived.said = answered.head.status;
        arrived.overtaken = self.life(&arrived.tags) == Life::HardDead;
        self.state.metrics.tags_cut(tags_cut);
        Ok(arrived)
    }

    /// What was purged since it was asked for makes of what it brings.
    fn life(&self, tags: &[Fingerprint]) -> Life {
        let (journey, birth) = (&self.journey, self.fill.birth);
        self.state
            .ledger
            .read(|ledger| ledger.judge(&journey.served.name, &journey.key, Some(tags), birth))
    }

    /// Nobody can join it any more.
    pub(super) fn close(&self) {
        self.state.fills.close(&self.fill);
    }

    async fn release(&self, answered: Box<Answered>) {
        let Answered {
            session,
            peer,
            mut lease,
            ..
        } = *answered;
        lease.whole();
        self.state
            .connections
            .release_http_session(session, &peer, Some(origin::IDLE_TIMEOUT))
            .await;
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.state.fills.end(&self.journey.key, &self.fill);
        self.fill.finish(End::Cut(Failure::BrokenAnswer));
    }
}
