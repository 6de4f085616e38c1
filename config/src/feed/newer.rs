//! What to make of words that a newer control plane says to an older edge. No purge may be lost by that: to purge
//! too much is the safe mistake.
//!
//! - A purge with any word, mode or scope that is not known here purges everything, hard.
//! - So does a kind of change that is not known here, unless it says `"optional": true`.
//! - A kind that is known and cannot be read is an error.
//! - All other fields that are not known here are ignored. What an edge must understand of a site is a word of its
//!   document, and a document with a word that it does not know is refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Change, PurgeRecord};
use crate::revision::Revision;
use crate::scope::{Mode, Scope};

/// The changes of a frame, without those that do not concern this version.
pub(super) fn changes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Change>, D::Error> {
    let said = Vec::<Value>::deserialize(deserializer)?;
    let understood = said.into_iter().map(change).filter_map(Result::transpose);
    understood
        .collect::<Result<_, _>>()
        .map_err(D::Error::custom)
}

/// The purge records of a snapshot.
pub(super) fn purges<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<PurgeRecord>, D::Error> {
    let said = Vec::<Record>::deserialize(deserializer)?;
    let record = |Record { revision, purge }| {
        let Purge {
            scopes,
            mode,
            settle_ms,
        } = purge;
        PurgeRecord {
            revision,
            scopes,
            mode,
            settle_ms,
        }
    };
    Ok(said.into_iter().map(record).collect())
}

fn change(said: Value) -> serde_json::Result<Option<Change>> {
    let kind = said.as_object().and_then(|said| said.iter().next());
    match kind.map(|(kind, words)| (kind.as_str(), words)) {
        Some(("put_site" | "delete_site" | "drain" | "beacon" | "count", _)) => {
            serde_json::from_value(said).map(Some)
        }
        Some(("purge", words)) => Ok(Some(Purge::read(words).into_change())),
        Some((_, words)) if words.get("optional") == Some(&Value::Bool(true)) => Ok(None),
        _ => Ok(Some(Purge::everything().into_change())),
    }
}

/// The words of a purge; there are no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    scopes: Vec<Scope>,
    mode: Mode,
    #[serde(default)]
    settle_ms: u64,
}

struct Record {
    revision: Revision,
    purge: Purge,
}

impl Purge {
    fn read(words: &Value) -> Self {
        Self::deserialize(words).unwrap_or_else(|_| Self::everything())
    }

    fn everything() -> Self {
        Self {
            scopes: vec![Scope::Everything],
            mode: Mode::Hard,
            settle_ms: 0,
        }
    }

    fn into_change(self) -> Change {
        let Self {
            scopes,
            mode,
            settle_ms,
        } = self;
        Change::Purge {
            scopes,
            mode,
            settle_ms,
        }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut words = serde_json::Map::deserialize(deserializer)?;
        let revision = words.remove("revision").unwrap_or_default();
        Ok(Self {
            revision: Revision::deserialize(revision).map_err(D::Error::custom)?,
            purge: Purge::read(&Value::Object(words)),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Frame, Snapshot};
    use super::*;
    use serde_json::json;

    const EVERYTHING: &str = r#"[{"purge":{"scopes":["everything"],"mode":"hard"}}]"#;

    fn read(changes: &Value) -> String {
        let frame = json!({"epoch": 1, "revision": 7, "changes": changes, "newer": [1]});
        match serde_json::from_value::<Frame>(frame) {
            Ok(frame) => serde_json::to_string(&frame.changes).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_newer_version_says_never_loses_a_purge() {
        let check = |change: Value, expect: &str| {
            assert_eq!(read(&json!([change])), expect, "{change}");
        };
        let tag = r#"[{"purge":{"scopes":[{"tag":"t"}],"mode":"soft"}}]"#;
        check(
            json!({"purge": {"scopes": [{"tag": "t"}], "mode": "soft"}}),
            tag,
        );
        let one_of_two = r#"[{"purge":{"scopes":[{"tag":"t"},"everything"],"mode":"soft"}}]"#;
        check(
            json!({"purge": {"scopes": [{"tag": "t"}, {"country": "fr"}], "mode": "soft"}}),
            one_of_two,
        );
        for scope in [
            json!("universe"),
            json!({"host": 5}),
            json!({"tag": "t", "but": "x"}),
            json!({"url": {"host": "a", "path": "/", "and_below": true}}),
            json!({"url": {"host": "a", "path": "/", "scheme": "h3"}}),
            json!({"prefix": {"host": "a"}}),
            json!(null),
        ] {
            check(
                json!({"purge": {"scopes": [scope], "mode": "hard"}}),
                EVERYTHING,
            );
        }
        let host = json!([{"host": "a"}]);
        check(
            json!({"purge": {"scopes": host, "mode": "gentle"}}),
            EVERYTHING,
        );
        check(json!({"purge": {"scopes": host}}), EVERYTHING);
        check(
            json!({"purge": {"scopes": host, "mode": "soft", "and": "b"}}),
            EVERYTHING,
        );
        check(json!({"purge": 5}), EVERYTHING);
        check(json!({"purge_group": {"of": "a"}}), EVERYTHING);
        check(
            json!({"purge_group": {"of": "a", "optional": false}}),
            EVERYTHING,
        );
        check(json!("flush"), EVERYTHING);
        check(json!({}), EVERYTHING);
        check(json!({"weather": {"sunny": true, "optional": true}}), "[]");
        check(
            json!({"purge": {"scopes": [{"tag": "t"}], "mode": "hard", "settle_ms": 5}}),
            r#"[{"purge":{"scopes":[{"tag":"t"}],"mode":"hard","settle_ms":5}}]"#,
        );
        check(
            json!({"drain": {"site": "a", "servers": ["http://a"], "optional": true}}),
            r#"[{"drain":{"site":"a","servers":["http://a"],"optional":true}}]"#,
        );
        check(
            json!({"count": {"scopes": [{"tag": "t"}], "optional": true}}),
            r#"[{"count":{"scopes":[{"tag":"t"}],"optional":true}}]"#,
        );
    }

    #[test]
    fn what_is_known_is_read_whole_or_not_at_all() {
        let check = |change: Value, expect: &str| {
            let found = read(&json!([change]));
            assert!(found.starts_with(expect), "{change}: {found}");
        };
        let site = json!({"name": "a", "created": 1, "revision": 7, "site": {}, "newer": 1});
        check(json!({"put_site": site}), r#"[{"put_site":{"name":"a","#);
        check(
            json!({"delete_site": {"name": "a", "newer": 1}}),
            r#"[{"delete_site":"#,
        );
        check(json!({"put_site": {"name": "a"}}), "missing field");
        check(json!({"delete_site": {}}), "missing field");
        check(json!({"beacon": {"id": 5}}), "invalid type");
        assert!(read(&json!({"put_site": site})).contains("expected a sequence"));
    }

    #[test]
    fn a_record_in_a_snapshot_is_read_alike_and_has_its_place_in_the_order() {
        let read = |record: Value| {
            let snapshot = json!({"epoch": 1, "revision": 7, "floor": 0, "beacon": null, "sites": [],
                                  "purges": [record], "newer": {}});
            let snapshot = serde_json::from_value::<Snapshot>(snapshot);
            snapshot.map(|snapshot| serde_json::to_string(&snapshot.purges).unwrap())
        };
        let tag = r#"[{"revision":5,"scopes":[{"tag":"t"}],"mode":"soft"}]"#;
        let everything = r#"[{"revision":5,"scopes":["everything"],"mode":"hard"}]"#;
        let scopes = json!([{"tag": "t"}]);
        assert_eq!(
            read(json!({"revision": 5, "scopes": scopes, "mode": "soft"})).unwrap(),
            tag
        );
        assert_eq!(
            read(json!({"revision": 5, "scopes": scopes, "mode": "soft", "x": 1})).unwrap(),
            everything
        );
        assert_eq!(read(json!({"revision": 5})).unwrap(), everything);
        assert!(read(json!({"scopes": scopes, "mode": "soft"})).is_err());
    }
}
