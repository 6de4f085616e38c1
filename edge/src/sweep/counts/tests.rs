//! What is counted when objects leave before the sweep comes, while it looks, and after it.

use super::*;
use crate::object::samples::parts;

const HARD: Option<Mode> = Some(Mode::Hard);
const SOFT: Option<Mode> = Some(Mode::Soft);

fn object(birth: u64) -> Object {
    Object::new(parts(birth))
}

/// After a sweep: how many objects each of its purges matched.
fn end(counts: &mut Counts) -> Vec<(u64, u64)> {
    let counted = counts.end().into_iter();
    counted
        .map(|counted| (counted.revision.0, counted.objects))
        .collect()
}

fn purge(counts: &mut Counts, revision: u64, mode: Option<Mode>) {
    assert!(counts.push(Revision(revision), &[Scope::Everything], mode));
}

#[test]
fn what_leaves_before_the_sweep_comes_is_counted_once() {
    let mut counts = Counts::new(Fingerprints::default());
    let (early, late, seen) = (object(1), object(1), object(1));
    purge(&mut counts, 5, SOFT);
    counts.gone(&early);
    let sweep = counts.begin();
    counts.gone(&late);
    // The sweep had taken its shelf in hand.
    sweep.see(&late);
    sweep.see(&seen);
    sweep.see(&seen);
    counts.gone(&seen);
    counts.gone(&seen);
    assert_eq!(end(&mut counts), [(5, 3)]);
}

#[test]
fn what_came_after_a_purge_is_not_counted_for_it() {
    let mut counts = Counts::new(Fingerprints::default());
    let (old, new) = (object(4), object(5));
    purge(&mut counts, 5, HARD);
    counts.gone(&old);
    counts.gone(&new);
    counts.begin();
    assert_eq!(end(&mut counts), [(5, 1)]);
    // Nobody waits: it is nobody's.
    counts.gone(&object(1));
    counts.begin();
    assert_eq!(end(&mut counts), []);
}

#[test]
fn what_a_hard_purge_took_is_not_there_for_the_next() {
    let check = |first: Option<Mode>, expect: u64| {
        let mut counts = Counts::new(Fingerprints::default());
        let (gone, seen) = (object(1), object(1));
        purge(&mut counts, 5, first);
        let sweep = counts.begin();
        purge(&mut counts, 6, HARD);
        sweep.see(&seen);
        counts.gone(&seen);
        counts.gone(&gone);
        assert_eq!(end(&mut counts), [(5, 2)], "{first:?}");
        counts.begin();
        assert_eq!(end(&mut counts), [(6, expect)], "{first:?}");
    };
    check(HARD, 0);
    check(SOFT, 2);
    check(None, 2);
}

#[test]
fn too_many_purges_are_not_counted_and_a_dry_run_is() {
    let mut counts = Counts::new(Fingerprints::default());
    let scopes = vec![Scope::Everything; SCOPES_WAITING_MAX / 2];
    let mut push = |mode| counts.push(Revision(1), &scopes, mode);
    assert!(push(HARD) && push(SOFT));
    assert!(!push(HARD));
    assert!(push(None) && push(None) && !push(None));
    assert!(!counts.push(Revision(1), &[Scope::Everything], HARD));
}
