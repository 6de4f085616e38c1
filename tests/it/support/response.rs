//! What a client got.

use super::message::{self, Fields};

pub struct Response {
    /// 0: the connection ended without an answer.
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    /// False: it was cut before its Content-Length or its last chunk.
    pub complete: bool,
}

impl Response {
    /// The first line with this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        message::field(&self.fields, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn x_cache(&self) -> &str {
        self.field("x-cache").unwrap_or("none")
    }

    pub fn cache_status(&self) -> &str {
        self.field("cache-status").unwrap_or("none")
    }

    /// A whole 200 with this X-Cache and this body.
    #[track_caller]
    pub fn is(&self, x_cache: &str, body: &str) {
        let found = (self.status, self.x_cache(), self.text(), self.complete);
        let expect = (200, x_cache, body.to_owned(), true);
        assert_eq!(found, expect, "Cache-Status: {}", self.cache_status());
    }

    /// This status, and a body that contains `why`.
    #[track_caller]
    pub fn fails(&self, status: u16, why: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.text().contains(why), "{}, not {why}", self.text());
    }

    /// This status, with a Cache-Status that contains `told`.
    #[track_caller]
    pub fn tells(&self, status: u16, told: &str) {
        let found = self.cache_status();
        assert_eq!(self.status, status, "{}", self.text());
        assert!(found.contains(told), "{found}, not {told}");
    }
}
