//! A site's own page in the place of what an edge says of a failure.

use http::StatusCode;
use http::header::{self, HeaderValue};

use super::{Answer, Content, Journey, Refusal};

impl Answer {
    /// With the site's page, if it is an answer of this edge's own that tells of a failure.
    pub fn with_page(mut self, journey: &Journey) -> Self {
        let Some(page) = &journey.served.site.error_page else {
            return self;
        };
        let failed = matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        // Who asks for what is stored, and only that, has asked for exactly this answer.
        let asked_for = self.told.detail == Some(Refusal::OnlyIfCached.detail());
        let ours = matches!(self.body, Content::Text(_));
        // It was checked with its site.
        let Ok(content_type) = HeaderValue::from_str(&page.content_type) else {
            return self;
        };
        if failed && ours && !asked_for {
            let body = page.body.replace("{status}", self.status.as_str());
            self.head.own().insert(header::CONTENT_TYPE, content_type);
            self.head
                .own()
                .insert(header::CONTENT_LENGTH, body.len().into());
            self.body = Content::Text(body);
        }
        self
    }
}
