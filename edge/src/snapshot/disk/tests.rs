//! What is saved is loaded; what is damaged is passed over; what goes wrong leaves the rest as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_config::feed::{Beacon, Drain, PurgeRecord, SiteDocument, Snapshot};
use seawall_config::{Epoch, Mode, Revision, Scope};
use serde_json::json;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "seawall-disk-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    /// The revision it boots from, and how many files were passed over.
    fn boots(&self) -> (Option<u64>, usize) {
        let loaded = load(&self.0);
        let found = (revision(&loaded), loaded.notes.len());
        loaded.survived();
        found
    }

    /// The revision it dies of.
    fn dies(&self) -> Option<u64> {
        revision(&load(&self.0))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn revision(loaded: &Loaded) -> Option<u64> {
    let kept = loaded.generation.as_ref();
    kept.map(|kept| kept.followed.revision.0)
}

fn snapshot(revision: u64) -> Generation {
    let revision = Revision(revision);
    let site = |host: &str| SiteDocument {
        name: "a".into(),
        created: Revision(1),
        revision: Revision(1),
        site: json!({"name": "a", "hosts": [host]}),
    };
    let followed = Followed::from_snapshot(Snapshot {
        epoch: Epoch(3),
        revision,
        floor: Revision(1),
        beacon: Some((
            revision,
            Beacon {
                id: "b".into(),
                at_ms: 5,
            },
        )),
        sites: vec![site("é")],
        purges: vec![PurgeRecord {
            revision,
            scopes: vec![Scope::Everything],
            mode: Mode::Soft,
            settle_ms: 0,
        }],
        drained: vec![Drain {
            site: "a".into(),
            servers: vec!["http://a.test".into()],
            optional: true,
        }],
    });
    Generation {
        followed: Arc::new(followed.unwrap()),
        kept: vec![Kept {
            document: Arc::new(site("before").into()),
            until: Revision(1),
        }],
    }
}

#[test]
fn what_is_saved_is_loaded_and_the_one_before_is_kept() {
    let folder = Folder::new();
    assert_eq!(
        folder.boots(),
        (None, 0),
        "an empty folder is nothing to note"
    );
    for revision in 1..=3 {
        save(&folder.0, &snapshot(revision)).unwrap();
        assert_eq!(load(&folder.0).generation, Some(snapshot(revision)));
    }
    fs::remove_file(folder.0.join(NEWEST)).unwrap();
    assert_eq!(folder.boots(), (Some(2), 0));
}

#[test]
fn a_snapshot_cut_or_changed_at_any_byte_gives_way_to_the_older_one() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    let whole = folder.read(NEWEST);
    for end in 0..whole.len() {
        folder.write(NEWEST, &whole[..end]);
        assert_eq!(folder.boots(), (Some(1), 1), "cut after {end} bytes");
        let mut flipped = whole.clone();
        flipped[end] ^= 0x01;
        folder.write(NEWEST, &flipped);
        assert_eq!(folder.boots(), (Some(1), 1), "changed at byte {end}");
    }
    folder.write(NEWEST, b"");
    folder.write(OLDER, b"");
    assert_eq!(folder.boots(), (None, 2), "nothing whole is left");
    folder.write(NEWEST, &whole);
    assert_eq!(folder.boots(), (Some(2), 0));
}

#[test]
fn killed_between_any_two_steps_of_a_save_one_whole_generation_is_left() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(3)).unwrap();
    let third = folder.read(NEWEST);
    fs::remove_file(folder.0.join(NEWEST)).unwrap();
    save(&folder.0, &snapshot(1)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    let (second, path) = (folder.read(NEWEST), |name: &str| folder.0.join(name));
    for end in 0..third.len() {
        folder.write(TEMPORARY, &third[..end]);
        assert_eq!(folder.boots(), (Some(2), 0), "while it was written");
    }
    folder.write(TEMPORARY, &third);
    assert_eq!(folder.boots(), (Some(2), 0), "before the first rename");
    fs::rename(path(NEWEST), path(OLDER)).unwrap();
    assert_eq!(folder.boots(), (Some(3), 0), "between the renames");
    fs::rename(path(TEMPORARY), path(NEWEST)).unwrap();
    assert_eq!(
        (folder.boots(), folder.read(OLDER)),
        ((Some(3), 0), second),
        "after both"
    );
    folder.write(TEMPORARY, b"left over");
    save(&folder.0, &snapshot(4)).unwrap();
    assert_eq!(
        folder.boots(),
        (Some(4), 0),
        "what was left over is in nobody's way"
    );
}

#[test]
fn what_cannot_be_saved_is_an_error_and_leaves_what_was_there() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    // A folder in the way stops root, too, as a missing permission would not.
    fs::create_dir(folder.0.join(TEMPORARY)).unwrap();
    assert!(save(&folder.0, &snapshot(2)).is_err());
    assert_eq!(load(&folder.0).generation, Some(snapshot(1)));
    assert!(save(&folder.0.join("missing"), &snapshot(2)).is_err());
    assert!(
        save(&folder.0.join(NEWEST), &snapshot(2)).is_err(),
        "a file is no folder"
    );
    fs::remove_dir(folder.0.join(TEMPORARY)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    assert_eq!(folder.boots(), (Some(2), 0), "and it is tried again");
}

#[test]
fn a_later_format_is_not_guessed_at() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    let later =
        String::from_utf8(folder.read(NEWEST))
            .unwrap()
            .replacen("snapshot-1", "snapshot-2", 1);
    folder.write(NEWEST, later.as_bytes());
    let loaded = load(&folder.0);
    assert_eq!(loaded.generation, None);
    assert!(
        loaded.notes[0].ends_with("it does not begin as a snapshot of this version does"),
        "{:?}",
        loaded.notes
    );
}

#[test]
fn what_is_damaged_is_never_pushed_over_what_is_whole() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    folder.write(NEWEST, b"damaged");
    assert_eq!(folder.boots(), (Some(1), 1));
    assert_eq!(folder.read(ASIDE), b"damaged");
    save(&folder.0, &snapshot(3)).unwrap();
    fs::remove_file(folder.0.join(NEWEST)).unwrap();
    assert_eq!(folder.boots(), (Some(1), 0), "the older is still there");
}

#[test]
fn what_does_not_hold_together_gives_way_to_the_older_one() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    let whole = String::from_utf8(folder.read(NEWEST)).unwrap();
    let (_, body) = whole.split_once('\n').unwrap();
    let body = body.replace("\"floor\":1", "\"floor\":9");
    folder.write(
        NEWEST,
        &[header(body.as_bytes()).as_bytes(), body.as_bytes()].concat(),
    );
    assert_eq!(folder.boots(), (Some(1), 1));
}

#[test]
fn what_an_edge_died_of_twice_gives_way_to_the_older_one() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    assert_eq!(
        (folder.dies(), folder.boots()),
        (Some(2), (Some(2), 0)),
        "once is chance"
    );
    assert_eq!((folder.dies(), folder.dies()), (Some(2), Some(2)));
    let loaded = load(&folder.0);
    assert_eq!(revision(&loaded), Some(1));
    assert!(
        loaded.notes[0].ends_with("died 2 times while it booted from it"),
        "{:?}",
        loaded.notes
    );
    loaded.survived();
    assert_eq!(folder.boots(), (Some(1), 0), "and it stays so");
    save(&folder.0, &snapshot(3)).unwrap();
    assert_eq!(folder.boots(), (Some(3), 0), "until there is a newer one");
    // Whatever it dies of, it comes to an end: then there is nothing to begin with.
    let all: Vec<_> = (0..5).map(|_| folder.dies()).collect();
    assert_eq!(all, [Some(3), Some(3), Some(1), Some(1), None]);
}

#[test]
fn a_folder_where_nothing_can_be_written_is_read_all_the_same() {
    let folder = Folder::new();
    save(&folder.0, &snapshot(1)).unwrap();
    save(&folder.0, &snapshot(2)).unwrap();
    folder.write(NEWEST, b"damaged");
    // Folders in the way stop root, too, as a missing permission would not.
    fs::create_dir_all(folder.0.join(ASIDE).join("full")).unwrap();
    fs::create_dir(folder.0.join("snapshot.trying")).unwrap();
    for _ in 0..3 {
        assert_eq!(folder.boots(), (Some(1), 1));
    }
}

/// A line that brings a site from its state before to `revision`.
fn appended(folder: &Folder, length: u64, revision: u64) -> u64 {
    let frame = json!({"epoch": 3, "revision": revision, "changes": [
        {"put_site": {"name": "a", "created": 1, "revision": revision, "site": {"name": "a", "at": revision}}},
        {"purge": {"scopes": ["everything"], "mode": "hard"}},
    ]});
    let kept = snapshot(1).kept;
    append(
        &folder.0,
        length,
        &[frame.to_string()],
        &kept[..(revision % 2) as usize],
    )
    .unwrap()
}

#[test]
fn what_is_appended_is_loaded_up_to_its_last_whole_line() {
    let folder = Folder::new();
    let mut ends = vec![save(&folder.0, &snapshot(2)).unwrap()];
    for revision in 3..=5 {
        ends.push(appended(&folder, ends[ends.len() - 1], revision));
    }
    let whole = folder.read(NEWEST);
    let newest = load(&folder.0).generation.unwrap();
    assert_eq!(
        (newest.followed.revision, newest.kept.len()),
        (Revision(5), 1)
    );
    assert_eq!(newest.followed.purges.len(), 4);
    assert!(
        newest
            .followed
            .sites
            .get("a")
            .unwrap()
            .text
            .contains("\"at\":5")
    );
    for end in ends[0] as usize..whole.len() {
        let lines = ends.iter().filter(|at| **at <= end as u64).count() as u64;
        folder.write(NEWEST, &whole[..end]);
        assert_eq!(
            folder.boots(),
            (Some(1 + lines), 0),
            "cut after {end} bytes"
        );
        let mut flipped = whole.clone();
        flipped[end] ^= 0x01;
        folder.write(NEWEST, &flipped);
        let (revision, notes) = folder.boots();
        assert_eq!(revision, Some(1 + lines), "changed at byte {end}");
        assert!(
            notes == 1 || end + 1 == whole.len(),
            "changed at byte {end}"
        );
    }
    // What is appended later than a line that was not whole would be lost: it is not appended.
    folder.write(NEWEST, &whole[..whole.len() - 1]);
    assert!(append(&folder.0, whole.len() as u64, &[], &[]).is_err());
}

#[test]
fn what_does_not_follow_is_not_taken() {
    let folder = Folder::new();
    let length = save(&folder.0, &snapshot(2)).unwrap();
    for (frame, why) in [
        (json!({"epoch": 3, "revision": 2}), "it is there already"),
        (json!({"epoch": 4, "revision": 3}), "another epoch"),
        (
            json!({"epoch": 3, "revision": 3, "changes": [{"beacon": {"id": "?", "at_ms": 0}}]}),
            "unsound",
        ),
        (json!(5), "no frame"),
    ] {
        append(&folder.0, length, &[frame.to_string()], &[]).unwrap();
        assert_eq!(folder.boots(), (Some(2), 1), "{why}");
        save(&folder.0, &snapshot(2)).unwrap();
    }
}
