//! What is told of each stored variant: what it is, how fresh, and which purges count against it.

use std::sync::Arc;
use std::time::Duration;

use seawall_config::scope::{Scope, Target};

use super::Looked;
use super::report::{Spoken, Stored, Sum, Term};
use super::words;
use crate::key::Key;
use crate::ledger::prefixes;
use crate::object::Object;
use crate::rules::freshness::AgeBy;
use crate::rules::{fields, targeted};

/// The fields of a response that have a say in caching.
const SAYS: [&str; 9] = [
    "cdn-cache-control",
    "surrogate-control",
    "cache-control",
    "expires",
    "age",
    "date",
    "vary",
    "etag",
    "last-modified",
];

pub fn stored(looked: &Looked<'_>, object: &Arc<Object>, scopes: &[Scope]) -> Stored {
    let request = &looked.journey.fields;
    let selected = looked.selected.as_ref();
    let says = SAYS.iter().flat_map(|name| {
        let lines = fields::texts(&object.head, *name);
        lines.into_iter().map(move |line| format!("{name}: {line}"))
    });
    Stored {
        selected: selected.is_some_and(|selected| selected.id == object.id),
        differs: object.selection.differs(request),
        status: object.status.as_u16(),
        bytes_here: object.body.here(),
        bytes_total: object.body.total(),
        born: object.birth.revision.0,
        selects: object.selection.told(),
        says: says.collect(),
        read: read(looked, object),
        tags: fields::tags(&object.head).0,
        groups: fields::groups(&object.head, "cache-groups").0,
        freshness: sum(looked, object),
        against: against(looked, object, scopes),
    }
}

/// Every scope under which a purge finds what has this key; its tags are its own.
pub fn scopes(site: &str, key: &Key) -> Vec<Scope> {
    let target = |path: &str| Target {
        scheme: Some(key.scheme()),
        host: key.host().into(),
        path: path.into(),
    };
    let mut scopes = vec![
        Scope::Everything,
        Scope::Site(site.to_owned()),
        Scope::Host(key.host().to_owned()),
    ];
    // A host purge without a port covers every port.
    let name = key.host().rsplit_once(':');
    let name = name.filter(|_| !key.host().ends_with(']'));
    scopes.extend(name.map(|(name, _)| Scope::Host(name.to_owned())));
    scopes.extend(prefixes(key.path()).map(|prefix| Scope::Prefix(target(prefix))));
    scopes.push(Scope::Url(target(key.target())));
    scopes
}

/// The directives that the rules go by, and the field they were read in.
fn read(looked: &Looked<'_>, object: &Object) -> Option<Spoken> {
    let words = words::directives(&object.directives);
    let surrogate = looked.journey.policy().surrogate_control;
    let targeted = targeted::find(&object.head, surrogate);
    let field = targeted.filter(|(_, read)| *read == object.directives);
    let field = field.map(|(field, _)| format!("{field}, RFC 9213 §2.2"));
    let field = field.unwrap_or_else(|| "Cache-Control, RFC 9111 §5.2".to_owned());
    (!words.is_empty()).then(|| Spoken::new(&field, words.join(", ")))
}

fn sum(looked: &Looked<'_>, object: &Object) -> Sum {
    let (freshness, now) = (&object.freshness, looked.now);
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let term = |duration, says: &str| Term {
        ms: ms(duration),
        says: says.to_owned(),
    };
    let mut age = match freshness.age_by(&object.head) {
        AgeBy::Date => vec![term(freshness.initial_age, "since its Date")],
        AgeBy::Age { said, delay } => vec![term(said, "by its Age"), term(delay, "on the way")],
    };
    let here = freshness.age(now).saturating_sub(freshness.initial_age);
    age.push(term(here, "here"));
    Sum {
        lifetime_ms: ms(freshness.lifetime),
        by: words::by(freshness.by),
        age,
        fresh: freshness.left(now).is_ok(),
    }
}

fn against(looked: &Looked<'_>, object: &Object, scopes: &[Scope]) -> Vec<String> {
    let epoch = looked.journey.snapshot.epoch;
    if object.birth.epoch != epoch {
        return vec![format!("all of epoch {}", object.birth.epoch.0)];
    }
    let tags = fields::tags(&object.head).0;
    let groups = fields::groups(&object.head, "cache-groups").0;
    looked.state.ledger.read(|ledger| {
        let prints = ledger.prints();
        let groups_named = groups.iter().map(|group| prints.group(&object.key, group));
        let named: Vec<_> = tags
            .iter()
            .map(|tag| prints.tag(tag))
            .chain(groups_named)
            .collect();
        // Of what it was made of nothing but the fingerprints of its tags is left.
        let earlier = object.tags.iter().filter(|print| !named.contains(print));
        let earlier = earlier
            .filter(|print| ledger.is_against_print(**print, object.birth))
            .map(|_| "a tag of another part of it, or of an earlier answer".to_owned());
        let scopes = scopes
            .iter()
            .cloned()
            .chain(tags.iter().cloned().map(Scope::Tag));
        let purges = scopes.flat_map(|scope| {
            let purges = ledger.against(&scope, object.birth).into_iter();
            purges.map(move |purge| words::against(&scope, purge))
        });
        let groups = groups
            .iter()
            .filter(|group| ledger.is_against_group(&object.key, group, object.birth));
        let groups = groups.map(|group| format!("group {group:?}, by an unsafe method here"));
        purges.chain(groups).chain(earlier).collect()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, Life};
    use seawall_config::scope::{Mode, Scheme};
    use seawall_config::{Epoch, Revision};

    #[test]
    fn the_scopes_that_are_told_are_those_the_ledger_looks_for() {
        let check = |host: &str, target: &str| {
            let key = Key::new(Revision(1), Scheme::Http, host, target).unwrap();
            let scopes = scopes("shop", &key);
            for scope in &scopes {
                let mut ledger = Ledger::default();
                ledger.begin_epoch(Epoch(1));
                let birth = ledger.birth(Revision(1));
                ledger.purge(std::slice::from_ref(scope), Mode::Hard, Revision(2));
                let life = ledger.judge("shop", &key, Some(&[]), birth);
                assert_eq!(life, Life::HardDead, "{scope} of {host}{target}");
            }
            let mut looked_for = 0;
            let prints = crate::ledger::Fingerprints::default();
            prints.each("shop", &key, &[], |_| looked_for += 1);
            // One of a URL or prefix is looked for with its scheme and without; everything is no entry.
            let told = scopes.iter().map(|scope| match scope {
                Scope::Everything => 0,
                Scope::Url(_) | Scope::Prefix(_) => 2,
                _ => 1,
            });
            assert_eq!(told.sum::<usize>(), looked_for, "{host}{target}");
        };
        check("a", "/");
        check("a:8080", "/b/c?d=/e");
        check("[::1]", "/b");
        check("[::1]:8080", "/b/");
    }
}
