//! A cluster that asks who asks.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_let_in_by_password_and_nobody_else_is() {
    for version in BOTH {
        let Some(bench) = Bench::start(version, 1) else {
            return;
        };
        let ctl = |words: &[&str]| bench.etcd.ctl(0, words);
        ctl(&["user", "add", "root:secret"]);
        ctl(&["user", "grant-role", "root", "root"]);
        ctl(&["user", "add", "seawall:wall"]);
        ctl(&["role", "add", "planes"]);
        ctl(&[
            "role",
            "grant-permission",
            "planes",
            "--prefix=true",
            "readwrite",
            "/seawall",
        ]);
        ctl(&["user", "grant-role", "seawall", "planes"]);
        ctl(&["auth", "enable"]);
        let as_user = |user: Option<(&str, &str)>| bench.store_as(user);
        for stranger in [None, Some(("seawall", "wrong")), Some(("nobody", "wall"))] {
            let refused = as_user(stranger).head().await.err();
            let unavailable = matches!(refused, Some(StoreError::Unavailable(_)));
            assert!(unavailable, "{version:?} {stranger:?}: {refused:?}");
        }
        let store = as_user(Some(("seawall", "wall")));
        let written = write(&store, [put("/seawall/v1/a", 1)]).await;
        let before = Revision(written.0 - 1);
        let mut follow = store.follow("/seawall", before).await.unwrap();
        until(&mut follow, written).await;
        // What is not its own it may neither read nor write.
        let refused = store.read("/else").await.err();
        let Some(StoreError::Unavailable(why)) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.contains("permission denied"), "{why}");
    }
}
