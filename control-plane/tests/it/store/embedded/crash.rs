//! `kill -9` at any moment: what was acknowledged is there, and the history goes on.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "SEAWALL_TEST_STORE";
const CHILD: &str = "store::embedded::crash::writes_until_it_is_killed";
const ROUNDS: u64 = 6;
const WRITERS: u64 = 8;

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let folder = Folder::new();
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let before = acknowledged.keys().next_back().copied().unwrap_or_default();
        // A different number each time, so that it meets the writer in different places.
        let of_this_round = kill_after(&folder, 20 + 37 * round);
        let first = of_this_round.keys().next().copied().unwrap();
        assert!(first > before, "revisions go on: {first} after {before}");
        acknowledged.extend(of_this_round);

        let store = folder.open();
        let view = store.read("/crash/").await.unwrap();
        let there = view
            .entries
            .into_iter()
            .map(|entry| (entry.changed, entry.key));
        let there: BTreeMap<_, _> = there.collect();
        for (revision, key) in &acknowledged {
            assert_eq!(there.get(revision), Some(key), "round {round}");
        }
        // Each wrote a key of its own: so the log and the data must say the same, to the last row.
        let mut follow = store.follow("/crash/", Revision(0)).await.unwrap();
        let steps = until(&mut follow, view.revision).await;
        let followed = steps
            .iter()
            .map(|step| (step.revision, step.changes[0].key.clone()));
        assert_eq!(followed.collect::<BTreeMap<_, _>>(), there);
        assert!(
            there.keys().map(|at| at.0).eq(1..=view.revision.0),
            "none is skipped"
        );
    }
}

/// Kills a child with SIGKILL once it has acknowledged so many writes: each revision, and its key.
fn kill_after(folder: &Folder, count: u64) -> BTreeMap<Revision, String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env(FOLDER, &folder.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut acknowledged, mut line) = (BTreeMap::new(), String::new());
    // What it said before it died counts, also what is only read afterwards; half a line does not.
    while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        if let Some((_, said)) = line.trim_end().split_once("acknowledged ") {
            let (revision, key) = said.split_once(' ').unwrap();
            acknowledged.insert(Revision(revision.parse().unwrap()), key.to_owned());
            if acknowledged.len() as u64 == count {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    assert!(
        acknowledged.len() as u64 >= count,
        "it ended by itself: {status}"
    );
    acknowledged
}

#[tokio::test]
#[ignore = "the child of a_killed_process_loses_nothing_that_it_acknowledged"]
async fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return; // someone asked for all that is ignored
    };
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder.as_ref()).unwrap());
    let process = std::process::id();
    let writers = (0..WRITERS).map(async |writer| {
        for n in 0u64.. {
            let key = format!("/crash/{process}/{writer}/{n}");
            // Of very different sizes, so that a write in hand is seldom a single page.
            let value = vec![7; 1 << (n % 16)];
            let writes = vec![Write::Put(key.clone(), value.into())];
            let done = store
                .commit(Txn {
                    writes,
                    ..Txn::default()
                })
                .await
                .unwrap();
            let Commit::Done(revision) = done else {
                unreachable!("no guard")
            };
            let line = format!("acknowledged {revision} {key}\n");
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
    });
    futures::future::join_all(writers).await;
}
