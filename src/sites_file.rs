//! The sites of `--config FILE`, followed while the file changes, however it is changed: written over, renamed into
//! place by an editor, or a link switched to another folder as Kubernetes does.
//!
//! So the content is what is compared, not times or inodes. A change counts once two looks have found it the
//! same: an editor that empties the file before it writes is not taken at its word.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_config::Problems;
use seawall_config::file::SiteFile;

use crate::exit::{Exit, Failure};

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Between two looks.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A file and what was last made of it.
#[derive(Debug)]
pub(crate) struct SitesFile {
    path: PathBuf,
    looks: Looks,
}

/// What a look found: the text, or why there is none.
type Content = Result<String, String>;

/// Which content counts. No IO.
#[derive(Debug)]
struct Looks {
    /// What was acted on.
    settled: Content,
    /// What the last look found, if it was something else.
    seen: Option<Content>,
}

impl SitesFile {
    /// Reads it for the first time: here every fault ends the process.
    pub(crate) fn open(path: &Path) -> Result<(Self, SiteFile), Failure> {
        let content = read(path);
        let sites =
            check(path, &content).map_err(|problem| Exit::BadConfiguration.because(problem))?;
        let looks = Looks {
            settled: content,
            seen: None,
        };
        Ok((
            Self {
                path: path.to_owned(),
                looks,
            },
            sites,
        ))
    }

    /// None where nothing has changed. Err is for a person: problems with line and caret. `now`: do not wait for a
    /// second look.
    pub(crate) fn look(&mut self, now: bool) -> Option<Result<SiteFile, String>> {
        let content = self.looks.look(read(&self.path), now)?;
        Some(check(&self.path, content))
    }
}

impl Looks {
    /// What is to be acted on, if anything.
    fn look(&mut self, found: Content, now: bool) -> Option<&Content> {
        if now || (found != self.settled && self.seen.as_ref() == Some(&found)) {
            self.seen = None;
            self.settled = found;
            return Some(&self.settled);
        }
        self.seen = (found != self.settled).then_some(found);
        None
    }
}

fn check(path: &Path, content: &Content) -> Result<SiteFile, String> {
    let text = content
        .as_ref()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    SiteFile::parse(text).map_err(|problems| in_file(path, &problems))
}

/// A configuration file as `parse` understands it; what it does not is told with line and caret.
pub(crate) fn read_and_parse<T>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, Problems>,
) -> Result<T, Failure> {
    let bad = |problem: String| Exit::BadConfiguration.because(problem);
    let text = read(path).map_err(|error| bad(format!("{}: {error}", path.display())))?;
    parse(&text).map_err(|problems| bad(in_file(path, &problems)))
}

/// Problems under the name of their file.
pub(crate) fn in_file(path: &Path, problems: &Problems) -> String {
    format!("{}: {}", path.display(), problems.to_string().trim_end())
}

/// A whole text file of a sane size. Err is why not.
pub(crate) fn read(path: &Path) -> Content {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path)
        .map_err(unreadable)?
        .take(FILE_BYTES_MAX + 1);
    let count = file.read_to_end(&mut bytes).map_err(unreadable)?;
    if count as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to());
        let line = 1 + line.filter(|&&byte| byte == b'\n').count();
        format!("is not UTF-8 (line {line})")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_change_counts_once_it_is_seen_twice() {
        let text = |text: &str| -> Content { Ok(text.to_owned()) };
        let mut looks = Looks {
            settled: text("a"),
            seen: None,
        };
        let mut check = |found: Content, now: bool, expect: Option<Content>| {
            assert_eq!(looks.look(found.clone(), now).cloned(), expect, "{found:?}");
        };
        check(text("a"), false, None);
        check(text(""), false, None);
        check(text("half"), false, None);
        check(text("whole"), false, None);
        check(text("whole"), false, Some(text("whole")));
        check(text("whole"), false, None);
        // Seen, gone again, seen: not twice in a row.
        check(text("b"), false, None);
        check(text("whole"), false, None);
        check(text("b"), false, None);
        check(text("b"), false, Some(text("b")));
        // A file that is gone is said once.
        check(Err("gone".into()), false, None);
        check(Err("gone".into()), false, Some(Err("gone".into())));
        check(Err("gone".into()), false, None);
        // Asked for: at once, changed or not.
        check(text("c"), true, Some(text("c")));
        check(text("c"), true, Some(text("c")));
    }

    #[test]
    fn what_is_not_a_text_file_is_named() {
        assert_eq!(
            read(Path::new("/dev/null")),
            Err("is not a regular file".to_owned())
        );
        assert!(
            read(Path::new("/no/such/file"))
                .is_err_and(|error| error.starts_with("cannot be read"))
        );
    }
}
