//! A full disk: writes fail and say so, reads and followers go on, and with room all is as before.

use std::io::Write as _;
use std::process::Command;

use super::*;
use crate::aside::say;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_writes_only_and_is_recovered_from() {
    let Some(disk) = Disk::mount() else { return };
    let store = disk.0.open();
    let mut live = store.follow("", Revision(0)).await.unwrap();
    // Reads all the while, also at the very moment a write fails.
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let reading = tokio::spawn({
        let store = store.clone();
        async move {
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                store.read("").await.unwrap();
            }
        }
    });
    for round in 0..3 {
        let before = write(
            &*store,
            (0..5).map(|n| put(&format!("/full/{round}/before/{n}"), n)),
        )
        .await;
        disk.fill();
        let (last, error) = write_until_it_fails(&*store, round).await;
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(
            error.to_string().contains("No space left on device"),
            "{error}"
        );
        // Nothing of it was written, and all that was is still read.
        let view = store.read("/full/").await.unwrap();
        assert!(last >= before && view.entries.len() as u64 >= 5 * (round + 1));
        assert_eq!(view.revision, last);
        assert_eq!(store.head().await.unwrap(), last);
        let mut past = store.follow("", Revision(0)).await.unwrap();
        assert_eq!(until(&mut past, last).await.len() as u64, last.0);

        disk.make_room();
        let after = write(&*store, [put("/room", round)]).await;
        assert_eq!(after, last.next());
        assert_eq!(store.read("/full/").await.unwrap().entries, view.entries);
    }
    stop.send(()).unwrap();
    tokio::time::timeout(CAP, reading)
        .await
        .expect("an end")
        .unwrap();
    let head = store.head().await.unwrap();
    let steps = until(&mut live, head).await;
    assert!(
        revisions(&steps).into_iter().map(|at| at.0).eq(1..=head.0),
        "none twice or skipped"
    );
    let view = store.read("").await.unwrap();
    drop(store);
    assert_eq!(disk.0.open().read("").await.unwrap(), view);
}

#[test]
fn a_store_that_finds_no_room_says_so_and_begins_when_there_is() {
    let Some(disk) = Disk::mount() else { return };
    disk.fill();
    let refused = EmbeddedStore::open(&disk.0.0).err().expect("no room");
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
    assert!(
        refused.to_string().contains("No space left on device"),
        "{refused}"
    );
    disk.make_room();
    disk.0.open();
}

/// The last revision that was written, and why there were no more.
async fn write_until_it_fails(store: &dyn Store, round: u64) -> (Revision, StoreError) {
    let mut last = store.head().await.unwrap();
    // Twice as much as the disk holds.
    for n in 0..1_000 {
        let writes = vec![Write::Put(
            format!("/full/{round}/{n}"),
            vec![7; 20_000].into(),
        )];
        match store
            .commit(Txn {
                writes,
                ..Txn::default()
            })
            .await
        {
            Ok(Commit::Done(revision)) => last = revision,
            Ok(refused) => panic!("{refused:?} without a guard"),
            Err(error) => return (last, error),
        }
    }
    panic!("a small disk took everything")
}

/// A small disk of its own.
struct Disk(Folder);

impl Disk {
    /// None, and why is printed, where this may not be done.
    fn mount() -> Option<Self> {
        let folder = Folder::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "seawall-test"]);
        match mount.arg(&folder.0).output() {
            Ok(output) if output.status.success() => Some(Self(folder)),
            refused => {
                say(&format!(
                    "NOT TESTED: a full disk, because mounting a small one needs root: {refused:?}"
                ));
                None
            }
        }
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.0.0.join("filler")).unwrap();
        let mut bytes = 1 << 20;
        while bytes > 0 {
            if filler.write_all(&vec![7; bytes]).is_err() {
                bytes /= 2;
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failing test may still have the store open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0.0).status();
    }
}
