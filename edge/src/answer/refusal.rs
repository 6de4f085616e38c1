//! Answers of this edge's own, where nothing is served and nothing is asked.

use http::StatusCode;

/// Why a request is not answered from here at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RFC 9111 §5.2.1.7: only-if-cached, and there is nothing.
    OnlyIfCached,
    /// This edge cannot vouch for what it stored, and the site asked for a refusal then.
    Fenced,
    /// What it stored may not be used, and the origin is asked for such as often as the site allows.
    RefetchRate,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::OnlyIfCached => StatusCode::GATEWAY_TIMEOUT,
            Self::Fenced | Self::RefetchRate => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn detail(self) -> &'static str {
        match self {
            Self::OnlyIfCached => "only-if-cached",
            Self::Fenced => "cut off from the control plane",
            Self::RefetchRate => "refetch_rate is reached",
        }
    }
}
