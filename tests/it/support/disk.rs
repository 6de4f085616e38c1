//! A disk of a test's own, which can be full or only to be read.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::aside::say;
use super::folder::Folder;

/// A small disk in memory; gone when dropped.
pub struct Disk {
    // Before the folder below it is removed.
    mounted: Mounted,
    _folder: Folder,
}

struct Mounted(String);

impl Disk {
    /// None, said plainly, where this may not be done: only root can mount.
    pub fn mount(folder: &Folder, options: &str) -> Option<Self> {
        let path = folder.path().join("disk").to_str().unwrap().to_owned();
        fs::create_dir(&path).unwrap();
        let args = ["-t", "tmpfs", "-o", options, "tmpfs", &path];
        let mount = Command::new("mount").args(args).output();
        match mount {
            Ok(output) if output.status.success() => {}
            other => {
                say(&format!(
                    "NOT TESTED: a full disk, because none can be mounted here: {other:?}"
                ));
                return None;
            }
        }
        Some(Self {
            mounted: Mounted(path),
            _folder: folder.clone(),
        })
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.mounted.0)
    }

    /// Until nothing more goes in.
    pub fn fill(&self) {
        let mut filler = File::create(self.path("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    pub fn free(&self) {
        fs::remove_file(Path::new(&self.path("filler"))).unwrap();
    }

    /// From now on, until it is made writable again.
    pub fn read_only(&self, read_only: bool) {
        let options = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        let mount = Command::new("mount")
            .args(["-o", options, &self.mounted.0])
            .status();
        assert!(mount.unwrap().success(), "{options}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // At once for us, and in the end when the last process has let go of it.
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}
