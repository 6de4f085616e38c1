//! What the outside asks of a process that serves: stop, or read your files again.

use std::future::{Future, pending};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::exit::Exit;

/// Listens from the moment it is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reload: Signal,
    /// Completes when the parent is gone; None where nobody watches, or it has been told.
    parent: Option<oneshot::Receiver<()>>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Finish what is under way, then stop.
    Stop,
    /// SIGHUP.
    Reload,
}

impl Signals {
    /// `exit_with_parent`: the end of stdin, which a parent holds open, asks to stop as well.
    pub(crate) fn listen(exit_with_parent: bool) -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            reload: on(SignalKind::hangup())?,
            parent: exit_with_parent.then(end_of_stdin).transpose()?,
        })
    }

    /// The next thing asked. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.reload.recv() => Asked::Reload,
            () = gone(&mut self.parent) => Asked::Stop,
        }
    }

    /// The end of `work`; or, at the next request to stop, the end of patience.
    pub(crate) async fn unless_stopped_again(&mut self, work: impl Future<Output = ()>) -> Exit {
        tokio::select! {
            () = work => Exit::Done,
            () = self.stop() => Exit::Interrupted,
        }
    }

    /// Waits for the next request to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// A thread of its own: a read of stdin that is under way would hold up the end of the runtime.
fn end_of_stdin() -> anyhow::Result<oneshot::Receiver<()>> {
    let (gone, parent) = oneshot::channel();
    let watch = move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    };
    std::thread::Builder::new()
        .name("parent".into())
        .spawn(watch)
        .context("a thread cannot be started")?;
    Ok(parent)
}

/// Completes once.
async fn gone(parent: &mut Option<oneshot::Receiver<()>>) {
    match parent {
        Some(receiver) => {
            let _ = receiver.await;
            *parent = None;
        }
        None => pending().await,
    }
}
