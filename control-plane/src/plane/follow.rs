//! The task that follows the store: the only one that changes what the plane knows of it.

use std::sync::Arc;

use seawall_config::Revision;
use seawall_config::feed::BEACON_MS;

use super::state::State;
use super::{Plane, STORE_TIMEOUT};
use crate::keys;
use crate::store::{Follow, Step, Store, StoreError, View};

/// Where the store's history begins may move on while it is being found.
const BEGINNINGS_TRIED_MAX: usize = 4;

/// Everything the store holds, the tail as far back as the store remembers, and what follows.
pub(super) async fn load(store: &dyn Store, now_ms: u64) -> Result<(State, Follow), StoreError> {
    let view = store.read(keys::ROOT).await?;
    let mut begins = Revision::default();
    for _ in 0..BEGINNINGS_TRIED_MAX {
        match load_from(store, &view, begins, now_ms).await {
            // The history begins with `oldest`: it comes after the revision before.
            Err(StoreError::Compacted { oldest }) => {
                begins = Revision(oldest.0.saturating_sub(1)).max(begins.next());
            }
            loaded => return loaded,
        }
    }
    // The store forgets faster than this reads.
    load_from(store, &view, view.revision, now_ms).await
}

async fn load_from(
    store: &dyn Store,
    view: &View,
    begins: Revision,
    now_ms: u64,
) -> Result<(State, Follow), StoreError> {
    let mut state = State::new(store.epoch(), view, begins, now_ms);
    let watched = view
        .entries
        .iter()
        .filter(|entry| entry.key.starts_with(keys::WATCHED));
    let newest = watched.map(|entry| entry.changed).max().unwrap_or_default();
    let (mut history, mut reached) = (store.follow(keys::WATCHED, begins).await?, begins);
    // `newest` is there, so this ends.
    while reached < newest {
        let step = tokio::time::timeout(STORE_TIMEOUT, history.next()).await;
        let step = step
            .map_err(|_| super::no_answer())?
            .unwrap_or_else(|| Err(closed()))?;
        state.apply(&step, now_ms);
        reached = step.revision;
    }
    state.settle();
    // Steps that the view already shows, deletions, come once more and only go into the tail.
    Ok((state, store.follow(keys::ROOT, reached).await?))
}

/// Follows until the plane stops. When the store loses the thread, everything is read anew.
pub(super) async fn run(plane: Arc<Plane>, mut follow: Follow) {
    loop {
        let lost = tokio::select! {
            lost = until_lost(&plane, &mut follow) => lost,
            () = plane.signals.differs.notified() => differs(),
            () = plane.stopping() => return,
        };
        tracing::warn!(error = %lost, "the plane lost the store's log and reads it anew");
        follow = tokio::select! {
            follow = reload(&plane) => follow,
            () = plane.stopping() => return,
        };
    }
}

async fn until_lost(plane: &Plane, follow: &mut Follow) -> StoreError {
    loop {
        match follow.next().await {
            Some(Ok(step)) => plane.apply(&step),
            Some(Err(error)) => return error,
            None => return closed(),
        }
    }
}

async fn reload(plane: &Plane) -> Follow {
    loop {
        match plane.noted(load(&*plane.store, plane.clock.now_ms()).await) {
            Ok((state, follow)) => {
                plane.know(state);
                return follow;
            }
            Err(error) => {
                tracing::warn!(%error, "the store cannot be read");
                plane.clock.reach(plane.clock.now_ms() + BEACON_MS).await;
            }
        }
    }
}

fn differs() -> StoreError {
    StoreError::Unavailable("its log has left something out".into())
}

fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".into())
}

impl Plane {
    fn apply(&self, step: &Step) {
        let (followed, line) = {
            let mut state = self.state();
            state.apply(step, self.clock.now_ms());
            (state.followed, state.tail.newest())
        };
        self.answered();
        self.tell(followed, line);
    }

    /// All of it was read anew.
    fn know(&self, anew: State) {
        // What edges said here is lost with the old state, and they say it again each second.
        let (followed, line) = (anew.followed, anew.tail.newest());
        *self.state() = anew;
        self.answered();
        self.tell(followed, line);
    }

    fn tell(&self, followed: Revision, line: Revision) {
        self.metrics
            .revision
            .set(i64::try_from(followed.0).unwrap_or(i64::MAX));
        self.signals
            .lines
            .send_if_modified(|newest| std::mem::replace(newest, line) != line);
        self.signals.followed.send_replace(followed);
        self.signals.edges.send_replace(());
    }
}
