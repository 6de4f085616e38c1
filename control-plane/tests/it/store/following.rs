//! What every store promises to its followers.

use super::*;

pub(super) async fn a_follower_gets_every_revision_whole_wherever_it_begins(store: Arc<dyn Store>) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 60;
    let begin = store.head().await.unwrap();
    // Each writes two keys at a time, so that half a revision would show.
    let writer = |store: Arc<dyn Store>, writer: u64| async move {
        let mut written = BTreeMap::new();
        for n in 0..EACH {
            let keys = [format!("/every/{writer}/a"), format!("/every/{writer}/b")];
            let revision = write(&*store, keys.iter().map(|key| put(key, n))).await;
            written.insert(revision, keys.map(|key| (key, Some(n))).to_vec());
        }
        written
    };
    let half = |store: Arc<dyn Store>, from: u64| async move {
        let writers = (from..from + WRITERS).map(|n| writer(store.clone(), n));
        join(writers)
            .await
            .into_iter()
            .flatten()
            .collect::<BTreeMap<_, _>>()
    };
    let mut from_begin = store.follow("/every/", begin).await.unwrap();
    let mut written = half(store.clone(), 0).await;
    let middle = *written.keys().nth(written.len() / 2).unwrap();
    // These begin while others write: where history ends and the present begins, nothing is lost.
    let writing = tokio::spawn(half(store.clone(), WRITERS));
    let mut from_middle = store.follow("/every/", middle).await.unwrap();
    let now = store.head().await.unwrap();
    let mut from_now = store.follow("/every/", now).await.unwrap();
    written.extend(writing.await.unwrap());
    let last = *written.keys().next_back().unwrap();
    for (follow, after) in [
        (&mut from_begin, begin),
        (&mut from_middle, middle),
        (&mut from_now, now),
    ] {
        let expect: Vec<_> = written
            .clone()
            .into_iter()
            .filter(|(at, _)| *at > after)
            .collect();
        let steps = if expect.is_empty() {
            vec![]
        } else {
            until(follow, last).await
        };
        assert_eq!(contents(&steps), expect, "after {after}");
    }
}

pub(super) async fn a_follower_sees_what_is_below_its_prefix_and_nothing_else(
    store: Arc<dyn Store>,
) {
    let begin = store.head().await.unwrap();
    let mut live = store.follow("/below/a/", begin).await.unwrap();
    let first = write(
        &*store,
        [
            put("/below/a/x", 1),
            put("/below/a0", 1),
            put("/below/a", 1),
        ],
    )
    .await;
    write(&*store, [put("/below/b/x", 2)]).await;
    write(&*store, [put("/below/a", 3), delete("/below/a0")]).await;
    let last = write(&*store, [delete("/below/a/x"), put("/below/a/y", 4)]).await;
    let expect = [
        (first, vec![("/below/a/x".into(), Some(1))]),
        (
            last,
            vec![("/below/a/x".into(), None), ("/below/a/y".into(), Some(4))],
        ),
    ];
    let mut past = store.follow("/below/a/", begin).await.unwrap();
    for follow in [&mut live, &mut past] {
        assert_eq!(contents(&until(follow, last).await), expect);
    }
}

pub(super) async fn a_follower_ahead_of_the_store_gets_what_comes_after(store: Arc<dyn Store>) {
    let ahead = store.head().await.unwrap().next();
    let mut follow = store.follow("/ahead/", ahead).await.unwrap();
    let mut written = Vec::new();
    for n in 0..3 {
        written.push(write(&*store, [put("/ahead/a", n)]).await);
    }
    let steps = until(&mut follow, written[2]).await;
    written.retain(|revision| *revision > ahead);
    assert_eq!(revisions(&steps), written);
}

pub(super) async fn a_follower_that_leaves_disturbs_nobody(store: Arc<dyn Store>) {
    let begin = store.head().await.unwrap();
    let mut stays = store.follow("/leaves/", begin).await.unwrap();
    let mut written = Vec::new();
    for n in 0..10 {
        let leaves = store.follow("/leaves/", begin).await.unwrap();
        written.push(write(&*store, [put("/leaves/a", n)]).await);
        drop(leaves);
    }
    assert_eq!(revisions(&until(&mut stays, written[9]).await), written);
}
