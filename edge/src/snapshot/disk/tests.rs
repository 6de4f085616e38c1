//! What is saved is loaded; what is damaged is passed over; what goes wrong leaves the rest as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_config::feed::{Beacon, PurgeRecord, SiteDocument, Snapshot};
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

    /// The revision it would boot from, and how many files were passed over.
    fn boots(&self) -> (Option<u64>, usize) {
        let loaded = load(&self.0);
        (
            loaded.generation.map(|kept| kept.followed.revision.0),
            loaded.notes.len(),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
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
    folder.write(NEWEST, &[&whole[..], b"x"].concat());
    assert_eq!(folder.boots(), (Some(1), 1), "something after it");
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
