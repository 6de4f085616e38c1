//! An answer in the coding its client gets. Everything before speaks of the body as the origin sent it.

use std::sync::Arc;

use http::header::HeaderMap;
use http::{Method, StatusCode};

use super::{Answer, Content, Journey};
use crate::encode::kept::{self, Coded, KEPT_BYTES_MAX};
use crate::encode::stream::{Source, Stream};
use crate::object::Body;
use crate::rules::coding::{self, Coding, Question};
use crate::state::State;

impl Answer {
    /// Says in the head what the rule makes of the `status` and `head` of the response, except where a body follows:
    /// whether that can be encoded shows later. `body`: of the response, where all of it is stored.
    pub(super) fn coded(
        mut self,
        journey: &Journey,
        status: StatusCode,
        head: &HeaderMap,
        body: Option<&Body>,
    ) -> Self {
        let (policy, request) = (journey.policy(), &journey.fields);
        if status == StatusCode::NOT_MODIFIED {
            coding::echo(policy, request, self.head.own());
        }
        let coding = coding::coding(Question {
            policy,
            request,
            status,
            head,
        });
        if coding.varies() {
            coding::vary(self.head.own());
        }
        let Coding::Encode(coding) = coding else {
            return self;
        };
        let length = match body.and_then(|body| body.kept.get(coding)) {
            Some(Coded::NotSmaller) => return self,
            Some(Coded::Smaller(bytes)) => Some(bytes.len() as u64),
            None => None,
        };
        if self.status == StatusCode::NOT_MODIFIED {
            // RFC 9110 §15.4.5: the ETag "that would have been sent in a 200 (OK) response to the same request".
            coding::weaken(self.head.own());
        } else if journey.method == Method::HEAD {
            coding::describe(self.head.own(), coding, length);
        } else {
            self.coding = Some(coding);
        }
        self
    }

    /// Puts the body into the coding that was chosen for it, or leaves it as it is: where that does not make it
    /// smaller, or too much is being encoded already.
    pub(super) async fn encoded(mut self, state: &Arc<State>, journey: &Journey) -> Self {
        let Some(coding) = self.coding else {
            return self;
        };
        let (body, length) = match self.body {
            Content::Stored { ref body, .. } if body.total() <= KEPT_BYTES_MAX => {
                match kept::encoded(state, &journey.key, body, coding).await {
                    Some(Coded::Smaller(bytes)) => {
                        let length = bytes.len() as u64;
                        (Content::Encoded(bytes), Some(length))
                    }
                    Some(Coded::NotSmaller) => return self,
                    None => return self.left_plain(state),
                }
            }
            body => {
                let Some(lent) = state.encoders.lend(coding) else {
                    return Self { body, ..self }.left_plain(state);
                };
                let source = match body {
                    Content::Arriving(reader) => Source::Arriving(reader),
                    Content::Stored { body, .. } => Source::stored(&body),
                    body => return Self { body, ..self },
                };
                (Content::Encoding(Box::new(Stream::new(lent, source))), None)
            }
        };
        state.metrics.encoded(coding);
        coding::describe(self.head.own(), coding, length);
        Self { body, ..self }
    }

    fn left_plain(self, state: &State) -> Self {
        state.metrics.encoding_skipped();
        self
    }
}
