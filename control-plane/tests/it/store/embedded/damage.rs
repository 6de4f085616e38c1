//! A file that is damaged, or something else, is refused by name; it is neither deleted nor believed.

use super::*;

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let refused = |bytes: &[u8]| {
        let folder = Folder::new();
        std::fs::write(folder.file(), bytes).unwrap();
        let error = EmbeddedStore::open(&folder.0).err().expect("a refusal");
        let named = error
            .to_string()
            .starts_with(&folder.file().display().to_string());
        assert!(
            named && matches!(error, OpenError::NotAStore { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("move it away"), "{error}");
        assert!(
            std::fs::read(folder.file()).unwrap() == bytes,
            "changed after {error}"
        );
    };
    let (folder, _) = filled().await;
    let whole = std::fs::read(folder.file()).unwrap();
    refused(b"");
    refused(b"not a store");
    refused(&vec![0; 100_000]);
    refused(&noise(7).take(100_000).map(|n| n as u8).collect::<Vec<_>>());
    refused(&whole[..100]);
    refused(&[b"GET / HTTP/1.1\r\n", &whole[16..]].concat());
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_gives_what_was_written() {
    let (folder, view) = filled().await;
    let whole = std::fs::read(folder.file()).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    let mut check = async |what: String, bytes: &[u8]| {
        std::fs::write(folder.file(), bytes).unwrap();
        match EmbeddedStore::open(&folder.0) {
            Err(OpenError::NotAStore { .. }) => refused += 1,
            Err(error) => panic!("{what}: {error:?}"),
            // What was changed is used by nothing.
            Ok(store) => {
                assert_eq!(store.read("").await.unwrap(), view, "{what}");
                let mut follow = store.follow("", Revision(0)).await.unwrap();
                assert_eq!(
                    until(&mut follow, view.revision).await.len() as u64,
                    view.revision.0
                );
                unharmed += 1;
            }
        }
    };
    let anywhere = |seed| noise(seed).map(|n| n as usize % whole.len());
    for at in (0..512).step_by(3).chain(anywhere(11).take(150)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        check(format!("byte {at}"), &bytes).await;
    }
    for at in anywhere(13).take(30) {
        check(format!("cut at {at}"), &whole[..at]).await;
    }
    assert!(
        refused > 20 && unharmed > 0,
        "{refused} refused, {unharmed} unharmed"
    );
}

#[tokio::test]
async fn a_store_that_was_never_finished_is_begun_again() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("store.new"), b"the process died here").unwrap();
    let store = folder.open();
    assert_eq!(write(&*store, [put("/a", 1)]).await, Revision(1));
    assert!(!folder.0.join("store.new").exists());
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("file"), b"").unwrap();
    let refused = EmbeddedStore::open(&folder.0.join("file"))
        .err()
        .expect("a refusal");
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
}

/// A closed store with something in it.
async fn filled() -> (Folder, View) {
    let folder = Folder::new();
    let store = folder.open();
    for n in 0..60 {
        let value = vec![n; 400 * usize::from(n % 8)];
        let put = Write::Put(format!("/filled/{}", n % 40), value.into());
        write(&*store, [put]).await;
    }
    let view = store.read("").await.unwrap();
    (folder, view)
}

/// The same numbers each time (xorshift64).
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let numbers = std::iter::successors(Some(seed), |n| {
        let n = n ^ (n << 13);
        let n = n ^ (n >> 7);
        Some(n ^ (n << 17))
    });
    numbers.map(|n| n >> 16)
}
