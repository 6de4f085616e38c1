//! Certificates that `openssl` makes: an authority, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::Folder;

/// Signs certificates; who trusts `path` trusts them.
pub struct Authority {
    folder: Folder,
}

impl Authority {
    pub fn new() -> Self {
        let folder = Folder::new();
        let new = ["-x509", "-days", "30", "-subj", "/CN=authority"];
        let files = ["-keyout", "ca.key", "-out", "ca.pem"];
        openssl(folder.path(), &[&["req"][..], &KEY, &new, &files].concat());
        Self { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn pem(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// Puts `name.crt` and `name.key` into `folder`, each in one step: a certificate for `hosts`.
    pub fn sign(&self, folder: &Path, name: &str, hosts: &[&str], days: u32) {
        let hosts: Vec<_> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
        let hosts = format!("subjectAltName={}", hosts.join(","));
        let own = self.folder.path();
        let asked = ["-subj", "/CN=signed", "-addext", &hosts];
        let files = ["-keyout", "new.key", "-out", "new.csr"];
        openssl(own, &[&["req"][..], &KEY, &asked, &files].concat());
        let days = days.to_string();
        let by = [
            "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        ];
        let how = [
            "-CAcreateserial",
            "-copy_extensions",
            "copy",
            "-days",
            &days,
            "-out",
            "new.crt",
        ];
        openssl(own, &[&["x509"][..], &by, &how].concat());
        for kind in ["key", "crt"] {
            let there = folder.join(format!("{name}.{kind}"));
            let aside = there.with_extension("new");
            fs::copy(own.join(format!("new.{kind}")), &aside).unwrap();
            fs::rename(aside, there).unwrap();
        }
    }
}

const KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

fn openssl(folder: &Path, args: &[&str]) {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .output();
    let output = output.expect("openssl is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {args:?}: {said}");
}
