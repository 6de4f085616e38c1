//! Which purges count against a stored response: what [`Ledger::judge`] adds up, one by one, for whoever asks why.

use seawall_config::Revision;
use seawall_config::scope::{Mode, Scope, Target};

use super::{Birth, Fingerprint, Ledger, Life, Marks};
use crate::key::Key;

/// One purge that came after a birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    Purge(Mode, Revision),
    /// An unsafe method on this edge.
    Invalidation,
}

impl Ledger {
    /// The purges of one scope that count against something born then. One of a URL or prefix may name no scheme, and
    /// counts for each.
    pub fn against(&self, scope: &Scope, birth: Birth) -> Vec<Against> {
        let everything = (*scope == Scope::Everything).then_some(&self.everything);
        let prints = self.prints_of(scope);
        let entries = prints.iter().filter_map(|print| self.entries.get(print));
        let marks = entries.map(|entry| &entry.marks).chain(everything);
        marks.flat_map(|marks| marks.against(birth)).collect()
    }

    /// Whether an invalidation of a cache group counts against it.
    pub fn is_against_group(&self, key: &Key, group: &str, birth: Birth) -> bool {
        self.is_against_print(self.prints.group(key, group), birth)
    }

    /// Whether a purge of something that is known by its fingerprint alone counts against it.
    pub fn is_against_print(&self, print: Fingerprint, birth: Birth) -> bool {
        let entry = self.entries.get(&print);
        entry.is_some_and(|entry| entry.marks.judge(birth) != Life::Alive)
    }

    fn prints_of(&self, scope: &Scope) -> Vec<Fingerprint> {
        let place = |kind, target: &Target| {
            let schemes = [None, target.scheme].into_iter();
            let print = |scheme| (self.prints).place(kind, scheme, &target.host, &target.path);
            schemes.map(print).collect()
        };
        match scope {
            Scope::Everything => Vec::new(),
            Scope::Url(target) => place("url", target),
            Scope::Prefix(target) => place("prefix", target),
            scope => vec![self.prints.of(scope)],
        }
    }
}

impl Marks {
    fn against(&self, birth: Birth) -> impl Iterator<Item = Against> {
        let hard = (birth.revision < self.hard).then_some(Against::Purge(Mode::Hard, self.hard));
        let soft = (birth.revision < self.soft).then_some(Against::Purge(Mode::Soft, self.soft));
        let local = (birth.local < self.local).then_some(Against::Invalidation);
        [hard, soft, local].into_iter().flatten()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seawall_config::scope::{Scheme, target};

    #[test]
    fn what_counts_against_something_is_named_one_by_one() {
        let key = Key::new(Revision(1), Scheme::Http, "a", "/b/c").unwrap();
        let url = Scope::Url(target("http://a/b/c").unwrap());
        let mut ledger = Ledger::default();
        let birth = ledger.birth(Revision(5));
        let check = |ledger: &Ledger, scope: &Scope, expect: &[Against]| {
            assert_eq!(ledger.against(scope, birth), expect, "{scope}");
        };
        check(&ledger, &url, &[]);
        ledger.purge(std::slice::from_ref(&url), Mode::Soft, Revision(5));
        check(&ledger, &url, &[]);
        ledger.purge(std::slice::from_ref(&url), Mode::Soft, Revision(6));
        check(&ledger, &url, &[Against::Purge(Mode::Soft, Revision(6))]);
        // Without a scheme it counts for each.
        let any = Scope::Url(target("//a/b/c").unwrap());
        ledger.purge(&[any], Mode::Hard, Revision(7));
        ledger.invalidate(&key);
        check(
            &ledger,
            &url,
            &[
                Against::Purge(Mode::Hard, Revision(7)),
                Against::Invalidation,
                Against::Purge(Mode::Soft, Revision(6)),
            ],
        );
        check(&ledger, &Scope::Host("a".into()), &[]);
        check(&ledger, &Scope::Everything, &[]);
        ledger.raise_floor(Revision(8));
        let floor = Against::Purge(Mode::Hard, Revision(8));
        check(&ledger, &Scope::Everything, &[floor]);

        let tag = ledger.prints().tag("t");
        assert!(!ledger.is_against_print(tag, birth));
        ledger.purge(&[Scope::Tag("t".into())], Mode::Soft, Revision(9));
        assert!(ledger.is_against_print(tag, birth));

        assert!(!ledger.is_against_group(&key, "g", birth));
        ledger.invalidate_group(&key, "g");
        assert!(ledger.is_against_group(&key, "g", birth));
        let after = ledger.birth(Revision(5));
        assert!(!ledger.is_against_group(&key, "g", after));
    }
}
