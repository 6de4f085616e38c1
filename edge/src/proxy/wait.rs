//! Waiting for an answer on behalf of a client: telling it what comes before, and noticing when it has gone.

use std::sync::Arc;

use pingora_core::protocols::http::ServerSession;
use pingora_error::Error;

use super::Proxy;
use crate::answer::{Answer, Journey, answer};
use crate::origin::interim::{Interim, Interims};

impl Proxy {
    /// The answer; an error is the client leaving.
    pub(super) async fn wait(
        &self,
        session: &mut ServerSession,
        journey: &Arc<Journey>,
    ) -> pingora_error::Result<Answer> {
        let done = session.is_body_done();
        let interims = Interims::to(session.req_header().version);
        let mut answering = std::pin::pin!(answer(&self.0.state, journey, &interims));
        let ready = loop {
            let interim = tokio::select! {
                biased;
                interim = interims.next() => interim,
                ready = &mut answering => break ready,
                gone = client_leaves(session, done) => return Err(gone),
            };
            write_interim(session, interim).await?;
        };
        // They come before the answer, also where both were here at once.
        while let Some(interim) = interims.take() {
            write_interim(session, interim).await?;
        }
        Ok(ready)
    }
}

async fn write_interim(session: &mut ServerSession, interim: Interim) -> pingora_error::Result<()> {
    let header = Box::new(interim.into_header()?);
    session.write_response_header(header).await
}

/// Resolves when the client has gone; what it sends of a body meanwhile is read and dropped.
pub(super) async fn client_leaves(session: &mut ServerSession, mut done: bool) -> Box<Error> {
    loop {
        match session.read_body_or_idle(done).await {
            Ok(Some(_)) => {}
            Ok(None) => done = true,
            Err(error) => return error.into_down(),
        }
    }
}
