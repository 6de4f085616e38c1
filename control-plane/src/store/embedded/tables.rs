//! What is in the file: the data, the log of changes, and a few numbers.

use bytes::Bytes;
use redb::{Database, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use seawall_config::{Epoch, Revision};

use crate::store::{Changed, Commit, Entry, Guard, Step, Txn, View, Write};

/// The layout of this file; raised when it changes.
pub(super) const FORMAT: u64 = 1;
/// Revisions the log keeps.
const LOG_REVISIONS_MAX: u64 = 100_000;

/// key -> (created, changed, value)
type Data = TableDefinition<'static, &'static str, (u64, u64, &'static [u8])>;
/// (revision, key) -> (created, value; none is a deletion)
type Log = TableDefinition<'static, (u64, &'static str), (u64, Option<&'static [u8]>)>;

const DATA: Data = TableDefinition::new("data");
const LOG: Log = TableDefinition::new("log");
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// What is told of a store when it is opened.
pub(super) struct Meta {
    pub(super) format: u64,
    pub(super) epoch: Epoch,
    pub(super) head: Revision,
}

/// One database transaction with its tables open.
pub(super) struct Batch<'txn> {
    data: Table<'txn, &'static str, (u64, u64, &'static [u8])>,
    log: Table<'txn, (u64, &'static str), (u64, Option<&'static [u8]>)>,
    meta: Table<'txn, &'static str, u64>,
}

/// Makes the tables of a new store, or reads an old one's numbers.
pub(super) fn prepare(database: &Database, new_epoch: u64) -> Result<Meta, redb::Error> {
    let transaction = database.begin_write()?;
    let meta = {
        transaction.open_table(DATA)?;
        transaction.open_table(LOG)?;
        let mut meta = transaction.open_table(META)?;
        for (name, value) in [
            ("format", FORMAT),
            ("epoch", new_epoch),
            ("head", 0),
            ("oldest", 1),
        ] {
            if meta.get(name)?.is_none() {
                meta.insert(name, value)?;
            }
        }
        Meta {
            format: number(&meta, "format")?,
            epoch: Epoch(number(&meta, "epoch")?),
            head: Revision(number(&meta, "head")?),
        }
    };
    transaction.commit()?;
    Ok(meta)
}

pub(super) fn head(transaction: &ReadTransaction) -> Result<Revision, redb::Error> {
    Ok(Revision(number(&transaction.open_table(META)?, "head")?))
}

/// The first revision whose changes are still known.
pub(super) fn oldest(transaction: &ReadTransaction) -> Result<Revision, redb::Error> {
    Ok(Revision(number(&transaction.open_table(META)?, "oldest")?))
}

pub(super) fn view(transaction: &ReadTransaction, prefix: &str) -> Result<View, redb::Error> {
    let revision = head(transaction)?;
    let data = transaction.open_table(DATA)?;
    let mut entries = Vec::new();
    for row in data.range(prefix..)? {
        let (key, value) = row?;
        if !key.value().starts_with(prefix) {
            break;
        }
        entries.push(entry(key.value(), value.value()));
    }
    Ok(View { revision, entries })
}

/// The steps in (`after`, `until`] that touched `prefix`, at most `max`; and how far that is.
pub(super) fn history(
    transaction: &ReadTransaction,
    prefix: &str,
    after: Revision,
    until: Revision,
    max: usize,
) -> Result<(Vec<Step>, Revision), redb::Error> {
    let log = transaction.open_table(LOG)?;
    let mut steps: Vec<Step> = Vec::new();
    for row in log.range((after.next().0, "")..(until.next().0, ""))? {
        let (key, value) = row?;
        let (revision, key) = key.value();
        let (created, value) = value.value();
        if !key.starts_with(prefix) {
            continue;
        }
        let (key, value) = (key.to_owned(), value.map(Bytes::copy_from_slice));
        let changed = Changed {
            key,
            value,
            created: Revision(created),
        };
        let full = steps.len() == max;
        match steps.last_mut() {
            Some(step) if step.revision.0 == revision => step.changes.push(changed),
            // Whole revisions only: it ends where the next one would begin.
            Some(Step { revision: last, .. }) if full => {
                let last = *last;
                return Ok((steps, last));
            }
            _ => steps.push(Step {
                revision: Revision(revision),
                changes: vec![changed],
            }),
        }
    }
    Ok((steps, until))
}

impl<'txn> Batch<'txn> {
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        let (data, log) = (transaction.open_table(DATA)?, transaction.open_table(LOG)?);
        Ok(Self {
            data,
            log,
            meta: transaction.open_table(META)?,
        })
    }

    /// Applies one transaction as the revision after `head`, if its guards hold; and what it changed.
    pub(super) fn apply(
        &mut self,
        txn: &Txn,
        head: Revision,
    ) -> Result<(Commit, Option<Step>), redb::Error> {
        let mut found = Vec::new();
        let mut holds = true;
        for guard in &txn.guards {
            let (Guard::Absent(key) | Guard::ChangedAt(key, _)) = guard;
            let there = self
                .data
                .get(key.as_str())?
                .map(|value| entry(key, value.value()));
            holds &= match (guard, &there) {
                (Guard::Absent(_), there) => there.is_none(),
                (Guard::ChangedAt(_, at), there) => {
                    there.as_ref().is_some_and(|entry| entry.changed == *at)
                }
            };
            found.extend(there);
        }
        if !holds {
            return Ok((
                Commit::Refused {
                    revision: head,
                    found,
                },
                None,
            ));
        }
        let revision = head.next();
        let mut changes: Vec<Changed> = Vec::new();
        for write in &txn.writes {
            if let Some(changed) = self.write(write, revision)? {
                // Written twice in one transaction: the last counts.
                changes.retain(|before| before.key != changed.key);
                changes.push(changed);
            }
        }
        if changes.is_empty() {
            // Nothing but deletions of what is not there: no change, so no revision.
            return Ok((Commit::Done(head), None));
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        for Changed {
            key,
            value,
            created,
        } in &changes
        {
            self.log
                .insert((revision.0, key.as_str()), (created.0, value.as_deref()))?;
        }
        Ok((Commit::Done(revision), Some(Step { revision, changes })))
    }

    /// Notes how far the log reaches, and drops what is too old.
    pub(super) fn finish(&mut self, head: Revision) -> Result<(), redb::Error> {
        self.meta.insert("head", head.0)?;
        let oldest = (head.0 + 1).saturating_sub(LOG_REVISIONS_MAX).max(1);
        if oldest > number(&self.meta, "oldest")? {
            self.log.retain_in((0, "")..(oldest, ""), |_, _| false)?;
            self.meta.insert("oldest", oldest)?;
        }
        Ok(())
    }

    fn write(&mut self, write: &Write, revision: Revision) -> Result<Option<Changed>, redb::Error> {
        match write {
            Write::Put(key, value) => {
                let created = self
                    .data
                    .get(key.as_str())?
                    .map_or(revision.0, |value| value.value().0);
                self.data
                    .insert(key.as_str(), (created, revision.0, value.as_ref()))?;
                Ok(Some(Changed {
                    key: key.clone(),
                    value: Some(value.clone()),
                    created: Revision(created),
                }))
            }
            Write::Delete(key) => {
                let Some(created) = self.data.remove(key.as_str())?.map(|value| value.value().0)
                else {
                    return Ok(None);
                };
                Ok(Some(Changed {
                    key: key.clone(),
                    value: None,
                    created: Revision(created),
                }))
            }
        }
    }
}

fn number(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, redb::Error> {
    let missing = || redb::Error::Corrupted(format!("{name} is missing"));
    Ok(meta.get(name)?.ok_or_else(missing)?.value())
}

fn entry(key: &str, (created, changed, value): (u64, u64, &[u8])) -> Entry {
    let (created, changed) = (Revision(created), Revision(changed));
    Entry {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value),
        created,
        changed,
    }
}
