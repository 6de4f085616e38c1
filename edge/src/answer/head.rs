//! The fields of an answer: all its own, or those of a stored response as they are stored.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::object::Object;
use crate::object::lead::{self, carries_length};
use crate::rules::fields::TAG_FIELDS;

/// Without tags, without the hop's fields, with Age where it was stored.
pub struct Head {
    own: HeaderMap,
    stored: Option<Stored>,
}

/// What an object's lead says, and its age: nothing is copied for an answer that says no more.
pub struct Stored {
    pub object: Arc<Object>,
    pub age_s: u64,
}

impl Head {
    /// As it is stored, of the whole body.
    pub fn stored(object: &Arc<Object>, age_s: u64) -> Self {
        Self {
            own: HeaderMap::new(),
            stored: Some(Stored {
                object: object.clone(),
                age_s,
            }),
        }
    }

    /// None: its fields are its own.
    pub fn as_stored(&self) -> Option<&Stored> {
        self.stored.as_ref()
    }

    /// Every field, in the order in which they are sent.
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        let stored = self.stored.iter().flat_map(Stored::fields);
        let own = self.own.iter();
        stored.chain(own.map(|(name, value)| (name.clone(), value.clone())))
    }

    /// To be looked at, or changed, for this answer alone.
    pub fn own(&mut self) -> &mut HeaderMap {
        if let Some(stored) = self.stored.take() {
            self.own = stored.fields().collect();
        }
        &mut self.own
    }
}

impl From<HeaderMap> for Head {
    fn from(mut own: HeaderMap) -> Self {
        strip(&mut own);
        Self { own, stored: None }
    }
}

impl Stored {
    fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        let object = &*self.object;
        let sent = object.head.iter().filter(|(name, _)| lead::is_sent(name));
        let length = carries_length(object.status).then(|| object.body.total());
        let length = length.map(|length| (header::CONTENT_LENGTH, length.into()));
        sent.map(|(name, value)| (name.clone(), value.clone()))
            .chain([(header::AGE, self.age_s.into())])
            .chain(length)
    }
}

/// What is between the origin and its caches goes no further.
fn strip(head: &mut HeaderMap) {
    for name in TAG_FIELDS {
        head.remove(name);
    }
    head.remove("surrogate-control");
}
