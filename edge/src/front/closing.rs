//! How a connection learns that the front is being drained.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

/// For one connection. To wait for it again and again costs a look at a number: the lock of who waits, which all
/// connections share, is taken once for each connection and not for each request.
pub(super) struct Closing {
    drained: watch::Receiver<bool>,
    /// Woken when it is; and who is woken.
    woken: Pin<Box<dyn Future<Output = ()> + Send>>,
    waker: Option<Waker>,
}

impl Closing {
    pub(super) fn of(front: &watch::Sender<bool>) -> Self {
        let mut waiting = front.subscribe();
        let mut drained = front.subscribe();
        // What it is now is nothing new: a change from here on is the drain.
        if *drained.borrow_and_update() {
            drained.mark_changed();
        }
        Self {
            drained,
            woken: Box::pin(async move {
                let _ = waiting.wait_for(|drained| *drained).await;
            }),
            waker: None,
        }
    }

    /// Takes no lock.
    pub(super) fn has_begun(&self) -> bool {
        self.drained.has_changed().unwrap_or(true)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_begun() {
            return Poll::Ready(());
        }
        let is_known = |waker: &Waker| waker.will_wake(cx.waker());
        if self.waker.as_ref().is_some_and(is_known) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        self.woken.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn is_woken(closing: &mut Closing) {
        let waited = timeout(Duration::from_secs(30), poll_fn(|cx| closing.poll(cx)));
        waited.await.expect("it is woken");
    }

    #[tokio::test]
    async fn who_waits_is_woken_whoever_waits_by_then() {
        let front = watch::channel(false).0;
        let mut closing = Closing::of(&front);
        // Another task than the one that waits in the end.
        let mut closing = tokio::spawn(async move {
            assert!(poll_fn(|cx| Poll::Ready(closing.poll(cx).is_pending())).await);
            assert!(poll_fn(|cx| Poll::Ready(closing.poll(cx).is_pending())).await);
            closing
        })
        .await
        .unwrap();
        assert!(!closing.has_begun());
        let waits = tokio::spawn(async move {
            is_woken(&mut closing).await;
            closing
        });
        tokio::task::yield_now().await;
        front.send_replace(true);
        let mut closing = waits.await.unwrap();
        assert!(closing.has_begun());
        is_woken(&mut closing).await;
        is_woken(&mut Closing::of(&front)).await;
        drop(front);
        is_woken(&mut closing).await;
    }
}
