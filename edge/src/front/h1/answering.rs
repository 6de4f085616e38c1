//! One request of a connection, answered from here: waited for, written, and told of.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, Method, StatusCode, Version};

use super::super::Shared;
use super::super::head::Head;
use super::super::hit::{self, Asker};
use super::{Connection, PROTOCOL};
use crate::admit::{Admitted, Asked};
use crate::answer::{Answer, Content, Journey, answer};
use crate::clock;
use crate::door::{Outcome, Visit, refuse};
use crate::origin::interim::Interims;

impl Connection {
    /// The connection is ours for the next request where it goes on.
    pub(super) async fn answer(mut self, shared: &Shared, head: Box<Head>) -> Option<Self> {
        let mut visit = Visit::begin();
        let asked = Asked {
            method: &head.method,
            scheme: self.scheme(),
            authority: head.authority(),
            target: head.target(),
            fields: &head.fields,
            client: Some(self.client),
        };
        self.requests_left -= 1;
        let mut asker = Asker {
            method: head.method.clone(),
            version: head.version,
            persists: head.persists && self.requests_left > 0 && !self.closing.has_begun(),
        };
        let answer = match shared.door.admit(asked, self.wire.handshake()).await {
            Ok(Admitted::Ours(journey)) => {
                let journey = Arc::new(journey);
                visit.journey = Some(journey.clone());
                match self.wait(shared, &journey, head.version).await {
                    Some(answer) => answer,
                    None => {
                        self.tell(shared, &visit, &head, 0, 0);
                        return None;
                    }
                }
            }
            Ok(Admitted::Purges(journey)) => {
                let answer = shared.door.orders.purge(&journey).await;
                visit.journey = Some(Arc::new(journey));
                answer
            }
            Ok(Admitted::Passes(_)) => return self.hand_over(shared, &head).await,
            Err(refused) => {
                asker.persists &= !refused.closes();
                refuse(refused)
            }
        };
        let status = answer.status.as_u16();
        let (bytes, written) = self.write(shared, &mut visit, answer, &asker).await;
        self.tell(shared, &visit, &head, status, bytes);
        match written {
            Ok(true) => Some(self),
            Ok(false) => {
                self.end().await;
                None
            }
            Err(_) => None,
        }
    }

    /// The answer; None: the client left.
    async fn wait(
        &mut self,
        shared: &Shared,
        journey: &Arc<Journey>,
        version: Version,
    ) -> Option<Answer> {
        let interims = Interims::to(version);
        let mut answering = pin!(answer(&shared.door.state, journey, &interims));
        let ready = loop {
            let interim = tokio::select! {
                biased;
                ready = &mut answering => break ready,
                interim = interims.next() => interim,
                () = self.gone() => return None,
            };
            self.write_interim(&interim.into_head()).await.ok()?;
        };
        // They come before the answer, also where both were here at once.
        while let Some(interim) = interims.take() {
            self.write_interim(&interim.into_head()).await.ok()?;
        }
        Some(ready)
    }

    async fn write_interim(&mut self, (status, head): &(StatusCode, HeaderMap)) -> io::Result<()> {
        hit::write_all(&mut self.wire, &[&hit::interim(*status, head)]).await?;
        hit::flush(&mut self.wire).await
    }

    /// Bytes of the body that were sent, and whether the connection goes on. An error means that the client did not get
    /// the answer whole: the connection is dropped, so that it can tell.
    pub(super) async fn write(
        &mut self,
        shared: &Shared,
        visit: &mut Visit,
        mut answer: Answer,
        asker: &Asker,
    ) -> (u64, io::Result<bool>) {
        let signature = shared.door.signature(visit, answer.told);
        let front = hit::Front::new(
            &mut answer,
            asker,
            &signature,
            &shared.dates.field(visit.at),
        );
        visit.first_byte = Some(clock::instant());
        let mut bytes = 0;
        let framed = front.framed;
        let written = self.write_answer(front, answer, asker, &mut bytes).await;
        if written.is_err() && framed == hit::Framed::ByTheEnd {
            self.wire.end_in_reset();
        }
        let persists = asker.persists && framed != hit::Framed::ByTheEnd;
        (bytes, written.map(|()| persists))
    }

    async fn write_answer(
        &mut self,
        front: hit::Front,
        answer: Answer,
        asker: &Asker,
        sent: &mut u64,
    ) -> io::Result<()> {
        let wire = &mut self.wire;
        let [stored, rest] = front.pieces();
        match answer.body {
            Content::Nothing => hit::write_all(wire, &[stored, rest]).await?,
            Content::Text(text) => {
                let text = if asker.method == Method::HEAD {
                    ""
                } else {
                    &text
                };
                hit::write_all(wire, &[stored, rest, text.as_bytes()]).await?;
                *sent += text.len() as u64;
            }
            Content::Encoded(body) => {
                hit::write_all(wire, &[stored, rest, &body]).await?;
                *sent += body.len() as u64;
            }
            Content::Stored { body, first, end } => {
                hit::write_pieces(wire, front, body.slice(first, end), sent).await?;
            }
            Content::Several(body, several) => {
                hit::write_pieces(wire, front, several.pieces(&body), sent).await?;
            }
            arriving @ (Content::Arriving(_) | Content::Encoding(_)) => {
                return self.write_arriving(front, arriving, sent).await;
            }
        }
        hit::flush(wire).await
    }

    /// Piece by piece as they come. The head waits for the first one only if that is here already.
    async fn write_arriving(
        &mut self,
        mut front: hit::Front,
        mut body: Content,
        sent: &mut u64,
    ) -> io::Result<()> {
        loop {
            let mut next = pin!(body.next());
            let here = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
            let piece = match here {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    hit::write_all(&mut self.wire, &front.pieces()).await?;
                    front.clear();
                    hit::flush(&mut self.wire).await?;
                    tokio::select! {
                        biased;
                        piece = next => piece,
                        () = self.gone() => return Err(io::ErrorKind::ConnectionReset.into()),
                    }
                }
            };
            match piece {
                Ok(Some(piece)) => {
                    hit::write_piece(&mut self.wire, &front, &piece).await?;
                    front.clear();
                    *sent += piece.len() as u64;
                }
                Ok(None) => {
                    let [stored, rest] = front.pieces();
                    let tail = hit::tail(front.framed);
                    hit::write_all(&mut self.wire, &[stored, rest, tail]).await?;
                    return hit::flush(&mut self.wire).await;
                }
                // What was not written may stay so: there is no head then, and no body that looks whole.
                Err(failure) => return Err(io::Error::other(failure.detail())),
            }
        }
    }

    fn tell(&self, shared: &Shared, visit: &Visit, head: &Head, status: u16, bytes: u64) {
        let outcome = Outcome {
            method: &head.method,
            target: head.target().unwrap_or_default(),
            fields: &head.fields,
            client: Some(self.client),
            scheme: self.scheme(),
            protocol: PROTOCOL,
            status,
            bytes,
        };
        shared.door.tell(visit, &outcome);
    }
}
