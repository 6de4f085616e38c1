//! The embedded store: the suite, and what only a file can suffer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_control_plane::store::embedded::{EmbeddedStore, OpenError};

use super::*;

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
