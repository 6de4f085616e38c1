//! Saying what happened: `Cache-Status` (RFC 9211) and the older `X-Cache`.

/// What most members have room in.
const MEMBER_BYTES: usize = 96;

/// What happened to one request, as the answer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub handling: Handling,
    /// Seconds of freshness left; negative when stale.
    pub ttl: Option<i64>,
    /// Why it failed, or was refused.
    pub detail: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Answered from what is stored.
    Hit {
        stale: bool,
    },
    Forwarded(Forwarded),
    /// What is stored stands in for what a failing origin said, or did not say.
    StoodIn(Forwarded),
    /// Said by this edge, which asked nobody (RFC 9211 §2: neither hit nor fwd).
    Generated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub why: Fwd,
    /// The status the origin answered, where there was an answer.
    pub status: Option<u16>,
    pub stored: bool,
    /// The request waited for another's fetch.
    pub collapsed: bool,
}

/// Why a request went forward: the registered reasons (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fwd {
    Bypass,
    Method,
    UriMiss,
    VaryMiss,
    /// Neither can be told: what came was not for this request, again and again.
    Miss,
    Request,
    Stale,
    Partial,
}

/// Someone who may see behind an answer.
#[derive(Clone, Copy, Debug)]
pub struct Debugger<'a> {
    /// The key of the answer, in visible ASCII.
    pub key: Option<&'a str>,
}

impl Forwarded {
    fn tell(self, member: &mut String) {
        member.extend(["; fwd=", self.why.as_str()]);
        if let Some(status) = self.status {
            member.extend(["; fwd-status=", itoa::Buffer::new().format(status)]);
        }
        if self.stored {
            member.push_str("; stored");
        }
        if self.collapsed {
            member.push_str("; collapsed");
        }
    }
}

impl Told {
    pub fn hit(ttl: i64) -> Self {
        Self {
            handling: Handling::Hit { stale: ttl <= 0 },
            ttl: Some(ttl),
            detail: None,
        }
    }

    pub fn forwarded(why: Fwd) -> Self {
        Self::of(Handling::Forwarded(why.into()))
    }

    /// An answer of this edge's own, and why it gives it.
    pub fn generated(detail: &'static str) -> Self {
        Self {
            detail: Some(detail),
            ..Self::of(Handling::Generated)
        }
    }

    fn of(handling: Handling) -> Self {
        Self {
            handling,
            ttl: None,
            detail: None,
        }
    }

    /// The member of this edge. `id` is a token (checked where edges are configured). Only someone who may `debug`
    /// is told the key, and the detail: they help to aim an attack (RFC 9211 §6).
    pub fn member(&self, id: &str, debug: Option<Debugger<'_>>) -> String {
        let mut member = String::with_capacity(MEMBER_BYTES);
        member.push_str(id);
        match self.handling {
            Handling::Hit { .. } => member.push_str("; hit"),
            Handling::Generated => {}
            Handling::Forwarded(forwarded) | Handling::StoodIn(forwarded) => {
                forwarded.tell(&mut member);
            }
        }
        if let Some(ttl) = self.ttl {
            member.push_str("; ttl=");
            member.push_str(itoa::Buffer::new().format(ttl));
        }
        let Some(Debugger { key }) = debug else {
            return member;
        };
        if let Some(key) = key {
            // A target has no backslash (see key).
            member.extend(["; key=\"", &key.replace('"', "\\\""), "\""]);
        }
        if let Some(detail) = self.detail {
            member.extend(["; detail=\"", detail, "\""]);
        }
        member
    }

    /// Whether someone who may debug is told more, the key aside.
    pub fn has_detail(&self) -> bool {
        self.detail.is_some()
    }

    /// One of HIT MISS STALE REVALIDATED BYPASS.
    pub fn x_cache(&self) -> &'static str {
        match self.handling {
            Handling::Hit { stale: false } => "HIT",
            Handling::Hit { stale: true } | Handling::StoodIn(_) => "STALE",
            Handling::Forwarded(Forwarded {
                status: Some(304), ..
            }) => "REVALIDATED",
            Handling::Forwarded(Forwarded {
                why: Fwd::Bypass | Fwd::Method,
                ..
            }) => "BYPASS",
            Handling::Forwarded(_) | Handling::Generated => "MISS",
        }
    }
}

impl From<Fwd> for Forwarded {
    /// Before anything is known of what came of it.
    fn from(why: Fwd) -> Self {
        Self {
            why,
            status: None,
            stored: false,
            collapsed: false,
        }
    }
}

impl Fwd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_what_happened() {
        let check = |section: &str, told: Told, member: &str, x_cache: &str| {
            assert_eq!(
                (told.member("edge-1", None).as_str(), told.x_cache()),
                (member, x_cache),
                "{section}"
            );
        };
        check("9211 2.1", Told::hit(59), "edge-1; hit; ttl=59", "HIT");
        check("9211 2.4", Told::hit(-3), "edge-1; hit; ttl=-3", "STALE");
        check(
            "9211 2.2",
            Told::forwarded(Fwd::Method),
            "edge-1; fwd=method",
            "BYPASS",
        );
        check("9211 2", Told::generated("no site"), "edge-1", "MISS");
        let stood_in = Told {
            handling: Handling::StoodIn(Fwd::Stale.into()),
            ..Told::hit(-3)
        };
        check("9211 2.1", stood_in, "edge-1; fwd=stale; ttl=-3", "STALE");
        let failed = Told {
            detail: Some("connect refused"),
            ..Told::forwarded(Fwd::UriMiss)
        };
        check("9211 6", failed, "edge-1; fwd=uri-miss", "MISS");
        let debugger = Debugger {
            key: Some("http://a/\"b\""),
        };
        assert_eq!(
            failed.member("edge-1", Some(debugger)),
            r#"edge-1; fwd=uri-miss; key="http://a/\"b\""; detail="connect refused""#
        );
        let forwarded = |status, stored, collapsed| {
            let forwarded = Forwarded {
                why: Fwd::Stale,
                status: Some(status),
                stored,
                collapsed,
            };
            Told {
                handling: Handling::Forwarded(forwarded),
                ttl: Some(60),
                detail: None,
            }
        };
        check(
            "9211 2.6",
            forwarded(200, true, true),
            "edge-1; fwd=stale; fwd-status=200; stored; collapsed; ttl=60",
            "MISS",
        );
        check(
            "9211 2.3",
            forwarded(304, true, false),
            "edge-1; fwd=stale; fwd-status=304; stored; ttl=60",
            "REVALIDATED",
        );
    }
}
