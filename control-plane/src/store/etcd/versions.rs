//! What is known against which version of etcd. The table is not complete, and says only what touches a store like
//! ours: whoever can reach etcd, watches that lose events, and members that lose writes.

use super::members::Members;

/// A defect, and in which release of each branch it is mended.
struct Defect {
    name: &'static str,
    what: &'static str,
    /// `(major, minor, patch)`, in ascending order. A branch that is older than all of them never got it; a newer one
    /// has it from its beginning.
    mended: &'static [(u32, u32, u32)],
}

const DEFECTS: [Defect; 5] = [
    Defect {
        name: "CVE-2026-73499",
        what: "who may read one key can watch the rest",
        mended: &[(3, 5, 33), (3, 6, 14), (3, 7, 1)],
    },
    Defect {
        name: "CVE-2026-33413",
        what: "some calls, compaction among them, are not authorised",
        mended: &[(3, 4, 42), (3, 5, 28), (3, 6, 9)],
    },
    Defect {
        name: "etcd-io/etcd#18089",
        what: "a watch may miss a deletion after a compaction",
        mended: &[(3, 4, 34), (3, 5, 15), (3, 6, 0)],
    },
    Defect {
        name: "etcd-io/etcd#19179",
        what: "a watch that begins at a compacted revision may miss a deletion",
        mended: &[(3, 4, 36), (3, 5, 18), (3, 6, 0)],
    },
    Defect {
        name: "etcd-io/etcd#13766",
        what: "a member that is killed may lose writes that the others have",
        // 3.4 never had it.
        mended: &[(3, 4, 0), (3, 5, 3)],
    },
];

/// One sentence for each member that has one of them.
pub(super) async fn warnings(members: &Members) -> Vec<String> {
    let versions = members.versions().await;
    let warnings = versions
        .iter()
        .filter_map(|(endpoint, version)| warning(endpoint, version));
    warnings.collect()
}

fn warning(endpoint: &str, version: &str) -> Option<String> {
    let Some(parsed) = parse(version) else {
        return Some(format!(
            "{endpoint} is etcd {version:?}, a version that is not known here"
        ));
    };
    let defects: Vec<_> = DEFECTS
        .iter()
        .filter(|defect| !is_mended(parsed, defect.mended))
        .map(|defect| format!("{} ({})", defect.name, defect.what))
        .collect();
    (!defects.is_empty()).then(|| {
        format!(
            "{endpoint} is etcd {version}, which has known holes: {}",
            defects.join(", ")
        )
    })
}

fn is_mended(version: (u32, u32, u32), mended: &[(u32, u32, u32)]) -> bool {
    let branch = |(major, minor, _): (u32, u32, u32)| (major, minor);
    match mended
        .iter()
        .find(|release| branch(**release) == branch(version))
    {
        Some(release) => version >= *release,
        None => mended.last().is_some_and(|newest| version > *newest),
    }
}

/// `3.4.23`, and what may follow after `-` or `+` is left out.
fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let plain = version.split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    let parsed = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_its_holes() {
        let check = |version: &str, expect: &[&str]| {
            let text = warning("http://e:2379", version).unwrap_or_default();
            let found: Vec<_> = DEFECTS
                .iter()
                .map(|defect| defect.name)
                .filter(|name| text.contains(name))
                .collect();
            assert_eq!(found, expect, "{version}: {text}");
        };
        let all: Vec<_> = DEFECTS.iter().map(|defect| defect.name).collect();
        check("3.4.23", &all[..4]);
        check("3.5.1", &all);
        check("3.4.36", &["CVE-2026-73499", "CVE-2026-33413"]);
        check("3.4.42", &["CVE-2026-73499"]);
        check("3.5.28", &["CVE-2026-73499"]);
        check("3.5.33", &[]);
        check("3.6.14", &[]);
        check("3.6.0", &["CVE-2026-73499", "CVE-2026-33413"]);
        check("3.7.0-rc.1", &["CVE-2026-73499"]);
        check("3.8.0", &[]);
    }

    #[test]
    fn a_version_that_cannot_be_read_is_said_so() {
        for odd in ["", "3.4", "new", "3.4.1.2"] {
            let text = warning("http://e:2379", odd).unwrap_or_default();
            assert!(text.contains("not known"), "{odd}: {text}");
        }
    }
}
