//! How the store's keys are spelt; no other file spells one.
//!
//! What edges follow lies below [`WATCHED`]; who is there and what they acknowledged lies below [`STATUS`],
//! so that an acknowledgement wakes no edge. [`ROOT`] is a prefix of both.

use seawall_config::Revision;
use seawall_config::site::site_name;

/// Everything of ours.
pub const ROOT: &str = "/seawall";
/// The log that edges follow.
pub const WATCHED: &str = "/seawall/v1/";
/// What planes tell each other.
pub const STATUS: &str = "/seawall-status/v1/";

/// All sites.
pub const SITES: &str = "/seawall/v1/site/";
/// The newest beacon.
pub const BEACON: &str = "/seawall/v1/beacon";
/// The revision of the newest purge record that was forgotten.
pub const FLOOR: &str = "/seawall/v1/floor";
/// What all planes heard from their edges.
pub const PLANES: &str = "/seawall-status/v1/plane/";
/// Written with each change of a site, so that the set of sites changes as one: hosts are unique across it.
pub const SITES_GUARD: &str = "/seawall-status/v1/sites-guard";

/// Which history the store holds: its epoch, and the cluster it was written in. Only the store on etcd writes it.
pub const HISTORY: &str = "/seawall-status/v1/history";

/// A site, by its name.
pub fn site(name: &str) -> String {
    format!("{SITES}{name}")
}

/// The servers of a site that get no requests.
pub fn drained(site: &str) -> String {
    format!("/seawall/v1/drained/{site}")
}

/// A purge, by the random id it was given.
pub fn purge(id: &str) -> String {
    format!("/seawall/v1/purge/{id}")
}

/// The registration of an edge.
pub fn edge(id: &str) -> String {
    format!("/seawall-status/v1/edge/{id}")
}

/// That another boot than the one which holds an edge's id was refused.
pub fn refusal(id: &str) -> String {
    format!("/seawall-status/v1/refusal/{id}")
}

/// What one plane heard from its edges.
pub fn plane(id: &str) -> String {
    format!("{PLANES}{id}")
}

/// What a purge matched, as far as one plane knows.
pub fn counted(purge: Revision, plane: &str) -> String {
    format!("/seawall-status/v1/counted/{purge}/{plane}")
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Site(&'a str),
    Drained(&'a str),
    Purge(&'a str),
    Beacon,
    Floor,
    Edge(&'a str),
    Refusal(&'a str),
    Plane(&'a str),
    Counted(Revision, &'a str),
    /// Nothing a reader acts on, or a newer version's.
    Other,
}

/// The inverse of the functions above.
pub fn parse(key: &str) -> Key<'_> {
    let (watched, rest) = match (key.strip_prefix(WATCHED), key.strip_prefix(STATUS)) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Key::Other,
    };
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    match (watched, kind, name) {
        (true, "beacon", "") => Key::Beacon,
        (true, "floor", "") => Key::Floor,
        (_, _, "") => Key::Other,
        (true, "site", name) if site_name(name).is_ok() => Key::Site(name),
        (true, "drained", name) if site_name(name).is_ok() => Key::Drained(name),
        (true, "purge", id) => Key::Purge(id),
        (false, "edge", id) => Key::Edge(id),
        (false, "refusal", id) => Key::Refusal(id),
        (false, "plane", id) => Key::Plane(id),
        (false, "counted", name) => match name.split_once('/') {
            Some((revision, plane)) => match revision.parse() {
                Ok(revision) => Key::Counted(Revision(revision), plane),
                Err(_) => Key::Other,
            },
            None => Key::Other,
        },
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelt_is_read_back() {
        assert_eq!(parse(&site("a")), Key::Site("a"));
        assert_eq!(parse(&drained("a")), Key::Drained("a"));
        assert_eq!(parse(&purge("a")), Key::Purge("a"));
        assert_eq!(parse(BEACON), Key::Beacon);
        assert_eq!(parse(FLOOR), Key::Floor);
        assert_eq!(parse(&edge("a")), Key::Edge("a"));
        assert_eq!(parse(&refusal("a")), Key::Refusal("a"));
        assert_eq!(parse(&plane("a")), Key::Plane("a"));
        assert_eq!(
            parse(&counted(Revision(7), "a")),
            Key::Counted(Revision(7), "a")
        );
        for other in [
            SITES,
            SITES_GUARD,
            "/seawall/v2/site/a",
            "/seawall/v1/site/A",
            "/seawall/v1/site/a/b",
            "/seawall/v1/site/a\n",
            "/seawall/v1/new/a",
            "/else",
            "",
        ] {
            assert_eq!(parse(other), Key::Other, "{other}");
        }
    }

    #[test]
    fn acknowledgements_are_outside_what_edges_follow() {
        for key in [
            edge("a"),
            refusal("a"),
            plane("a"),
            counted(Revision(1), "a"),
            SITES_GUARD.to_owned(),
        ] {
            assert!(key.starts_with(ROOT) && !key.starts_with(WATCHED), "{key}");
        }
    }
}
