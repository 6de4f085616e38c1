use seawall_config::scope::Target;
use seawall_config::{Epoch, Mode, Revision, Scope};

use super::super::retention::{RECORDS_MAX, RETAINED_MS};
use super::*;
use crate::store::{Changed, Entry, Step, View};

fn entry(key: &str, value: impl Into<bytes::Bytes>, revision: u64) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.into(),
        created: Revision(revision),
        changed: Revision(revision),
    }
}

fn holding(entries: Vec<Entry>) -> State {
    let revision = entries.iter().map(|entry| entry.changed).max();
    let revision = revision.unwrap_or_default();
    let view = View { revision, entries };
    State::new(Epoch(1), &view, revision, 0)
}

/// What was due, as the store does it where every guard holds: how many transactions that was.
fn commit(state: &mut State, due: impl IntoIterator<Item = Txn>) -> usize {
    let mut count = 0;
    for txn in due {
        commit_one(state, &txn);
        count += 1;
    }
    count
}

fn commit_one(state: &mut State, txn: &Txn) {
    for guard in &txn.guards {
        let holds = match guard {
            Guard::Absent(key) => state.known.changed(key).is_none(),
            Guard::ChangedAt(key, revision) => state.known.changed(key) == Some(*revision),
        };
        assert!(holds, "{guard:?}");
    }
    let revision = state.followed.next();
    let changed = |write: &Write| {
        let (key, value) = match write {
            Write::Put(key, value) => (key, Some(value.clone())),
            Write::Delete(key) => (key, None),
        };
        Changed {
            key: key.clone(),
            value,
            created: revision,
        }
    };
    let changes = txn.writes.iter().map(changed).collect();
    state.apply(&Step { revision, changes }, 0);
}

fn urls(host: &str, revisions: impl Iterator<Item = u64>) -> Vec<Entry> {
    let purge = |revision| {
        let target = Target {
            scheme: None,
            host: host.to_owned(),
            path: format!("/{revision}"),
        };
        let record = PurgeRecord {
            scopes: vec![Scope::Url(target)],
            ..PurgeRecord::unreadable()
        };
        let id = format!("{revision:08}");
        entry(&keys::purge(&id), encode(&record), revision)
    };
    revisions.map(purge).collect()
}

#[test]
fn a_host_that_is_purged_without_end_is_purged_whole_and_no_floor_rises() {
    let few = 1_000;
    let mut entries = urls("quiet.test", 1..=few);
    entries.extend(urls("busy.test", few + 1..=RECORDS_MAX as u64 + 1));
    let mut state = holding(entries);
    // Now, so that none is old.
    let due = fold(&state, 0);
    assert_eq!(commit(&mut state, due), 1);
    let newest = state.purges.iter().last();
    let newest = newest.map(|(_, purge)| (purge.record.mode, &purge.record.scopes[..]));
    let host = [Scope::Host("busy.test".into())];
    assert_eq!(newest, Some((Mode::Hard, &host[..])));
    let due = covered_at_once(&state);
    assert!(
        due.iter()
            .all(|txn| txn.writes.len() <= FORGOTTEN_AT_ONCE_MAX)
    );
    commit(&mut state, due);
    assert_eq!(state.purges.len(), few as usize + 1);
    assert_eq!(state.floor, Revision::default());
    assert!(fold(&state, 0).is_none() && covered_at_once(&state).is_empty());
    assert!(forget(&state, 0, RETAINED_MS).is_none());
}

#[test]
fn what_a_hand_wrote_over_is_written_over() {
    let written = |key: &str, value: &'static str| holding(vec![entry(key, value, 7)]);
    let mut state = written(keys::BEACON, "not a beacon");
    assert!(state.beacon.is_none());
    let due = beacon(&state, false, 0, 0);
    assert_eq!(commit(&mut state, due), 1);
    assert!(state.beacon.is_some());

    for floor in ["nonsense", "18446744073709551615", "-1"] {
        let state = written(keys::FLOOR, floor);
        assert_eq!(state.floor, Revision(7), "{floor}");
    }
    let mut state = written(keys::FLOOR, "6");
    assert_eq!(state.floor, Revision(6));
    let lower = Txn {
        guards: Vec::new(),
        writes: vec![Write::Put(keys::FLOOR.into(), "2".into())],
    };
    commit(&mut state, [lower]);
    assert_eq!(
        state.floor,
        Revision(6),
        "what was forgotten stays forgotten"
    );
}

#[test]
fn a_purge_that_a_hand_wrote_over_purges_everything() {
    let mut state = holding(urls("a.test", 1..=2));
    // Created long ago, and changed now.
    let revision = state.followed.next();
    let changes = vec![Changed {
        key: keys::purge("00000001"),
        value: Some("{}".into()),
        created: Revision(1),
    }];
    state.apply(&Step { revision, changes }, 0);
    assert_eq!(state.purges.len(), 2);
    let newest = state.purges.get(revision);
    let scopes = newest.map(|purge| &purge.record.scopes[..]);
    assert_eq!(scopes, Some(&[Scope::Everything][..]));
}
