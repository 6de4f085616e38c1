//! What counts as said, as renewed, and by whom.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
use crate::renewal::FENCED_AFTER_MS;
use seawall_config::feed::{Applied, Load};

const EPOCH: Epoch = Epoch(1);

fn heartbeat(boot: &str, epoch: Epoch, applied: u64) -> Heartbeat {
    Heartbeat {
        boot: boot.into(),
        place: "p".into(),
        version: "1".into(),
        state: EdgeState::Live,
        applied: Some(Applied {
            epoch,
            revision: Revision(applied),
        }),
        lag_ms: None,
        problems: Vec::new(),
        refused: Vec::new(),
        load: Load::default(),
        counted: Vec::new(),
        origins: Vec::new(),
    }
}

/// One edge, `e`, whose boot `b` was registered at 100 ms.
fn fleet() -> Fleet {
    let mut fleet = Fleet::new(EPOCH);
    let registration = Registration {
        boot: "b".into(),
        place: "p".into(),
        first_seen_ms: 0,
    };
    fleet.register("e", Some(registration), Revision(1), 100);
    fleet
}

fn recorded(boot: &str, applied: u64, at_ms: u64) -> PlaneRecord {
    PlaneRecord(vec![EdgeRecord::new(
        "e",
        &heartbeat(boot, EPOCH, applied),
        at_ms,
    )])
}

#[test]
fn what_is_applied_only_grows_and_counts_for_the_boot_that_holds_the_id() {
    let mut fleet = fleet();
    let mut check = |boot: &str, epoch: Epoch, applied: u64, expect: Option<(Option<u64>, u64)>| {
        let moved = fleet.hear("e", &heartbeat(boot, epoch, applied));
        let found = moved.map(|moved| (moved.from.map(|from| from.0), moved.to.0));
        assert_eq!(found, expect, "{boot} {epoch} {applied}");
    };
    check("other", EPOCH, 9, None);
    check("b", Epoch(2), 9, None);
    check("b", EPOCH, 5, Some((None, 5)));
    check("b", EPOCH, 7, Some((Some(5), 7)));
    check("b", EPOCH, 6, None);
    assert_eq!(fleet.vouched_from(), Some(Revision(7)));
    assert_eq!(fleet.hear("unknown", &heartbeat("b", EPOCH, 1)), None);
}

#[test]
fn only_another_record_is_a_renewal() {
    let mut fleet = fleet();
    let mut check = |plane: &str, at_ms: u64, now_ms: u64, renewed_ms: u64| {
        fleet.record(plane, recorded("b", 5, at_ms), Revision(2), now_ms);
        let vouching = fleet.holder("e").unwrap().vouching;
        assert_eq!(
            vouching.renewed_ms, renewed_ms,
            "{plane} {at_ms} at {now_ms}"
        );
    };
    check("one", 10, 200, 200);
    check("one", 10, 300, 200); // Written again, for another edge.
    check("one", 9, 400, 400); // The wall clock stepped back.
    check("two", 9, 500, 500);
    // All records are read again, that of a plane which is gone as well.
    check("one", 9, 600, 500);
    check("two", 9, 600, 500);
}

#[test]
fn a_boot_that_is_gone_does_not_come_back_with_an_old_record() {
    let mut fleet = fleet();
    fleet.record("one", recorded("b", 5, 10), Revision(2), 200);
    let registration = Registration {
        boot: "c".into(),
        place: "p".into(),
        first_seen_ms: 0,
    };
    fleet.register("e", Some(registration), Revision(3), 300);
    let later_ms = 200 + FENCED_AFTER_MS;
    for now_ms in [later_ms, later_ms + 1, 2 * later_ms] {
        fleet.record("one", recorded("b", 5, 10), Revision(2), now_ms);
        let boots: Vec<_> = fleet
            .parties()
            .map(|(_, it)| it.record.boot.as_str())
            .collect();
        assert_eq!(boots, ["c"], "at {now_ms}");
    }
    // Nothing keeps it once no record names it.
    fleet.record("one", recorded("c", 6, 11), Revision(4), 2 * later_ms);
    assert_eq!(fleet.parties.len(), 1);
}

#[test]
fn a_boot_that_lost_its_id_counts_while_it_may_vouch() {
    let mut fleet = fleet();
    fleet.record("one", recorded("b", 5, 10), Revision(2), 200);
    let registration = Registration {
        boot: "c".into(),
        place: "p".into(),
        first_seen_ms: 0,
    };
    fleet.register("e", Some(registration), Revision(3), 300);
    fleet.record("two", recorded("c", 6, 11), Revision(4), 300);
    let boots = |fleet: &Fleet| -> Vec<String> {
        fleet
            .parties()
            .map(|(_, party)| party.record.boot.clone())
            .collect()
    };
    assert_eq!(boots(&fleet), ["b", "c"]);
    fleet.record(
        "two",
        recorded("c", 6, 12),
        Revision(5),
        200 + FENCED_AFTER_MS,
    );
    assert_eq!(boots(&fleet), ["c"]);
    let idle: Vec<_> = fleet.idle_planes("two").collect();
    assert_eq!(idle, [(&"one".to_owned(), Revision(2))]);
    fleet.register("e", None, Revision(6), 300);
    assert_eq!(boots(&fleet), [""; 0]);
    assert_eq!(fleet.vouched_from(), None);
}

#[test]
fn what_an_edge_refuses_counts_as_of_the_newest_revision_it_has_applied() {
    let mut fleet = fleet();
    let says = |applied: u64, refused: &[&str]| {
        let refused = refused.iter().map(|site| RefusedSite {
            site: Some((*site).into()),
            behind: false,
            since: Revision(6),
        });
        Heartbeat {
            refused: refused.collect(),
            ..heartbeat("b", EPOCH, applied)
        }
    };
    let refused = |fleet: &Fleet| {
        let (_, party) = fleet.parties().next().unwrap();
        let names = party
            .refused
            .iter()
            .filter_map(|refused| refused.site.clone());
        names.collect::<Vec<_>>()
    };
    fleet.hear("e", &says(7, &["a"]));
    // Heard late, by way of another plane: what it said at revision 5.
    let late = PlaneRecord(vec![EdgeRecord::new("e", &says(5, &[]), 1)]);
    fleet.record("other", late, Revision(20), 200);
    assert_eq!(refused(&fleet), ["a"]);
    fleet.hear("e", &says(9, &[]));
    assert_eq!(refused(&fleet), [""; 0]);
    // More than a record names are any.
    fleet.hear("e", &says(10, &["a", "b", "c", "d", "e"]));
    assert_eq!(refused(&fleet), [""; 0]);
    let (_, party) = fleet.parties().next().unwrap();
    assert_eq!((party.refused.len(), &party.refused[0].site), (1, &None));
}
