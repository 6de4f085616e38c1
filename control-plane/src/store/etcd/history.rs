//! Whether etcd still holds the history that this plane knows. A backup that was restored does not: its revisions
//! come again and mean something else, so nothing is read or written until an operator has raised the epoch.
//! Pure: what etcd says and what is remembered go in, a verdict comes out; [`Memory`] is a small file.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use seawall_config::{Epoch, Revision};
use serde::{Deserialize, Serialize};

/// Bytes of a memory that is read.
const MEMORY_BYTES_MAX: u64 = 64 * 1024;
const HEAL: &str =
    "if a backup was restored, raise the epoch: seawall control-plane --config FILE --raise-epoch";

/// What the store says of its history: [`crate::keys::HISTORY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) epoch: Epoch,
    /// The cluster it was written in, as etcd prints its id.
    pub(super) cluster: String,
}

/// What a plane has seen of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) epoch: Epoch,
    /// The store has come as far as this.
    pub(super) revision: Revision,
    /// What was seen last: another history has something else at that revision.
    pub(super) mark: Option<Mark>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) revision: Revision,
    /// A key that it put, and a fingerprint of the value.
    pub(super) key: String,
    pub(super) print: String,
}

/// What etcd says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) record: Option<Record>,
    pub(super) cluster: String,
    pub(super) head: Revision,
    /// The fingerprint of what the revision of the remembered [`Mark`] put under its key, if it did. None: not asked
    /// for, or compacted.
    pub(super) mark: Option<Option<String>>,
}

/// What follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the history that is known, or a new one that an operator declared.
    Trusted(Epoch),
    /// A store that nobody has used: begin a history.
    New,
    Differs(Differs),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Differs {
    #[error("etcd has lost this deployment's history, which was at revision {seen}; {HEAL}")]
    Lost { seen: Revision },
    #[error(
        "the history was written in etcd cluster {recorded}, and this is cluster {now}; {HEAL}"
    )]
    Cluster { recorded: String, now: String },
    #[error("etcd is at epoch {now}, and this plane has seen epoch {seen}; {HEAL}")]
    Epoch { seen: Epoch, now: Epoch },
    #[error("etcd is at revision {head}, and this plane has seen revision {seen}; {HEAL}")]
    Backwards { seen: Revision, head: Revision },
    #[error("etcd holds another history: revision {at} is not what this plane has seen; {HEAL}")]
    Mark { at: Revision },
}

pub(super) fn judge(said: &Said, seen: Option<&Seen>) -> Verdict {
    let Some(record) = &said.record else {
        return match seen {
            Some(seen) => Verdict::Differs(Differs::Lost {
                seen: seen.revision,
            }),
            None => Verdict::New,
        };
    };
    if record.cluster != said.cluster {
        return Verdict::Differs(Differs::Cluster {
            recorded: record.cluster.clone(),
            now: said.cluster.clone(),
        });
    }
    let Some(seen) = seen.filter(|seen| seen.epoch >= record.epoch) else {
        return Verdict::Trusted(record.epoch);
    };
    if seen.epoch > record.epoch {
        return Verdict::Differs(Differs::Epoch {
            seen: seen.epoch,
            now: record.epoch,
        });
    }
    if said.head < seen.revision {
        return Verdict::Differs(Differs::Backwards {
            seen: seen.revision,
            head: said.head,
        });
    }
    match (&seen.mark, &said.mark) {
        (Some(mark), Some(found)) if found.as_ref() != Some(&mark.print) => {
            Verdict::Differs(Differs::Mark { at: mark.revision })
        }
        _ => Verdict::Trusted(record.epoch),
    }
}

/// The epoch after one: later in time is higher, whatever clock the last one was made by.
pub(super) fn next_epoch(last: Option<Epoch>, wall_ms: u64) -> Epoch {
    Epoch(last.map_or(wall_ms, |last| wall_ms.max(last.0.saturating_add(1))))
}

/// Where a plane remembers what it has [`Seen`], across restarts.
#[derive(Clone, Debug)]
pub(super) struct Memory(PathBuf);

impl Memory {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join("etcd-history.json"))
    }

    /// None: nothing has been seen. What cannot be read is an error: it may say that a history is another.
    pub(super) fn read(&self) -> io::Result<Option<Seen>> {
        let length = match fs::metadata(&self.0) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if length > MEMORY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
        }
        Ok(Some(serde_json::from_slice(&fs::read(&self.0)?)?))
    }

    /// All of it or nothing.
    pub(super) fn write(&self, seen: &Seen) -> io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(seen)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    fn said(epoch: Option<u64>, cluster: &str, head: u64, mark: Option<Option<&str>>) -> Said {
        let record = epoch.map(|epoch| Record {
            epoch: Epoch(epoch),
            cluster: "c1".into(),
        });
        Said {
            record,
            cluster: cluster.into(),
            head: Revision(head),
            mark: mark.map(|value| value.map(str::to_owned)),
        }
    }

    fn seen(epoch: u64, revision: u64) -> Seen {
        Seen {
            epoch: Epoch(epoch),
            revision: Revision(revision),
            mark: Some(Mark {
                revision: Revision(revision),
                key: "k".into(),
                print: "m".into(),
            }),
        }
    }

    #[test]
    fn a_history_is_trusted_only_as_long_as_it_goes_on() {
        let check = |said: &Said, seen: Option<&Seen>, expect: Verdict| {
            assert_eq!(judge(said, seen), expect, "{said:?} {seen:?}");
        };
        let trusted = |epoch| Verdict::Trusted(Epoch(epoch));
        let known = seen(5, 100);
        check(&said(None, "c1", 1, None), None, Verdict::New);
        check(&said(Some(5), "c1", 1, None), None, trusted(5));
        check(&said(Some(5), "c1", 100, None), Some(&known), trusted(5));
        check(
            &said(Some(5), "c1", 100, Some(Some("m"))),
            Some(&known),
            trusted(5),
        );
        // An operator has raised the epoch: whatever was seen before counts no more.
        check(&said(Some(6), "c1", 3, None), Some(&known), trusted(6));
    }

    #[test]
    fn another_history_is_not() {
        let check = |said: &Said, seen: Option<&Seen>, expect: Differs| {
            assert_eq!(judge(said, seen), Verdict::Differs(expect), "{said:?}");
        };
        let known = seen(5, 100);
        let at = Revision(100);
        check(
            &said(None, "c1", 1, None),
            Some(&known),
            Differs::Lost { seen: at },
        );
        let cluster = || Differs::Cluster {
            recorded: "c1".into(),
            now: "c2".into(),
        };
        check(&said(Some(5), "c2", 200, None), Some(&known), cluster());
        check(&said(Some(5), "c2", 200, None), None, cluster());
        let epoch = Differs::Epoch {
            seen: Epoch(5),
            now: Epoch(4),
        };
        check(&said(Some(4), "c1", 200, None), Some(&known), epoch);
        let backwards = Differs::Backwards {
            seen: at,
            head: Revision(99),
        };
        check(&said(Some(5), "c1", 99, None), Some(&known), backwards);
        for other in [Some("n"), None] {
            let said = said(Some(5), "c1", 200, Some(other));
            check(&said, Some(&known), Differs::Mark { at });
        }
    }

    #[test]
    fn a_new_epoch_is_higher_even_by_a_slow_clock() {
        assert_eq!(next_epoch(None, 7), Epoch(7));
        assert_eq!(next_epoch(Some(Epoch(7)), 9), Epoch(9));
        assert_eq!(next_epoch(Some(Epoch(7)), 7), Epoch(8));
        assert_eq!(next_epoch(Some(Epoch(7)), 1), Epoch(8));
        assert_eq!(next_epoch(Some(Epoch(u64::MAX)), 1), Epoch(u64::MAX));
    }
}
