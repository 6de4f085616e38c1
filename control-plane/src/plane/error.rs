//! Why the plane did not do what it was asked to; each says what is wrong and, where that helps, what to do.

use seawall_config::{Problems, Revision};

use crate::store::StoreError;

/// Refused, or failed. Nothing was changed, except where it says that this is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaneError {
    /// What was sent is wrong.
    #[error("what was sent is not right; `problems` says where")]
    Invalid(Problems),
    #[error("no site is named {0:?}")]
    NoSuchSite(String),
    #[error("no edge is registered as {0:?}")]
    NoSuchEdge(String),
    #[error(
        "no purge has revision {0}, or its record has been forgotten: records are kept for an hour at least"
    )]
    NoSuchPurge(Revision),
    /// `current`: the revision of what is there; None where nothing is.
    #[error("what is there has changed meanwhile, or is gone: read it again and decide anew")]
    ConditionFailed { current: Option<Revision> },
    #[error(
        "the site {0:?} belongs to the file that `seawall run --config` follows: change it there"
    )]
    OwnedByFile(String),
    #[error("the host {host:?} already belongs to the site {site:?}")]
    HostTaken { host: String, site: String },
    #[error("{0}")]
    Full(String),
    /// `0`: how much it is, and how much the store takes.
    #[error("{0}: send less at once")]
    TooLarge(String),
    /// Rule 5 of vouching.
    #[error(
        "another machine, started as {holder:?}, holds the id {id:?} and may vouch for up to {for_ms} ms: \
         give each edge an id of its own; a restarted edge is let in after that time"
    )]
    DuplicateEdge {
        id: String,
        holder: String,
        for_ms: u64,
    },
    #[error("the feed's history begins after revision {begins}: take a snapshot")]
    HistoryGone { begins: Revision },
    #[error("this is another history than the one that was followed: take a snapshot")]
    HistoryDiffers,
    #[error(
        "this Idempotency-Key came with another request before, whose purge is still kept: use a new key for each"
    )]
    KeyReused,
    #[error("too many requests of this kind are under way: try again")]
    Busy,
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// `id`: what to look for.
    #[error("the store did not say whether {id:?} was written: look before sending it again")]
    OutcomeUnknown { id: String },
}

impl PlaneError {
    /// One thing wrong.
    pub(crate) fn invalid(path: &str, message: impl Into<String>) -> Self {
        let mut problems = Problems::default();
        problems.add(path, message);
        Self::Invalid(problems)
    }

    /// A store that failed while `id` was written.
    pub(crate) fn writing(id: &str, error: StoreError) -> Self {
        match error {
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown { id: id.to_owned() },
            other => other.into(),
        }
    }
}

impl From<Problems> for PlaneError {
    fn from(problems: Problems) -> Self {
        Self::Invalid(problems)
    }
}

impl From<StoreError> for PlaneError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { .. } | StoreError::TooMany { .. } => {
                Self::TooLarge(error.to_string())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}
