//! What must never be seen, and what was.

use std::fmt;

/// What no history may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// An edge that vouches served what a receipt said was gone.
    StaleWhileVouching,
    /// One that does not vouch did, after a receipt for all.
    StaleWhileCutOff,
    /// Who showed a purge's token was served something older.
    StaleForToken,
    /// Who asked the edge that an unsafe method went through was.
    StaleAfterChange,
    /// The applied revision of an epoch went back.
    RevisionWentBack,
    /// A copy took the place of one that was born later.
    BirthWentBack,
    /// What an edge booted from its disk is not what it serves.
    BootServesOther,
    /// Everything is mended, and not everyone is where the store is.
    NotConverged,
}

/// One of them, and how it was.
#[derive(Clone, Debug)]
pub struct Broken {
    pub violation: Violation,
    what: String,
}

impl Broken {
    pub fn new(violation: Violation, what: String) -> Self {
        Self { violation, what }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.violation, self.what)
    }
}
