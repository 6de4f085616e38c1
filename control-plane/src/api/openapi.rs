//! `/openapi.json`: kept by hand next to the routes, and compared with them by a test.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::DOCUMENT;
    use crate::api::routes;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(&str, &str)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods
                    .as_object()
                    .unwrap()
                    .keys()
                    .filter(|key| *key != "parameters");
                methods.map(|method| (path.as_str(), method.as_str()))
            })
            .collect();
        let routed: BTreeSet<_> = routes()
            .iter()
            .map(|(path, method, ..)| (*path, *method))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut open = vec![&document];
        let mut count = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::Object(object) => open.extend(object.values()),
                Value::Array(array) => open.extend(array),
                Value::String(text) if text.starts_with("#/") => {
                    assert!(document.pointer(&text[1..]).is_some(), "{text}");
                    count += 1;
                }
                _ => {}
            }
        }
        assert!(count > 10, "{count} references");
    }
}
