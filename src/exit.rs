//! How a command ends: the exit codes, all in one place.

use std::fmt;
use std::process::ExitCode;

/// What the process says to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// It failed, or it was only done in part.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The load generator could not keep to its plan: its figures do not count.
    Saturated = 3,
    /// Nobody answered.
    Unreachable = 4,
    BadConfiguration = 64,
    Interrupted = 130,
}

/// Why a command ended badly: its exit code and what a person should read.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

impl Exit {
    /// This end, for this reason.
    pub(crate) fn because(self, reason: impl fmt::Display) -> Failure {
        Failure {
            exit: self,
            error: anyhow::anyhow!("{reason}"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What is not said otherwise is a plain failure.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            exit: Exit::Failed,
            error,
        }
    }
}

impl fmt::Display for Failure {
    /// The reason with all its causes, in one line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}
