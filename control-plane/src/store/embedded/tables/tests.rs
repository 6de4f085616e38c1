use redb::ReadableDatabase;
use redb::backends::InMemoryBackend;

use super::*;

fn put(key: &str, bytes: usize) -> Txn {
    let writes = vec![Write::Put(key.into(), vec![7; bytes].into())];
    Txn {
        writes,
        ..Txn::default()
    }
}

/// One batch over a new store, and what its log may keep.
fn written(txns: &[Txn], revisions_max: u64, bytes_max: u64) -> (Database, Vec<Commit>) {
    let database = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    create(&database, Epoch(3)).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut batch = Batch::open(&transaction).unwrap();
    let commits = txns.iter().map(|txn| batch.apply(txn).unwrap()).collect();
    batch.finish(revisions_max, bytes_max).unwrap();
    transaction.commit().unwrap();
    (database, commits)
}

#[test]
fn a_guard_is_judged_by_what_the_batch_did_before() {
    let guards = vec![Guard::Absent("a".into())];
    let first = Txn {
        guards,
        ..put("a", 1)
    };
    let guards = vec![Guard::ChangedAt("a".into(), Revision(1))];
    let third = Txn {
        guards,
        ..put("b", 1)
    };
    let (_, commits) = written(&[first.clone(), first, third], 100, 10_000);
    let found = vec![entry("a", (1, 1, &[7]))];
    let refused = Commit::Refused {
        revision: Revision(1),
        found,
    };
    assert_eq!(
        commits,
        [
            Commit::Done(Revision(1)),
            refused,
            Commit::Done(Revision(2))
        ]
    );
}

#[test]
fn the_log_is_cut_by_whole_revisions_to_what_it_may_keep() {
    let mut two = put("a", 67);
    two.writes.extend(put("b", 67).writes);
    // Each row counts 100 bytes: key, value, and what it takes beside them. The second revision has two.
    let txns = [put("a", 67), two, put("a", 67), put("a", 67)];
    let check = |revisions_max: u64, bytes_max: u64, expect: u64| {
        let (database, _) = written(&txns, revisions_max, bytes_max);
        let transaction = database.begin_read().unwrap();
        assert_eq!(
            oldest(&transaction).unwrap(),
            Revision(expect),
            "{revisions_max}, {bytes_max}"
        );
        let Page::Steps { steps, until } = page(&transaction, "", Revision(expect - 1)).unwrap()
        else {
            panic!("it begins there");
        };
        assert!(steps.iter().map(|step| step.revision.0).eq(expect..=4) && until == Revision(4));
        if let Some(before) = expect.checked_sub(2) {
            let page = page(&transaction, "", Revision(before)).unwrap();
            assert!(matches!(page, Page::Compacted { oldest: Revision(at) } if at == expect));
        }
        // What is forgotten is not counted any more.
        let kept: usize = steps.iter().map(|step| step.changes.len() * 100).sum();
        let counted = number(&transaction.open_table(META).unwrap(), META_LOG_BYTES).unwrap();
        assert_eq!(counted, kept as u64);
    };
    check(100, 500, 1);
    check(4, 500, 1);
    check(3, 500, 2);
    check(1, 500, 4);
    check(100, 499, 2);
    check(100, 400, 2);
    check(100, 399, 3);
    check(100, 200, 3);
    check(100, 199, 4);
    check(100, 0, 4);
    check(2, 499, 3);
}

#[test]
fn a_page_ends_between_two_revisions() {
    let txns: Vec<Txn> = (0..PAGE_STEPS_MAX + 3).map(|_| put("a", 1)).collect();
    let large = [put("a", PAGE_BYTES_MAX), put("a", 1), put("b", 1)];
    let check = |txns: &[Txn], expect: &[usize]| {
        let (database, _) = written(txns, 1_000, u64::MAX);
        let transaction = database.begin_read().unwrap();
        let mut after = Revision(0);
        for expect in expect {
            let Page::Steps { steps, until } = page(&transaction, "", after).unwrap() else {
                panic!("nothing was cut");
            };
            assert_eq!(steps.len(), *expect);
            assert_eq!(steps.last().unwrap().revision, until);
            assert_eq!(until.0, after.0 + *expect as u64);
            after = until;
        }
        assert_eq!(after.0, txns.len() as u64);
    };
    check(&txns, &[PAGE_STEPS_MAX, 3]);
    check(&large, &[1, 2]);
}
