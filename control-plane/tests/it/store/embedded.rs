//! The embedded store: the suite, and what only a file can suffer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_control_plane::store::embedded::{EmbeddedStore, OpenError};

use super::*;

mod crash;
mod damage;
mod disk_full;

super::conformance!({
    let folder = Folder::new();
    (folder.open(), folder)
});

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let folder = Folder::new();
    let store = folder.open();
    let epoch = store.epoch();
    let first = write(&*store, [put("/a", 1), put("/b", 1)]).await;
    let second = write(&*store, [put("/a", 2), delete("/b")]).await;
    let view = store.read("").await.unwrap();
    drop(store);
    let store = folder.open();
    assert_eq!(store.epoch(), epoch);
    assert_eq!(store.head().await.unwrap(), second);
    assert_eq!(store.read("").await.unwrap(), view);
    let third = write(&*store, [put("/b", 3)]).await;
    assert_eq!(third, second.next());
    let mut follow = store.follow("", Revision(0)).await.unwrap();
    let steps = until(&mut follow, third).await;
    assert_eq!(
        contents(&steps),
        [
            (first, vec![("/a".into(), Some(1)), ("/b".into(), Some(1))]),
            (second, vec![("/a".into(), Some(2)), ("/b".into(), None)]),
            (third, vec![("/b".into(), Some(3))]),
        ]
    );
}

#[tokio::test]
async fn a_follower_ends_when_the_store_closes() {
    let folder = Folder::new();
    let store = folder.open();
    let last = write(&*store, [put("/a", 1)]).await;
    let mut follow = store.follow("", Revision(0)).await.unwrap();
    until(&mut follow, last).await;
    drop(store);
    let end = tokio::time::timeout(CAP, follow.next())
        .await
        .expect("an end");
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn a_folder_has_one_store_at_a_time() {
    let folder = Folder::new();
    let store = folder.open();
    let refused = EmbeddedStore::open(&folder.0).err().expect("a refusal");
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    let expect = format!(
        "{} is in use by another seawall process",
        folder.file().display()
    );
    assert_eq!(refused.to_string(), expect);
    write(&*store, [put("/a", 1)]).await;
    drop(store);
    folder.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_before_what_the_log_keeps_is_compacted() {
    const LOG_REVISIONS_MAX: u64 = 100_000;
    // Less than may wait for the disk at once.
    const AT_ONCE: u64 = 2_000;
    let folder = Folder::new();
    let store = folder.open();
    let first = write(&*store, [put("/a", 0)]).await;
    let mut slow = store.follow("", Revision(0)).await.unwrap();
    until(&mut slow, first).await;
    let mut newest = first;
    while newest.0 < LOG_REVISIONS_MAX + AT_ONCE {
        let writing = |n| {
            let store = store.clone();
            async move { write(&*store, [put("/a", n)]).await }
        };
        let before = newest;
        newest = *join((0..AT_ONCE).map(writing)).await.iter().max().unwrap();
        assert_eq!(newest.0, before.0 + AT_ONCE);
    }
    let oldest = Revision(newest.0 + 1 - LOG_REVISIONS_MAX);
    let compacted = Some(StoreError::Compacted { oldest });
    assert_eq!(store.follow("", Revision(0)).await.err(), compacted);
    assert_eq!(
        store.follow("", Revision(oldest.0 - 2)).await.err(),
        compacted
    );
    let mut follow = store.follow("", Revision(oldest.0 - 1)).await.unwrap();
    let steps = until(&mut follow, newest).await;
    assert!(
        revisions(&steps)
            .into_iter()
            .map(|at| at.0)
            .eq(oldest.0..=newest.0)
    );
    // Who was too slow gets what was on its way to it, and then the reason.
    let mut next = first.next();
    let reason = loop {
        match tokio::time::timeout(CAP, slow.next())
            .await
            .expect("a step in time")
        {
            Some(Ok(step)) => {
                assert_eq!(step.revision, next);
                next = next.next();
            }
            end => break end,
        }
    };
    assert!(
        next < oldest,
        "it was given {next}, which the log had forgotten"
    );
    assert!(
        matches!(reason, Some(Err(StoreError::Compacted { .. }))),
        "{reason:?}"
    );
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-store-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(EmbeddedStore::open(&self.0).unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.join("store.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
