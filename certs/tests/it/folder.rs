//! A folder of certificates, well kept and badly kept.

use std::fs;

use seawall_certs::{CertsError, Keyring};

use crate::{DAY, folder, now, pair};

#[test]
fn each_name_is_answered_by_the_certificate_that_carries_it() {
    let folder = folder("each_name");
    put(
        &folder,
        "a",
        &["a.example", "*.a.example", "www.a.example"],
        30,
    );
    put(&folder, "b", &["B.example"], 30);
    fs::write(folder.join("README"), "not a certificate").unwrap();
    let keyring = Keyring::load(&folder, now()).unwrap().keyring;
    let check = |asked: Option<&str>, expect: Option<&str>| {
        let found = keyring.certificate(asked);
        let of = expect.map(|name| keyring.certificate(Some(name)).unwrap().cert[0].clone());
        assert_eq!(found.map(|found| found.cert[0].clone()), of, "{asked:?}");
    };
    check(Some("A.Example"), Some("a.example"));
    check(Some("www.a.example"), Some("a.example"));
    check(Some("x.a.example"), Some("a.example"));
    check(Some("b.example"), Some("b.example"));
    // One label only, not none, and never somebody else's.
    check(Some("x.y.a.example"), None);
    check(Some("x.b.example"), None);
    check(Some("example"), None);
    check(Some(""), None);
    // Two certificates: there is no telling whose is meant.
    check(None, None);

    let mut expires: Vec<_> = keyring.expires().collect();
    expires.sort();
    let names: Vec<_> = expires.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["*.a.example", "a.example", "b.example", "www.a.example"]
    );
    assert!(expires.iter().all(|(_, at)| *at == now() + 30 * DAY));
}

#[test]
fn a_single_certificate_answers_a_client_that_names_no_server() {
    let folder = folder("single");
    put(&folder, "a", &["a.example"], 30);
    let keyring = Keyring::load(&folder, now()).unwrap().keyring;
    assert!(keyring.certificate(None).is_some());
    assert!(keyring.certificate(Some("b.example")).is_none());
}

#[test]
fn of_two_certificates_for_one_name_the_one_that_expires_later_answers() {
    let folder = folder("renewed");
    put(&folder, "1-new", &["a.example"], 90);
    put(&folder, "2-old", &["a.example"], 10);
    let loaded = Keyring::load(&folder, now()).unwrap();
    assert_eq!(
        loaded.keyring.expires().collect::<Vec<_>>(),
        [("a.example".into(), now() + 90 * DAY)]
    );
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let folder = folder("expired");
    put(&folder, "old", &["old.example"], -1);
    put(&folder, "new", &["new.example"], 1);
    let loaded = Keyring::load(&folder, now()).unwrap();
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let file = folder.join("old.crt");
    assert_eq!(
        warnings,
        [format!(
            "{}: has expired; clients will refuse it",
            file.display()
        )]
    );
    assert!(loaded.keyring.certificate(Some("old.example")).is_some());
}

#[test]
fn every_problem_is_reported_at_once_and_names_its_file() {
    let folder = folder("problems");
    put(&folder, "good", &["good.example"], 30);
    put(&folder, "mismatched", &["a.example"], 30);
    fs::write(folder.join("mismatched.key"), pair(&["a.example"], 30).1).unwrap();
    put(&folder, "alone", &["a.example"], 30);
    fs::remove_file(folder.join("alone.key")).unwrap();
    fs::write(folder.join("keyonly.key"), "").unwrap();
    put(&folder, "twice", &["a.example"], 30);
    fs::write(folder.join("twice.pem"), "").unwrap();
    put(&folder, "empty", &["a.example"], 30);
    fs::write(folder.join("empty.crt"), "").unwrap();
    fs::write(folder.join("empty.key"), "hello").unwrap();
    put(&folder, "nameless", &[], 30);
    put(&folder, "large", &["a.example"], 30);
    fs::write(folder.join("large.crt"), vec![b'\n'; 300_000]).unwrap();
    put(&folder, "folder", &["a.example"], 30);
    fs::remove_file(folder.join("folder.key")).unwrap();
    fs::create_dir(folder.join("folder.key")).unwrap();

    let Err(CertsError::Files { problems, .. }) = Keyring::load(&folder, now()) else {
        panic!("such a folder was loaded");
    };
    let check = |file: &str, says: &str| {
        let found = problems
            .iter()
            .any(|p| p.file == folder.join(file) && p.message.contains(says));
        assert!(found, "{file}: {says} in {problems:#?}");
    };
    check("mismatched.key", "belongs to another certificate");
    check("alone.crt", "alone.key is missing");
    check("keyonly.key", "no certificate beside it");
    check("empty.key", "holds no private key");
    check("nameless.crt", "names no host");
    check("large.crt", "larger than 262144 bytes");
    check("folder.key", "not a regular file");
    let twice = |p: &&_| matches!(p, seawall_certs::folder::FileProblem { message, .. } if message.contains("same name"));
    assert_eq!(problems.iter().filter(twice).count(), 1);
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[test]
fn a_folder_without_a_pair_is_refused() {
    let folder = folder("empty");
    assert!(matches!(
        Keyring::load(&folder, now()),
        Err(CertsError::Empty { .. })
    ));
    let missing = folder.join("missing");
    assert!(matches!(
        Keyring::load(&missing, now()),
        Err(CertsError::Folder { .. })
    ));
}

fn put(folder: &std::path::Path, name: &str, names: &[&str], days: i64) {
    let (certificate, key) = pair(names, days);
    fs::write(folder.join(format!("{name}.crt")), certificate).unwrap();
    fs::write(folder.join(format!("{name}.key")), key).unwrap();
}
