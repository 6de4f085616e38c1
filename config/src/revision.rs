//! The store's order of changes. Revisions, never clocks, say what came before what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The place of one change in the store's total order; the first change is 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// Which history a revision belongs to: changes when an operator says so, or when an embedded store
/// is new. Revisions of two epochs do not compare.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// `<epoch>-<revision>`: what a purge answers and a feed resumes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    pub epoch: Epoch,
    pub revision: Revision,
}

/// Why a text is not a [`Token`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is two whole numbers with a dash between: <epoch>-<revision>")]
pub struct NotAToken;

impl Revision {
    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        // `u64::from_str` would take a leading `+`; a token has one spelling only.
        let number = |part: &str| match part.bytes().all(|b| b.is_ascii_digit()) {
            true => part.parse::<u64>().map_err(|_| NotAToken),
            false => Err(NotAToken),
        };
        let (epoch, revision) = text.split_once('-').ok_or(NotAToken)?;
        Ok(Self {
            epoch: Epoch(number(epoch)?),
            revision: Revision(number(revision)?),
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.0, self.revision.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_spelling() {
        let token: Token = "3-18231".parse().expect("a token");
        assert_eq!((token.epoch, token.revision), (Epoch(3), Revision(18231)));
        assert_eq!(token.to_string(), "3-18231");
        for bad in [
            "",
            "3",
            "-",
            "3-",
            "-1",
            "+3-1",
            "3-+1",
            "3-1-2",
            "a-1",
            " 3-1",
            "99999999999999999999-1",
        ] {
            assert_eq!(bad.parse::<Token>(), Err(NotAToken), "{bad:?}");
        }
    }
}
