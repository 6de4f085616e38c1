//! The fields of an answer: all its own, or what a stored response says, as far as this answer tells it.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::object::Object;
use crate::object::lead::{self, carries_length};
use crate::rules::fields;
use crate::rules::validation::describes_body;

/// Without tags, without the hop's fields, with Age where it was stored.
pub struct Head {
    own: HeaderMap,
    stored: Option<Stored>,
}

/// What an object says, and its age: nothing is copied for an answer that says no more.
pub struct Stored {
    pub object: Arc<Object>,
    pub age_s: u64,
    pub view: View,
}

/// What of a stored response is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it: that is the object's lead.
    Whole,
    NotModified,
    /// The bytes from `first` to `last`, inclusive.
    Part {
        first: u64,
        last: u64,
    },
}

impl Head {
    pub fn stored(object: &Arc<Object>, age_s: u64, view: View) -> Self {
        Self {
            own: HeaderMap::new(),
            stored: Some(Stored {
                object: object.clone(),
                age_s,
                view,
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
        stored.chain(self.own.iter().map(cloned))
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
        fields::strip(&mut own, fields::is_for_caches);
        Self { own, stored: None }
    }
}

impl Stored {
    /// Those of the stored response that this answer tells.
    pub fn told(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let is_told = |name: &HeaderName| match self.view {
            View::Whole => true,
            View::NotModified => !describes_body(name),
            // Whatever its origin meant by one on a whole answer.
            View::Part { .. } => name != header::CONTENT_RANGE,
        };
        let stored = self.object.head.iter();
        stored.filter(move |(name, _)| lead::is_sent(name) && is_told(name))
    }

    /// Those that are said anew in each answer.
    pub fn anew(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        let total = self.object.body.total();
        let (length, range) = match self.view {
            View::NotModified => (None, None),
            View::Whole => (carries_length(self.object.status).then_some(total), None),
            View::Part { first, last } => (Some(last + 1 - first), part_of(first, last, total)),
        };
        [(header::AGE, self.age_s.into())]
            .into_iter()
            .chain(range.map(|range| (header::CONTENT_RANGE, range)))
            .chain(length.map(|length| (header::CONTENT_LENGTH, length.into())))
    }

    fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        self.told().map(cloned).chain(self.anew())
    }
}

/// RFC 9110 §14.4.
pub fn part_of(first: u64, last: u64, total: u64) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("bytes {first}-{last}/{total}")).ok()
}

fn cloned((name, value): (&HeaderName, &HeaderValue)) -> (HeaderName, HeaderValue) {
    (name.clone(), value.clone())
}
