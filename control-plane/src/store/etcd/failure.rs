//! What an error of etcd means for whoever asked: was it sent, was it refused, can nobody know.

use std::error::Error as _;

use etcd_client::Error;
use tonic::Code;

use crate::store::StoreError;

/// Why a member of the cluster gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was not sent, or the member said that it did nothing: another may be asked.
    Nothing(String),
    /// It said so for the whole cluster: nothing was done, and another would say the same.
    Refused(String),
    /// It may have been done.
    Unknown(String),
    /// What was asked for has been compacted.
    Compacted,
    /// The revision that was asked for has not been reached.
    Future,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        let Error::GRpcStatus(status) = error else {
            return match error {
                Error::TransportError(_) | Error::IoError(_) => Self::Unknown(told(error)),
                _ => Self::Refused(error.to_string()),
            };
        };
        let message = status.message();
        let says = |text: &str| message.contains(text);
        if was_not_connected(status) {
            return Self::Nothing(told(error));
        }
        match status.code() {
            Code::OutOfRange if says("compacted") => Self::Compacted,
            Code::OutOfRange if says("future revision") => Self::Future,
            // What the server rejects before it proposes anything.
            Code::Unavailable if says("no leader") || says("not capable") => {
                Self::Nothing(message.to_owned())
            }
            Code::ResourceExhausted if says("too many requests") => {
                Self::Nothing(message.to_owned())
            }
            // Among them: the database is full, the credentials are wrong.
            Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => Self::Refused(message.to_owned()),
            _ => Self::Unknown(told(error)),
        }
    }

    /// For a write.
    pub(super) fn of_write(self) -> StoreError {
        match self {
            Self::Unknown(why) => StoreError::OutcomeUnknown(why),
            other => other.of_read(),
        }
    }

    /// For what changes nothing.
    pub(super) fn of_read(self) -> StoreError {
        StoreError::Unavailable(match self {
            Self::Nothing(why) | Self::Refused(why) | Self::Unknown(why) => why,
            Self::Compacted => "it compacts faster than this reads".into(),
            Self::Future => "it has not come as far as it had before".into(),
        })
    }
}

fn was_not_connected(status: &tonic::Status) -> bool {
    let mut cause = status.source();
    while let Some(found) = cause {
        if found.is::<tonic::ConnectError>() {
            return true;
        }
        cause = found.source();
    }
    false
}

/// With what it was caused by: "transport error" alone helps nobody.
fn told(error: &Error) -> String {
    let (mut text, mut cause) = match error {
        Error::GRpcStatus(status) => (status.message().to_owned(), status.source()),
        Error::TransportError(error) => (error.to_string(), error.source()),
        other => (other.to_string(), None),
    };
    while let Some(found) = cause {
        let found_text = found.to_string();
        if !text.contains(&found_text) {
            text = format!("{text}: {found_text}");
        }
        cause = found.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Status;

    #[test]
    fn an_answer_is_known_for_what_it_is() {
        let check = |status: Status, expect: fn(String) -> Failure| {
            let text = status.message().to_owned();
            assert_eq!(Failure::of(&Error::GRpcStatus(status)), expect(text));
        };
        check(
            Status::unavailable("etcdserver: no leader"),
            Failure::Nothing,
        );
        check(
            Status::resource_exhausted("etcdserver: too many requests"),
            Failure::Nothing,
        );
        check(
            Status::resource_exhausted("etcdserver: mvcc: database space exceeded"),
            Failure::Refused,
        );
        check(
            Status::permission_denied("etcdserver: permission denied"),
            Failure::Refused,
        );
        check(
            Status::invalid_argument("etcdserver: request is too large"),
            Failure::Refused,
        );
        // Both come after the proposal: it may be committed yet.
        check(
            Status::unavailable("etcdserver: request timed out"),
            Failure::Unknown,
        );
        check(
            Status::unavailable("etcdserver: leader changed"),
            Failure::Unknown,
        );
        check(Status::unknown("broken pipe"), Failure::Unknown);
        check(Status::cancelled("h2 reset"), Failure::Unknown);
        let compacted =
            Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        check(compacted, |_| Failure::Compacted);
        let future =
            Status::out_of_range("etcdserver: mvcc: required revision is a future revision");
        check(future, |_| Failure::Future);
    }

    #[test]
    fn only_a_write_has_an_unknown_outcome() {
        let unknown = || Failure::Unknown("so".into());
        assert_eq!(
            unknown().of_write(),
            StoreError::OutcomeUnknown("so".into())
        );
        assert_eq!(unknown().of_read(), StoreError::Unavailable("so".into()));
        let nothing = Failure::Nothing("so".into());
        assert_eq!(nothing.of_write(), StoreError::Unavailable("so".into()));
    }
}
