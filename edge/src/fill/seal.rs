//! What a fetch leaves behind: a new object, a part of one, or a stored one made fresh again.

use std::sync::Arc;

use http::{Method, StatusCode, header};

use super::fetch::{Answered, Fetch, Stored};
use super::{Arrived, Refreshed, Stage};
use crate::ledger::{Birth, Life};
use crate::object::{Body, Object, Parts};
use crate::origin::Failure;
use crate::rules::freshening::{self, Freshened};
use crate::rules::storing::Storing;
use crate::rules::{ranges, reuse, validation};
use crate::storage::Storage;

impl Fetch {
    /// The body is here as far as anyone wanted it: it becomes an object, unless it was purged on its way or
    /// something newer is there. `completed`: a stored part of it was used.
    pub(super) fn seal(&self, arrived: &Arrived, completed: Option<&Arc<Object>>) {
        let Some((body, status)) = self.body(arrived) else {
            return;
        };
        // A combined response is as old as the oldest of its parts.
        let birth = completed.map_or(self.fill.birth, |part| part.birth.floor(self.fill.birth));
        let object = self.object(arrived, status, body, birth);
        if object.life(&self.state.ledger) == Life::HardDead {
            return;
        }
        if object.body.is_whole() {
            self.state.storage.put(&object);
        } else {
            let alive = |old: &Object| old.life(&self.state.ledger) == Life::Alive;
            self.state.storage.put_part(&object, alive);
        }
    }

    /// The bytes that came, and the status of the whole that they are or belong to. None where they are not kept, or
    /// it cannot be told where in the whole they belong.
    fn body(&self, arrived: &Arrived) -> Option<(Body, StatusCode)> {
        let flow = self.fill.flow();
        let (pieces, received) = (flow.retained()?, flow.received());
        if arrived.status == StatusCode::PARTIAL_CONTENT {
            let range = ranges::content_range(&arrived.head)?;
            let part = Body::part(range.first, range.total, pieces);
            return (received == range.len()).then_some((part, StatusCode::OK));
        }
        match arrived.length {
            // RFC 9111 §3.3: what is incomplete is of use only with the rest, and that needs a strong validator.
            Some(length) if received < length => {
                let part = Body::part(0, length, pieces);
                let joins = validation::strong_tag(&arrived.head).is_some();
                (joins && arrived.status == StatusCode::OK).then_some((part, arrived.status))
            }
            _ => Some((Body::new(pieces), arrived.status)),
        }
    }

    /// A 304: the stored response, its head updated, was born when this validation began.
    pub(super) fn refresh(&self, stored: &Arc<Object>, answered: &Answered) -> Result<(), Failure> {
        let updated = freshening::update(&stored.head, &answered.head.fields);
        let tags = &stored.tags;
        let arrived = self.judge(&Method::GET, stored.status, &updated, tags, answered)?;
        let body = stored.body.clone();
        let object = self.object(&arrived, stored.status, body, self.fill.birth);
        let storage = &self.state.storage;
        match arrived.storing {
            Storing::Keep if stored.selection == object.selection => {
                storage.replace(stored.id, &object);
            }
            // §4.1: another request than the one that brought it was told that it may have it, too.
            Storing::Keep => {
                storage.put(&object);
            }
            Storing::Refuse(why)
                if !why.is_of_client() && stored.selection.selects(&self.journey.fields) =>
            {
                storage.remove(&stored.key, &[stored.id]);
            }
            // What this client is told says nothing to others, nor to those whom the other variant is for.
            Storing::Refuse(_) => {}
        }
        self.close();
        let own = arrived.own_head();
        self.fill
            .reach(Stage::Refreshed(Arc::new(Refreshed { object, own })));
        Ok(())
    }

    /// A whole answer came that is not kept. RFC 9111 §4.3.3: "A full response … indicates that none of the stored
    /// responses nominated in the conditional request are suitable."
    pub(super) fn forget_asked(&self, arrived: &Arrived) {
        let says_nothing = match arrived.storing {
            Storing::Refuse(why) => why.is_of_client(),
            // It is too large.
            Storing::Keep => false,
        };
        // "if a cache receives a 5xx (Server Error) response while attempting to validate a response, it can … act as if
        // the server failed to respond."
        if arrived.kept || !self.fill.shared || says_nothing || reuse::is_failure(arrived.status) {
            return;
        }
        let part = match &self.stored {
            Stored::Part(part) => Some(part),
            Stored::Nothing | Stored::Candidates(_) => None,
        };
        let asked = self.stand_in.as_ref().or(part);
        if let Some(asked) = asked.filter(|asked| asked.birth <= self.fill.birth) {
            self.state.storage.remove(&asked.key, &[asked.id]);
        }
    }

    /// RFC 9111 §4.3.5: an answer to HEAD speaks of the stored answer to GET, too. It never raises a birth: it
    /// brought no body.
    pub(super) fn freshen(&self, answered: &Answered) {
        let (journey, storage) = (&self.journey, &self.state.storage);
        if !journey.policy().cache || journey.wanted.is_some() {
            return;
        }
        let shelf = storage.get(&journey.key);
        let selected = shelf.and_then(|shelf| Storage::select(&shelf, &journey.fields));
        // What was fetched since is newer than this answer; what was purged has to be asked for by a GET.
        let precedes = |object: &Object| {
            self.fill.birth < object.birth || answered.requested <= object.freshness.received
        };
        let alive = |object: &Object| object.life(&self.state.ledger) == Life::Alive;
        let Some(stored) = selected.filter(|object| alive(object) && !precedes(object)) else {
            return;
        };
        let head = &answered.head.fields;
        let updated = freshening::update(&stored.head, head);
        let tags = &stored.tags;
        let arrived = self.judge(&Method::GET, stored.status, &updated, tags, answered);
        let Ok(arrived) = arrived else {
            return;
        };
        let was = (stored.status, &stored.head, stored.body.total());
        match freshening::freshened(was, head, arrived.storing) {
            Freshened::Silent => {}
            // §4.1: what it varies on by now may be what nobody noted of the request that brought it.
            Freshened::Same if arrived.selection == stored.selection => {
                let body = stored.body.clone();
                let object = self.object(&arrived, stored.status, body, stored.birth);
                storage.replace(stored.id, &object);
            }
            Freshened::Same | Freshened::Changed => storage.remove(&journey.key, &[stored.id]),
        }
    }

    fn object(
        &self,
        arrived: &Arrived,
        status: StatusCode,
        body: Body,
        birth: Birth,
    ) -> Arc<Object> {
        let mut head = arrived.shared_head();
        if arrived.status == StatusCode::PARTIAL_CONTENT {
            // They are of the message, not of the whole.
            head.to_mut().remove(header::CONTENT_RANGE);
            head.to_mut().remove(header::CONTENT_LENGTH);
        }
        Arc::new(Object::new(Parts {
            site: self.journey.served.name.clone(),
            key: self.journey.key.clone(),
            birth,
            status,
            head,
            body,
            tags: arrived.tags.clone(),
            selection: arrived.selection.clone(),
            directives: arrived.directives.clone(),
            freshness: arrived.freshness,
        }))
    }
}
