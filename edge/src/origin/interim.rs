//! Interim (1xx) answers on their way from an origin to the client that waits: forwarded, never stored.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{self, HeaderMap};
use http::{StatusCode, Version};
use pingora_http::ResponseHeader;
use tokio::sync::Notify;

use super::INTERIM_MAX;
use crate::rules::fields;

/// The head of one.
#[derive(Debug)]
pub struct Interim {
    status: StatusCode,
    head: HeaderMap,
}

/// The way from the fetch to the client that began it, or to nobody. Those who join a fetch are told nothing early:
/// its answer may yet turn out to be the first client's own.
#[derive(Clone, Debug)]
pub struct Interims(Option<Arc<Queue>>);

/// Nothing is kept in it, and nothing allocated for it, before the first one comes.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<Interim>>,
    told: Notify,
}

impl Interim {
    /// As it goes on to a client: without what belongs to the hop, and without tags.
    pub fn of(response: &ResponseHeader) -> Self {
        let mut head = response.headers.clone();
        fields::strip_hop(&mut head);
        head.remove(header::CONTENT_LENGTH);
        fields::strip(&mut head, fields::is_for_caches);
        Self {
            status: response.status,
            head,
        }
    }

    pub fn into_head(self) -> (StatusCode, HeaderMap) {
        (self.status, self.head)
    }

    pub fn into_header(self) -> pingora_error::Result<ResponseHeader> {
        let mut response = ResponseHeader::build_no_case(self.status, Some(self.head.len()))?;
        for (name, value) in &self.head {
            response.append_header(name, value)?;
        }
        Ok(response)
    }
}

impl Interims {
    /// To a client that speaks `version`. RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0
    /// client"; and Pingora sends none over HTTP/2.
    pub fn to(version: Version) -> Self {
        Self((version == Version::HTTP_11).then(Arc::default))
    }

    pub fn to_nobody() -> Self {
        Self(None)
    }

    /// Passes one on. RFC 9110 §15.2: "A proxy MUST forward 1xx responses unless the proxy itself requested the
    /// generation of the 1xx response." A 100 was not asked for (§15.2.1: it can be discarded).
    pub fn tell(&self, response: &ResponseHeader) {
        if let Some(queue) = &self.0
            && response.status != StatusCode::CONTINUE
        {
            let mut waiting = queue.waiting();
            // A client that is gone, or too slow to take them, goes without.
            if waiting.len() < INTERIM_MAX {
                waiting.push_back(Interim::of(response));
                queue.told.notify_one();
            }
        }
    }

    /// The next one; it may never come. Cancel-safe.
    pub async fn next(&self) -> Interim {
        let Some(queue) = &self.0 else {
            return pending().await;
        };
        loop {
            if let Some(interim) = self.take() {
                return interim;
            }
            // One that came since is not missed: its permit is kept.
            queue.told.notified().await;
        }
    }

    /// The next one, if it is here.
    pub fn take(&self) -> Option<Interim> {
        self.0.as_ref()?.waiting().pop_front()
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Interim>> {
        // std Mutex: nothing awaits while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(version: Version, status: u16) -> Option<ResponseHeader> {
        let mut response = ResponseHeader::build(status, None).unwrap();
        for (name, value) in [
            ("Link", "</a>"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
            ("Content-Length", "5"),
            ("Surrogate-Key", "a"),
        ] {
            response.append_header(name, value).unwrap();
        }
        let interims = Interims::to(version);
        interims.tell(&response);
        Some(interims.take()?.into_header().unwrap())
    }

    #[test]
    fn who_may_be_told_is_told_what_is_for_clients() {
        let check = |section: &str, version, status, expect: bool| {
            let told = told(version, status);
            assert_eq!(told.is_some(), expect, "{section}: {status} {version:?}");
            if let Some(told) = told {
                let fields: Vec<_> = told.headers.keys().map(|name| name.as_str()).collect();
                assert_eq!((told.status.as_u16(), fields), (status, vec!["link"]));
            }
        };
        check("9110 15.2.1", Version::HTTP_11, 100, false);
        check("9110 15.2", Version::HTTP_11, 102, true);
        check("8297 2", Version::HTTP_11, 103, true);
        check("9110 15.2", Version::HTTP_11, 199, true);
        check("9110 15.2", Version::HTTP_10, 103, false);
        check("9110 15.2", Version::HTTP_2, 103, false);
    }

    #[tokio::test]
    async fn what_a_client_does_not_take_is_not_piled_up() {
        let response = |status| ResponseHeader::build(status, None).unwrap();
        let interims = Interims::to(Version::HTTP_11);
        (0..=INTERIM_MAX).for_each(|_| interims.tell(&response(103)));
        assert_eq!(std::iter::from_fn(|| interims.take()).count(), INTERIM_MAX);
        // What comes while it is waited for wakes the one who waits.
        let (interim, ()) = tokio::join!(interims.next(), async { interims.tell(&response(102)) });
        assert_eq!(interim.status.as_u16(), 102);
    }
}
