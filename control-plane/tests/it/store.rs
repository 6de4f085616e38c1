//! What every store promises: one list of cases, and each implementation held to it.
//!
//! A case knows the trait only. It writes below a prefix of its own and expects of revisions only that they rise,
//! so that a store may be shared with others.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use seawall_config::Revision;
use seawall_control_plane::store::{
    Commit, Entry, Follow, Guard, Step, Store, StoreError, TXN_BYTES_MAX, Txn, View, Write,
};

use crate::support::CAP;

mod embedded;
mod etcd;
mod following;

use following::*;

/// Makes a test of each case, for one implementation. `$open` gives a store, and what must outlive it.
macro_rules! conformance {
    ($open:expr) => {
        $crate::store::conformance! { $open =>
            revisions_rise_and_none_acknowledged_is_newer_than_the_head
            no_update_is_lost_by_many_writers_of_one_key
            a_guard_holds_or_refuses
            a_refused_transaction_writes_nothing_and_says_what_is_there
            a_read_shows_one_revision_however_many_write
            a_read_is_in_key_order_and_ends_with_its_prefix
            a_key_is_created_once_until_it_is_deleted
            deleting_what_is_not_there_is_no_change
            of_several_writes_to_one_key_the_last_is_done
            a_follower_gets_every_revision_whole_wherever_it_begins
            a_follower_sees_what_is_below_its_prefix_and_nothing_else
            a_follower_ahead_of_the_store_gets_what_comes_after
            a_follower_that_leaves_disturbs_nobody
            a_transaction_that_is_too_large_is_refused
        }
    };
    ($open:expr => $($case:ident)*) => {
        mod conformance {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (store, _outlives) = $open;
                    $crate::store::$case(store).await;
                }
            )*
        }
    };
}
use conformance;

async fn revisions_rise_and_none_acknowledged_is_newer_than_the_head(store: Arc<dyn Store>) {
    let mut newest = store.head().await.unwrap();
    for n in 0..20 {
        let revision = write(&*store, [put("/rise/a", n)]).await;
        assert!(revision > newest, "{revision} after {newest}");
        assert!(store.head().await.unwrap() >= revision);
        let view = store.read("/rise/").await.unwrap();
        assert!(view.revision >= revision);
        assert_eq!(view.entries[0].changed, revision);
        newest = revision;
    }
}

async fn no_update_is_lost_by_many_writers_of_one_key(store: Arc<dyn Store>) {
    const WRITERS: u64 = 8;
    const UPDATES: u64 = 25;
    let key = "/count/n";
    let first = write(&*store, [put(key, 0)]).await;
    let count = |store: Arc<dyn Store>| async move {
        for _ in 0..UPDATES {
            let view = store.read(key).await.unwrap();
            let mut seen = view.entries[0].clone();
            // A refusal says what is there, so nothing has to be read again.
            while let Commit::Refused { found, .. } = store
                .commit(Txn {
                    guards: vec![Guard::ChangedAt(key.into(), seen.changed)],
                    writes: vec![put(key, number(&seen.value) + 1)],
                })
                .await
                .unwrap()
            {
                assert!(found[0].changed > seen.changed);
                seen = found[0].clone();
            }
        }
    };
    join((0..WRITERS).map(|_| count(store.clone()))).await;
    let view = store.read(key).await.unwrap();
    assert_eq!(number(&view.entries[0].value), WRITERS * UPDATES);
    assert_eq!(view.entries[0].created, first);
}

async fn a_guard_holds_or_refuses(store: Arc<dyn Store>) {
    let old = write(&*store, [put("/guard/there", 1), put("/guard/gone", 1)]).await;
    let new = write(&*store, [put("/guard/there", 2), delete("/guard/gone")]).await;
    let absent = |key: &str| Guard::Absent(format!("/guard/{key}"));
    let changed = |key: &str, revision| Guard::ChangedAt(format!("/guard/{key}"), revision);
    let check = async |guards: Vec<Guard>, holds: bool| {
        let txn = Txn {
            guards: guards.clone(),
            writes: vec![put("/guard/written", 1)],
        };
        let done = matches!(store.commit(txn).await.unwrap(), Commit::Done(_));
        assert_eq!(done, holds, "{guards:?}");
    };
    check(vec![], true).await;
    check(vec![absent("never")], true).await;
    check(vec![absent("gone")], true).await;
    check(vec![absent("there")], false).await;
    check(vec![changed("there", new)], true).await;
    check(vec![changed("there", old)], false).await;
    check(vec![changed("there", new.next())], false).await;
    check(vec![changed("gone", new)], false).await;
    check(vec![changed("never", new)], false).await;
    check(vec![changed("never", Revision(0))], false).await;
    check(vec![changed("there", new), absent("never")], true).await;
    check(vec![changed("there", new), absent("there")], false).await;
    check(vec![absent("there"), changed("there", new)], false).await;
}

async fn a_refused_transaction_writes_nothing_and_says_what_is_there(store: Arc<dyn Store>) {
    let there = write(&*store, [put("/refused/a", 1), put("/refused/b", 2)]).await;
    let before = store.read("/refused/").await.unwrap();
    let txn = Txn {
        guards: vec![
            Guard::ChangedAt("/refused/a".into(), there),
            Guard::Absent("/refused/b".into()),
            Guard::Absent("/refused/c".into()),
        ],
        writes: vec![
            put("/refused/a", 7),
            delete("/refused/b"),
            put("/refused/c", 7),
        ],
    };
    let Commit::Refused { revision, found } = store.commit(txn).await.unwrap() else {
        panic!("b is there");
    };
    assert!(revision >= there);
    assert_eq!(found, before.entries);
    assert_eq!(
        store.read("/refused/").await.unwrap().entries,
        before.entries
    );
    let last = write(&*store, [put("/refused/end", 0)]).await;
    let steps = until(&mut store.follow("/refused/", there).await.unwrap(), last).await;
    assert_eq!(
        revisions(&steps),
        [last],
        "what was refused is not followed"
    );
}

async fn a_read_shows_one_revision_however_many_write(store: Arc<dyn Store>) {
    // More than are read at once.
    let keys: Vec<String> = (0..100).map(|n| format!("/one/{n:02}")).collect();
    let all = |value: u64| {
        keys.iter()
            .map(move |key| put(key, value))
            .collect::<Vec<_>>()
    };
    write(&*store, all(0)).await;
    let writing = async {
        for value in 1..=50 {
            write(&*store, all(value)).await;
        }
    };
    let reading = async {
        let mut value = 0;
        while value < 50 {
            let view = store.read("/one/").await.unwrap();
            assert_eq!(view.entries.len(), keys.len());
            let first = &view.entries[0];
            assert!(view.revision >= first.changed && number(&first.value) >= value);
            let same =
                |entry: &Entry| (&entry.value, entry.changed) == (&first.value, first.changed);
            assert!(view.entries.iter().all(same), "{view:?}");
            value = number(&first.value);
        }
    };
    tokio::time::timeout(CAP, async { tokio::join!(writing, reading) })
        .await
        .expect("an end");
}

async fn a_read_is_in_key_order_and_ends_with_its_prefix(store: Arc<dyn Store>) {
    let keys = [
        "/p/", "/p/a", "/p/a/", "/p/a/b", "/p/a0", "/p/ab", "/p/b", "/p/é", "/p/éa", "/p0",
    ];
    for key in keys.iter().rev() {
        write(&*store, [put(key, 1)]).await;
    }
    let check = async |prefix: &str, expect: &[&str]| {
        let view = store.read(prefix).await.unwrap();
        let read: Vec<&str> = view
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        assert_eq!(read, expect, "{prefix}");
    };
    check("/p", &keys).await;
    check("/p/", &keys[..9]).await;
    check("/p/a", &keys[1..6]).await;
    check("/p/a/", &keys[2..4]).await;
    check("/p/b", &["/p/b"]).await;
    check("/p/b/", &[]).await;
    check("/p/é", &["/p/é", "/p/éa"]).await;
    check("/p0", &["/p0"]).await;
}

async fn a_key_is_created_once_until_it_is_deleted(store: Arc<dyn Store>) {
    let begin = store.head().await.unwrap();
    let key = "/created/a";
    let first = write(&*store, [put(key, 1)]).await;
    let second = write(&*store, [put(key, 2)]).await;
    assert_eq!(one(&*store, key).await, (first, second));
    let third = write(&*store, [delete(key)]).await;
    assert_eq!(store.read(key).await.unwrap().entries, []);
    let fourth = write(&*store, [put(key, 4)]).await;
    assert_eq!(one(&*store, key).await, (fourth, fourth));
    let steps = until(&mut store.follow(key, begin).await.unwrap(), fourth).await;
    let created: Vec<_> = steps.iter().map(|step| step.changes[0].created).collect();
    assert_eq!(revisions(&steps), [first, second, third, fourth]);
    assert_eq!(created, [first, first, first, fourth]);
}

async fn deleting_what_is_not_there_is_no_change(store: Arc<dyn Store>) {
    let before = write(&*store, [put("/nothing/a", 1)]).await;
    for writes in [vec![], vec![delete("/nothing/b"), delete("/nothing/c")]] {
        let done = write(&*store, writes).await;
        assert!(done >= before && done <= store.head().await.unwrap());
    }
    let last = write(&*store, [delete("/nothing/b"), put("/nothing/a", 2)]).await;
    let steps = until(&mut store.follow("/nothing/", before).await.unwrap(), last).await;
    assert_eq!(
        contents(&steps),
        [(last, vec![("/nothing/a".into(), Some(2))])]
    );
}

async fn of_several_writes_to_one_key_the_last_is_done(store: Arc<dyn Store>) {
    let first = write(&*store, [put("/last/kept", 1), put("/last/gone", 1)]).await;
    let second = write(
        &*store,
        [
            put("/last/new", 1),
            put("/last/new", 2),
            delete("/last/kept"),
            put("/last/kept", 2),
            put("/last/gone", 2),
            delete("/last/gone"),
            put("/last/never", 2),
            delete("/last/never"),
        ],
    )
    .await;
    assert_eq!(one(&*store, "/last/new").await, (second, second));
    assert_eq!(one(&*store, "/last/kept").await, (first, second));
    let steps = until(&mut store.follow("/last/", first).await.unwrap(), second).await;
    let changes = [("gone", None), ("kept", Some(2)), ("new", Some(2))];
    let changes = changes.map(|(key, value)| (format!("/last/{key}"), value));
    assert_eq!(contents(&steps), [(second, changes.to_vec())]);
}

async fn a_transaction_that_is_too_large_is_refused(store: Arc<dyn Store>) {
    let key = "/large/a";
    let largest = TXN_BYTES_MAX - key.len();
    let value = |bytes: usize| Bytes::from(vec![7; bytes]);
    let check = async |txn: Txn, bytes: usize| {
        let expect = (bytes > TXN_BYTES_MAX).then_some(StoreError::TooLarge { bytes });
        assert_eq!(store.commit(txn).await.err(), expect, "{bytes} bytes");
    };
    let writes = vec![Write::Put(key.into(), value(largest))];
    check(
        Txn {
            writes,
            ..Txn::default()
        },
        TXN_BYTES_MAX,
    )
    .await;
    let before = store.read("/large/").await.unwrap().entries;
    assert_eq!(before[0].value.len(), largest);
    let writes = vec![Write::Put(key.into(), value(largest + 1))];
    check(
        Txn {
            writes,
            ..Txn::default()
        },
        TXN_BYTES_MAX + 1,
    )
    .await;
    let writes = vec![Write::Put(key.into(), value(largest)), delete("/b")];
    check(
        Txn {
            writes,
            ..Txn::default()
        },
        TXN_BYTES_MAX + 2,
    )
    .await;
    let writes = vec![Write::Put(key.into(), value(largest))];
    let guards = vec![Guard::Absent("/c".into())];
    check(Txn { guards, writes }, TXN_BYTES_MAX + 2).await;
    assert_eq!(store.read("/large/").await.unwrap().entries, before);
}

fn put(key: &str, value: u64) -> Write {
    Write::Put(key.into(), value.to_string().into())
}

fn delete(key: &str) -> Write {
    Write::Delete(key.into())
}

fn number(value: &Bytes) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// Writes without a guard.
async fn write(store: &dyn Store, writes: impl IntoIterator<Item = Write>) -> Revision {
    let txn = Txn {
        guards: Vec::new(),
        writes: writes.into_iter().collect(),
    };
    match store.commit(txn).await.unwrap() {
        Commit::Done(revision) => revision,
        refused => panic!("{refused:?} without a guard"),
    }
}

/// When the one key there is was created and last changed.
async fn one(store: &dyn Store, key: &str) -> (Revision, Revision) {
    let View { entries, .. } = store.read(key).await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    (entries[0].created, entries[0].changed)
}

/// All steps up to one that must come.
async fn until(follow: &mut Follow, last: Revision) -> Vec<Arc<Step>> {
    let mut steps: Vec<Arc<Step>> = Vec::new();
    while steps.last().is_none_or(|step| step.revision < last) {
        let step = tokio::time::timeout(CAP, follow.next())
            .await
            .expect("a step in time");
        steps.push(step.expect("the store is open").unwrap());
    }
    steps
}

fn revisions(steps: &[Arc<Step>]) -> Vec<Revision> {
    steps.iter().map(|step| step.revision).collect()
}

/// What was made of which keys; None is a deletion.
type Content = Vec<(String, Option<u64>)>;

/// Each revision, and what it was.
fn contents(steps: &[Arc<Step>]) -> Vec<(Revision, Content)> {
    let changes = |step: &Step| {
        let changes = step.changes.iter();
        changes
            .map(|changed| (changed.key.clone(), changed.value.as_ref().map(number)))
            .collect()
    };
    steps
        .iter()
        .map(|step| (step.revision, changes(step)))
        .collect()
}

/// All at once, each a task of its own.
async fn join<F>(tasks: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(
            tokio::time::timeout(CAP, task)
                .await
                .expect("an end")
                .unwrap(),
        );
    }
    ended
}
