//! What is in the file: the data, the log of changes, and a few numbers.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{Database, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use seawall_config::{Epoch, Revision};

use crate::store::{Changed, Commit, Entry, Guard, Step, Txn, View, Write};

/// The layout of this file; raised when it changes.
pub(super) const FORMAT: u64 = 1;
/// Revisions the log keeps.
pub(super) const LOG_REVISIONS_MAX: u64 = 100_000;
/// Bytes the log keeps, each row counted with [`LOG_ROW_BYTES`].
pub(super) const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What a row of the log takes beside its key and value.
const LOG_ROW_BYTES: u64 = 32;
/// Steps of one page of the log.
const PAGE_STEPS_MAX: usize = 256;
/// A page of the log that has reached this many bytes takes no more steps.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// (created, changed, value)
type DataRow = (u64, u64, &'static [u8]);
/// (revision, key)
type LogKey = (u64, &'static str);
/// (created, value; none is a deletion)
type LogRow = (u64, Option<&'static [u8]>);

const DATA: TableDefinition<'static, &'static str, DataRow> = TableDefinition::new("data");
const LOG: TableDefinition<'static, LogKey, LogRow> = TableDefinition::new("log");
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

// What META holds. The first three are there in every format.
const META_FORMAT: &str = "format";
const META_EPOCH: &str = "epoch";
const META_HEAD: &str = "head";
/// The first revision whose changes are still known.
const META_OLDEST: &str = "oldest";
const META_LOG_BYTES: &str = "log_bytes";

/// What is told of a store when it is opened.
pub(super) struct Meta {
    pub(super) format: u64,
    pub(super) epoch: Epoch,
    pub(super) head: Revision,
}

/// Some of the log.
pub(super) enum Page {
    /// In order, each whole; and the revision that this goes up to.
    Steps { steps: Vec<Step>, until: Revision },
    /// It no longer begins where it was to be read.
    Compacted { oldest: Revision },
}

/// One database transaction with its tables open.
pub(super) struct Batch<'txn> {
    data: Table<'txn, &'static str, DataRow>,
    log: Table<'txn, LogKey, LogRow>,
    meta: Table<'txn, &'static str, u64>,
    head: Revision,
    log_bytes: u64,
}

/// Makes the tables of a new store.
pub(super) fn create(database: &Database, epoch: Epoch) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(DATA)?;
    transaction.open_table(LOG)?;
    let mut meta = transaction.open_table(META)?;
    let numbers = [
        (META_FORMAT, FORMAT),
        (META_EPOCH, epoch.0),
        (META_HEAD, 0),
        (META_OLDEST, 1),
        (META_LOG_BYTES, 0),
    ];
    for (name, value) in numbers {
        meta.insert(name, value)?;
    }
    drop(meta);
    Ok(transaction.commit()?)
}

pub(super) fn meta(transaction: &ReadTransaction) -> Result<Meta, redb::Error> {
    let meta = transaction.open_table(META)?;
    Ok(Meta {
        format: number(&meta, META_FORMAT)?,
        epoch: Epoch(number(&meta, META_EPOCH)?),
        head: Revision(number(&meta, META_HEAD)?),
    })
}

/// The first revision whose changes are still known.
pub(super) fn oldest(transaction: &ReadTransaction) -> Result<Revision, redb::Error> {
    Ok(Revision(number(
        &transaction.open_table(META)?,
        META_OLDEST,
    )?))
}

pub(super) fn view(transaction: &ReadTransaction, prefix: &str) -> Result<View, redb::Error> {
    let data = transaction.open_table(DATA)?;
    let mut entries = Vec::new();
    for row in data.range(prefix..)? {
        let (key, row) = row?;
        if !key.value().starts_with(prefix) {
            break;
        }
        entries.push(entry(key.value(), row.value()));
    }
    let revision = meta(transaction)?.head;
    Ok(View { revision, entries })
}

/// The next steps after `after` that touched `prefix`.
pub(super) fn page(
    transaction: &ReadTransaction,
    prefix: &str,
    after: Revision,
) -> Result<Page, redb::Error> {
    let (oldest, until) = (oldest(transaction)?, meta(transaction)?.head);
    if after.next() < oldest {
        return Ok(Page::Compacted { oldest });
    }
    let log = transaction.open_table(LOG)?;
    let (mut steps, mut bytes): (Vec<Step>, usize) = (Vec::new(), 0);
    for row in log.range((after.next().0, "")..)? {
        let (at, row) = row?;
        let ((revision, key), (created, value)) = (at.value(), row.value());
        if !key.starts_with(prefix) {
            continue;
        }
        let changed = Changed {
            key: key.to_owned(),
            value: value.map(Bytes::copy_from_slice),
            created: Revision(created),
        };
        let full = steps.len() >= PAGE_STEPS_MAX || bytes >= PAGE_BYTES_MAX;
        bytes += key.len() + value.map_or(0, <[u8]>::len);
        match steps.last_mut() {
            Some(step) if step.revision.0 == revision => step.changes.push(changed),
            // Whole revisions only: it ends before one that would begin.
            Some(Step {
                revision: until, ..
            }) if full => {
                let until = *until;
                return Ok(Page::Steps { steps, until });
            }
            _ => steps.push(Step {
                revision: Revision(revision),
                changes: vec![changed],
            }),
        }
    }
    Ok(Page::Steps { steps, until })
}

impl<'txn> Batch<'txn> {
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        let meta = transaction.open_table(META)?;
        let head = Revision(number(&meta, META_HEAD)?);
        let log_bytes = number(&meta, META_LOG_BYTES)?;
        let (data, log) = (transaction.open_table(DATA)?, transaction.open_table(LOG)?);
        Ok(Self {
            data,
            log,
            meta,
            head,
            log_bytes,
        })
    }

    /// The newest revision, those of this batch included.
    pub(super) fn head(&self) -> Revision {
        self.head
    }

    /// Applies one transaction as the next revision, if its guards hold against those before it.
    pub(super) fn apply(&mut self, txn: &Txn) -> Result<Commit, redb::Error> {
        let mut found = Vec::new();
        let mut holds = true;
        for guard in &txn.guards {
            let (Guard::Absent(key) | Guard::ChangedAt(key, _)) = guard;
            let there = self
                .data
                .get(key.as_str())?
                .map(|row| entry(key, row.value()));
            holds &= match guard {
                Guard::Absent(_) => there.is_none(),
                Guard::ChangedAt(_, at) => there.as_ref().is_some_and(|entry| entry.changed == *at),
            };
            found.extend(there);
        }
        if !holds {
            return Ok(Commit::Refused {
                revision: self.head,
                found,
            });
        }
        // The last write to a key is the one that counts; in key order, as the log is read.
        let writes = txn.writes.iter().map(|write| match write {
            Write::Put(key, value) => (key.as_str(), Some(value.as_ref())),
            Write::Delete(key) => (key.as_str(), None),
        });
        let writes: BTreeMap<&str, Option<&[u8]>> = writes.collect();
        let revision = self.head.next();
        for (key, value) in writes {
            if self.write(key, value, revision)? {
                self.head = revision;
            }
        }
        Ok(Commit::Done(self.head))
    }

    /// Cuts the log down to so many revisions and bytes, and notes where it begins and ends. The newest
    /// revision stays, whatever its size.
    pub(super) fn finish(mut self, revisions_max: u64, bytes_max: u64) -> Result<(), redb::Error> {
        let kept_from = self.head.next().0.saturating_sub(revisions_max);
        let mut oldest = number(&self.meta, META_OLDEST)?.max(kept_from);
        for row in self.log.iter()? {
            let (at, row) = row?;
            let ((revision, key), (_, value)) = (at.value(), row.value());
            if self.log_bytes > bytes_max && revision < self.head.0 {
                oldest = oldest.max(revision.saturating_add(1));
            }
            if revision >= oldest {
                break;
            }
            self.log_bytes = self.log_bytes.saturating_sub(log_row_bytes(key, value));
        }
        self.log.retain_in(..(oldest, ""), |_, _| false)?;
        self.meta.insert(META_HEAD, self.head.0)?;
        self.meta.insert(META_OLDEST, oldest)?;
        self.meta.insert(META_LOG_BYTES, self.log_bytes)?;
        Ok(())
    }

    /// Puts or deletes; false when there was nothing to delete.
    fn write(
        &mut self,
        key: &str,
        value: Option<&[u8]>,
        revision: Revision,
    ) -> Result<bool, redb::Error> {
        let created = self.data.get(key)?.map(|row| row.value().0);
        let created = match (created, value) {
            (None, None) => return Ok(false),
            (created, Some(value)) => {
                let created = created.unwrap_or(revision.0);
                self.data.insert(key, (created, revision.0, value))?;
                created
            }
            (Some(created), None) => {
                self.data.remove(key)?;
                created
            }
        };
        self.log.insert((revision.0, key), (created, value))?;
        self.log_bytes = self.log_bytes.saturating_add(log_row_bytes(key, value));
        Ok(true)
    }
}

fn log_row_bytes(key: &str, value: Option<&[u8]>) -> u64 {
    let bytes = key.len() + value.map_or(0, <[u8]>::len);
    u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(LOG_ROW_BYTES)
}

fn number(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, redb::Error> {
    let missing = || redb::Error::Corrupted(format!("{name} is missing"));
    Ok(meta.get(name)?.ok_or_else(missing)?.value())
}

fn entry(key: &str, (created, changed, value): (u64, u64, &[u8])) -> Entry {
    Entry {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value),
        created: Revision(created),
        changed: Revision(changed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
