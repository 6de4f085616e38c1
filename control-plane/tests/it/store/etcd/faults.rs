//! Members that die, stop, or forget, while a store reads and writes.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_revision_is_lost_whichever_member_dies() {
    for version in BOTH {
        let Some(mut bench) = Bench::start(version, 3) else {
            return;
        };
        let store = bench.store();
        let begin = store.head().await.unwrap();
        let mut follow = following(&store, begin).await;
        let writer = Writer::start(bench.store());
        for member in [bench.etcd.leader(), 0, 1, 2] {
            bench.etcd.kill(member);
            writer.writes(5).await;
            bench.etcd.start_again(member);
            writer.writes(5).await;
        }
        let written = writer.stop().await;
        let last = *written.last().unwrap();
        let seen = revisions(&until(&mut follow, last).await);
        let missed: Vec<_> = written.iter().filter(|at| !seen.contains(at)).collect();
        assert!(missed.is_empty(), "{version:?}: {missed:?} were never told");
        assert!(seen.is_sorted(), "{version:?}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    let Some(mut bench) = Bench::start(Version::V3_5, 3) else {
        return;
    };
    let store = bench.store();
    let before = write(&store, [put("/seawall/v1/a", 1)]).await;
    let mut follow = following(&store, before).await;
    bench.etcd.kill(1);
    bench.etcd.kill(2);
    let txn = Txn {
        writes: vec![put("/seawall/v1/a", 2)],
        ..Txn::default()
    };
    let refused = store.commit(txn).await.err();
    let not_done = matches!(
        refused,
        Some(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
    );
    assert!(not_done, "{refused:?}");
    let unread = store.read("/seawall/").await.err();
    let unavailable = matches!(unread, Some(StoreError::Unavailable(_)));
    assert!(unavailable, "{unread:?}");
    bench.etcd.start_again(1);
    let after = commit_soon(&store, put("/seawall/v1/b", 3)).await;
    let steps = until(&mut follow, after).await;
    assert_eq!(steps.last().unwrap().revision, after);
    assert!(steps.first().unwrap().revision > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_falls_silent_without_an_error_is_left() {
    for version in BOTH {
        let Some(bench) = Bench::start(version, 3) else {
            return;
        };
        let store = bench.store();
        let begin = store.head().await.unwrap();
        let mut follow = following(&store, begin).await;
        let writer = Writer::start(bench.store());
        writer.writes(2).await;
        // Whichever member it watches: in its turn that one holds the connection and says nothing.
        for member in 0..3 {
            bench.etcd.stop(member);
            let newest = writer.writes(5).await;
            until(&mut follow, newest).await;
            bench.etcd.cont(member);
            let newest = writer.writes(5).await;
            until(&mut follow, newest).await;
        }
        writer.stop().await;
        let silences = bench.metric("etcd_watch_silences_total");
        assert!(silences >= 1, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_a_compaction_overtook_is_told_so() {
    for version in BOTH {
        // The compaction is at the very deletion that comes next, or behind it.
        for behind in [0, 2] {
            let Some(mut bench) = Bench::start(version, 3) else {
                return;
            };
            let (here, there) = (bench.store_at(&[0]), bench.store_at(&[1, 2]));
            let first = write(&there, [put("/seawall/v1/a", 1)]).await;
            let before = Revision(first.0 - 1);
            let mut follow = following(&here, before).await;
            until(&mut follow, first).await;
            bench.etcd.kill(0);
            let mut newest = commit_soon(&there, delete("/seawall/v1/a")).await;
            for n in 0..behind {
                newest = write(&there, [put("/seawall/v1/b", n)]).await;
            }
            bench.etcd.ctl(1, &["compact", &newest.0.to_string()]);
            bench.etcd.start_again(0);
            let told = tokio::time::timeout(CAP, follow.next()).await;
            let told = told.expect("a word in time").expect("an open store");
            let compacted = matches!(told, Err(StoreError::Compacted { .. }));
            assert!(compacted, "{version:?}, {behind} behind: {told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_that_was_compacted_begins_behind_the_compaction() {
    let Some(bench) = Bench::start(Version::V3_4, 1) else {
        return;
    };
    let store = bench.store();
    write(&store, [put("/seawall/v1/a", 1)]).await;
    let gone = write(&store, [delete("/seawall/v1/a")]).await;
    let last = write(&store, [put("/seawall/v1/b", 1)]).await;
    bench.etcd.ctl(0, &["compact", &gone.0.to_string()]);
    let mut follow = following(&store, Revision(0)).await;
    let told = tokio::time::timeout(CAP, follow.next()).await.unwrap();
    // The deletion itself may be missing there, so history begins behind it.
    let oldest = gone.next();
    assert_eq!(told.unwrap().err(), Some(StoreError::Compacted { oldest }));
    let mut follow = following(&store, gone).await;
    assert_eq!(revisions(&until(&mut follow, last).await), [last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_database_refuses_writes_and_is_read_on() {
    let quota = ["--quota-backend-bytes=16777216"];
    let Some(bench) = Bench::start_with(Version::V3_4, 1, &quota) else {
        return;
    };
    let store = bench.store();
    let value = Bytes::from(vec![7; 1_000_000]);
    let refused = loop {
        let writes = vec![Write::Put("/seawall/v1/a".into(), value.clone())];
        let txn = Txn {
            writes,
            ..Txn::default()
        };
        if let Err(error) = store.commit(txn).await {
            break error;
        }
    };
    let StoreError::Unavailable(why) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("space"), "{why}");
    assert_eq!(store.read("/seawall/v1/a").await.unwrap().entries.len(), 1);
}

/// Beacons, one after the other, as a plane writes them.
struct Writer {
    written: watch::Receiver<Vec<Revision>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Writer {
    fn start(store: EtcdStore) -> Self {
        let (send, written) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            for n in 0.. {
                if *stopped.borrow() {
                    return;
                }
                let txn = Txn {
                    writes: vec![put(keys::BEACON, n)],
                    ..Txn::default()
                };
                if let Ok(Commit::Done(revision)) = store.commit(txn).await {
                    send.send_modify(|written| written.push(revision));
                }
            }
        });
        Self {
            written,
            stop,
            task,
        }
    }

    /// Waits for so many more acknowledged writes: the newest.
    async fn writes(&self, count: usize) -> Revision {
        let mut written = self.written.clone();
        let goal = written.borrow().len() + count;
        let reached = written.wait_for(|written| written.len() >= goal);
        let reached = tokio::time::timeout(CAP, reached).await;
        *reached.expect("writes in time").unwrap().last().unwrap()
    }

    async fn stop(self) -> Vec<Revision> {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.written.borrow().clone()
    }
}

/// Writes until it is acknowledged, while a cluster finds itself again.
pub async fn commit_soon(store: &EtcdStore, write: Write) -> Revision {
    let tried = async {
        loop {
            let txn = Txn {
                writes: vec![write.clone()],
                ..Txn::default()
            };
            if let Ok(Commit::Done(revision)) = store.commit(txn).await {
                return revision;
            }
        }
    };
    tokio::time::timeout(CAP, tried).await.expect("in time")
}
