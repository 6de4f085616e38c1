//! How a host that is purged URL by URL, without end, keeps its cost to itself. Pure.
//!
//! Past [`RECORDS_MAX`](super::retention::RECORDS_MAX) records something has to go, and a floor would empty every cache of
//! every site. So the host with the most records of URLs and prefixes is purged as a whole, once, by a purge as any other;
//! what its older records say is said by that one. Tags and hosts belong to no site: they have the floor alone.

use std::collections::HashMap;

use seawall_config::{Mode, Revision, Scope};

use super::records::PurgeRecord;
use super::retention::Purges;

/// Fewer are not worth a host's cache.
const FOLDED_MIN: usize = 1_000;

/// The host to purge as a whole, now that there are too many records.
pub(super) fn foldable(purges: &Purges) -> Option<String> {
    if !purges.are_too_many() {
        return None;
    }
    let said = Said::by(purges);
    let mut counts = HashMap::<&str, usize>::new();
    for (revision, purge) in purges.iter() {
        let host = single_host(&purge.record).filter(|_| !said.covers(*revision, &purge.record));
        if let Some(host) = host {
            *counts.entry(host).or_default() += 1;
        }
    }
    // Of two with as many always the same one, whichever plane looks.
    let most = counts
        .into_iter()
        .max_by_key(|(host, count)| (*count, *host));
    most.filter(|(_, count)| *count >= FOLDED_MIN)
        .map(|(host, _)| host.to_owned())
}

/// Records that say nothing a newer one does not, now that there are too many; oldest first. `vouched_from`: as for
/// [`forgettable`](super::retention::forgettable).
pub(super) fn covered(purges: &Purges, vouched_from: Option<Revision>) -> Vec<Revision> {
    if !purges.are_too_many() {
        return Vec::new();
    }
    let said = Said::by(purges);
    let passed = |revision: Revision| vouched_from.is_none_or(|from| from >= revision);
    let covered = purges
        .iter()
        .take_while(|(revision, _)| passed(**revision))
        .filter(|(revision, purge)| said.covers(**revision, &purge.record));
    covered.map(|(revision, _)| *revision).collect()
}

/// The newest hard purges that cover what others do.
struct Said<'a> {
    everything: Revision,
    hosts: HashMap<&'a str, Revision>,
}

impl<'a> Said<'a> {
    fn by(purges: &'a Purges) -> Self {
        let mut said = Self {
            everything: Revision::default(),
            hosts: HashMap::new(),
        };
        let hard = purges
            .iter()
            .filter(|(_, purge)| purge.record.mode == Mode::Hard && !purge.record.dry_run);
        for (revision, purge) in hard {
            for scope in &purge.record.scopes {
                match scope {
                    Scope::Everything => said.everything = *revision,
                    Scope::Host(host) => {
                        said.hosts.insert(host, *revision);
                    }
                    _ => {}
                }
            }
        }
        said
    }

    fn covers(&self, revision: Revision, record: &PurgeRecord) -> bool {
        let by_host = single_host(record).and_then(|host| self.hosts.get(host));
        let is_once = record.settle_ms == 0;
        (is_once && revision < self.everything) || by_host.is_some_and(|newer| revision < *newer)
    }
}

/// The host of all that it purges, where that is URLs and prefixes of one, purged once and for all.
fn single_host(record: &PurgeRecord) -> Option<&str> {
    let mut hosts = record.scopes.iter().map(|scope| match scope {
        Scope::Url(target) | Scope::Prefix(target) => Some(target.host.as_str()),
        _ => None,
    });
    let first = hosts.next()??;
    (record.settle_ms == 0 && hosts.all(|host| host == Some(first))).then_some(first)
}

#[cfg(test)]
mod tests {
    use seawall_config::scope::Target;

    use super::super::retention::{Purge, RECORDS_MAX};
    use super::*;

    fn target(host: &str) -> Target {
        Target {
            scheme: None,
            host: host.to_owned(),
            path: "/a".to_owned(),
        }
    }

    fn url(host: &str) -> Vec<Scope> {
        vec![Scope::Url(target(host))]
    }

    fn purge(revision: u64, scopes: Vec<Scope>, settle_ms: u64) -> Purge {
        let record = PurgeRecord {
            scopes,
            settle_ms,
            ..PurgeRecord::unreadable()
        };
        Purge {
            id: revision.to_string(),
            record,
            bytes: 1,
            seen_ms: 0,
        }
    }

    /// So many of each, in this order, a revision after the other from 1 on.
    fn purges(all: &[(usize, Vec<Scope>)]) -> Purges {
        let mut purges = Purges::default();
        let each = all.iter().flat_map(|(count, scopes)| vec![scopes; *count]);
        for (revision, scopes) in (1..).zip(each) {
            purges.insert(Revision(revision), purge(revision, scopes.clone(), 0));
        }
        purges
    }

    fn host(host: &str) -> Vec<Scope> {
        vec![Scope::Host(host.to_owned())]
    }

    #[test]
    fn the_host_with_the_most_is_folded_once_there_are_too_many() {
        let check = |all: &[(usize, Vec<Scope>)], expect: Option<&str>| {
            assert_eq!(foldable(&purges(all)).as_deref(), expect);
        };
        let busy = RECORDS_MAX - 1_500;
        check(&[(busy, url("a.example")), (1_500, url("b.example"))], None);
        check(
            &[(busy, url("a.example")), (1_501, url("b.example"))],
            Some("a.example"),
        );
        let below = vec![Scope::Prefix(target("b.example"))];
        check(
            &[(busy, vec![Scope::Tag("t".into())]), (1_501, below)],
            Some("b.example"),
        );
        // What is of two hosts, or of none, is no host's.
        let both = [url("a.example"), url("b.example")].concat();
        let tags = vec![Scope::Tag("t".into())];
        check(&[(busy, tags), (1_501, both)], None);
        // What a purge of the host covers is not counted again; what came after it is.
        let folded = |after: usize| {
            [
                (busy, url("a.example")),
                (1, host("a.example")),
                (after, url("a.example")),
                (1_501 - after, url("b.example")),
            ]
        };
        check(&folded(600), None);
        check(&folded(1_100), Some("a.example"));
    }

    #[test]
    fn what_a_newer_purge_covers_goes_when_edges_that_vouch_are_past_it() {
        let count = RECORDS_MAX;
        let all = [
            (2, url("a.example")),
            (count, url("b.example")),
            (1, host("a.example")),
            (1, url("a.example")),
        ];
        let check = |purges: &Purges, vouched_from: Option<u64>, expect: &[u64]| {
            let gone = covered(purges, vouched_from.map(Revision));
            let expect: Vec<_> = expect.iter().copied().map(Revision).collect();
            assert_eq!(gone, expect);
        };
        check(&purges(&all), None, &[1, 2]);
        check(&purges(&all), Some(1), &[1]);
        check(&purges(&all), Some(0), &[]);
        let few = [(2, url("a.example")), (1, host("a.example"))];
        check(&purges(&few), None, &[]);
        let everything = [(3, url("a.example")), (1, vec![Scope::Everything])];
        let mut purges = purges(&[&everything[..], &[(count, url("b.example"))]].concat());
        check(&purges, None, &[1, 2, 3]);
        // One that settles is not yet over.
        purges.insert(Revision(2), purge(2, url("a.example"), 2_000));
        check(&purges, None, &[1, 3]);
    }
}
