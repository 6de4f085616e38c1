//! The page that says how to deploy on three machines, followed word for word by a script, with each etcd there is.

use std::path::Path;
use std::process::Command;

use crate::support::Version;

/// What the script says where network namespaces are not to be had.
const NOT_TO_BE_HAD: i32 = 77;

#[test]
fn three_machines_are_set_up_as_the_page_says_and_one_may_be_lost() {
    for version in [Version::V3_4, Version::V3_5] {
        let Some(etcd) = version.binary() else {
            continue;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/three-machines.sh");
        let seawall = Path::new(env!("CARGO_BIN_EXE_seawall")).parent().unwrap();
        let status = Command::new("timeout")
            .arg("300")
            .arg(script)
            .arg(seawall)
            .arg(etcd.parent().unwrap())
            .status()
            .unwrap();
        let code = status.code();
        assert!(
            matches!(code, Some(0 | NOT_TO_BE_HAD)),
            "{version:?}: {status}"
        );
    }
}
