//! The development CA: made once, kept while it is good, its key kept to itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use seawall_certs::development::DevelopmentError;
use seawall_certs::development_ca;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::{DAY, folder, now};

#[test]
fn the_key_can_be_read_by_its_owner_only() {
    let state = folder("mode").join("new");
    development_ca(&state, &[], now()).unwrap();
    assert_eq!(
        fs::metadata(state.join("ca.key"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let mut files: Vec<_> = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["ca.key", "ca.lock", "ca.pem"]);
}

#[test]
fn the_authority_is_kept_while_it_is_good_and_made_anew_when_it_is_not() {
    let state = folder("kept");
    let start =
        |names: &[&str], days: u32| development_ca(&state, names, now() + DAY * days).unwrap();
    assert!(start(&["shop.localhost"], 0).made);
    let first = pem(&state);
    // The names of the first start, fewer, and names below them.
    for names in [
        &["shop.localhost"][..],
        &[],
        &["deep.shop.localhost"],
        &["*.shop.localhost"],
    ] {
        let again = start(names, 100);
        assert!(!again.made, "{names:?}");
        assert_eq!(again.expires, now() + DAY * 190);
        assert_eq!(pem(&state), first);
    }
    assert!(
        start(&["shop.example"], 100).made,
        "a name it may not sign for"
    );
    let second = pem(&state);
    assert_ne!(second, first);
    assert!(!start(&["shop.example"], 3_600).made);
    assert!(
        start(&["shop.example"], 3_700).made,
        "it ends before a certificate made today would"
    );
    assert!(start(&["shop.example"], 0).made, "it is not valid yet");
    fs::remove_file(state.join("ca.key")).unwrap();
    assert!(start(&["shop.example"], 0).made, "half a pair");
    let key = fs::read(state.join("ca.key")).unwrap();
    development_ca(&folder("other"), &[], now()).unwrap();
    fs::copy(folder_of("other").join("ca.key"), state.join("ca.key")).unwrap();
    assert!(start(&["shop.example"], 0).made, "the key of another");
    assert_ne!(fs::read(state.join("ca.key")).unwrap(), key);
}

#[test]
fn the_authority_may_sign_for_its_names_only_and_for_no_further_authority() {
    let state = folder("constrained");
    development_ca(&state, &["shop.example", "10.1.2.3"], now()).unwrap();
    let der = CertificateDer::from_pem_file(state.join("ca.pem")).unwrap();
    let (_, ca) = X509Certificate::from_der(&der).unwrap();
    let basic = ca.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
    assert!(ca.key_usage().unwrap().unwrap().value.key_cert_sign());
    let identifies = |extension: &&_| matches!(extension, ParsedExtension::SubjectKeyIdentifier(_));
    assert_eq!(
        ca.iter_extensions()
            .map(|e| e.parsed_extension())
            .filter(identifies)
            .count(),
        1
    );
    let constraints = ca.name_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    assert_eq!(
        constraints.value.permitted_subtrees.as_ref().unwrap().len(),
        5
    );
}

#[test]
fn somebody_elses_authority_is_not_overwritten() {
    let state = folder("foreign");
    let (pem, key) = crate::pair(&["mine.example"], 100);
    fs::write(state.join("ca.pem"), &pem).unwrap();
    fs::write(state.join("ca.key"), &key).unwrap();
    let refused = development_ca(&state, &[], now());
    assert!(
        matches!(refused, Err(DevelopmentError::NotOurs { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(state.join("ca.key")).unwrap(), key);
}

#[test]
fn names_that_no_certificate_can_carry_are_refused() {
    for bad in ["", "a b", "*", "*.localhost", "http://a", "a.", "a,b"] {
        let refused = development_ca(&folder("names"), &[bad], now());
        assert!(
            matches!(refused, Err(DevelopmentError::Name(ref name)) if name == bad),
            "{bad:?}"
        );
    }
    let many = vec!["a.example"; 101];
    let refused = development_ca(&folder("names"), &many, now());
    assert!(matches!(refused, Err(DevelopmentError::TooManyNames(101))));
}

fn pem(state: &Path) -> String {
    fs::read_to_string(state.join("ca.pem")).unwrap()
}

fn folder_of(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
