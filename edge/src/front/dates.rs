//! The Date field of answers that have none of an origin: written anew once a second, not for every answer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderValue;

pub struct Dates(ArcSwap<(u64, HeaderValue)>);

impl Dates {
    pub fn new() -> Self {
        Self(ArcSwap::from_pointee(written(UNIX_EPOCH)))
    }

    pub fn field(&self, now: SystemTime) -> HeaderValue {
        let last = self.0.load();
        if last.0 == second(now) {
            return last.1.clone();
        }
        let new = written(now);
        self.0.store(Arc::new(new.clone()));
        new.1
    }
}

fn second(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn written(at: SystemTime) -> (u64, HeaderValue) {
    let value = HeaderValue::try_from(httpdate::fmt_http_date(at));
    (
        second(at),
        value.unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
    )
}
