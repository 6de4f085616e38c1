//! A keyring from a folder: `name.crt` or `name.pem` (the chain) beside `name.key`.
//!
//! Every problem of every file is reported at once; with any, the folder is refused as a whole, so that
//! whoever follows it keeps what it served before.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::{Certificate, CertificateError};
use crate::keyring::Keyring;

/// Bytes of one file.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Entries of the folder, whatever they are.
pub const FOLDER_ENTRIES_MAX: usize = 50_000;

/// What a folder held.
#[derive(Debug)]
pub struct Loaded {
    pub keyring: Keyring,
    /// What an operator should hear of, though it is served: expired, or not yet valid.
    pub warnings: Vec<FileProblem>,
}

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    pub file: PathBuf,
    pub message: String,
}

/// Why a folder is not a keyring.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    #[error("the certificate folder {} cannot be read: {source}", folder.display())]
    Folder {
        folder: PathBuf,
        source: std::io::Error,
    },
    #[error("the certificate folder {} has more than {FOLDER_ENTRIES_MAX} entries", folder.display())]
    TooManyEntries { folder: PathBuf },
    #[error(
        "the certificate folder {} holds no pair: put NAME.crt (or NAME.pem) and NAME.key there",
        folder.display()
    )]
    Empty { folder: PathBuf },
    /// In the order of the files' names; never empty.
    #[error("the certificate folder {} is refused:{}", folder.display(), Lines(problems))]
    Files {
        folder: PathBuf,
        problems: Vec<FileProblem>,
    },
}

/// How the pairs of a folder look from outside: as long as that stays the same, so do they.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

/// None: it cannot be looked at.
pub fn stamp(folder: &Path) -> Option<Stamp> {
    let mut hasher = DefaultHasher::new();
    for (name, pair) in pairs(folder).ok()? {
        name.hash(&mut hasher);
        for file in pair.certificates.iter().chain(&pair.key) {
            file.hash(&mut hasher);
            // Behind a link the file may be another one.
            let Ok(file) = std::fs::metadata(file) else {
                continue;
            };
            (file.dev(), file.ino(), file.len()).hash(&mut hasher);
            (file.mtime(), file.mtime_nsec()).hash(&mut hasher);
            (file.ctime(), file.ctime_nsec()).hash(&mut hasher);
        }
    }
    Some(Stamp(hasher.finish()))
}

impl Keyring {
    /// Reads every pair of `folder`; other files and folders are left alone. `now` is for the warnings.
    pub fn load(folder: &Path, now: SystemTime) -> Result<Loaded, CertsError> {
        let pairs = pairs(folder)?;
        if pairs.is_empty() {
            return Err(CertsError::Empty {
                folder: folder.to_owned(),
            });
        }
        let (mut certificates, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for pair in pairs.into_values() {
            match pair.read() {
                Ok((file, certificate)) => {
                    warnings.extend(
                        day_warning(&certificate, now).map(|message| FileProblem { file, message }),
                    );
                    certificates.push(certificate);
                }
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(CertsError::Files {
                folder: folder.to_owned(),
                problems,
            });
        }
        Ok(Loaded {
            keyring: Self::new(&certificates),
            warnings,
        })
    }
}

/// The files of one name.
#[derive(Default)]
struct Pair {
    certificates: Vec<PathBuf>,
    key: Option<PathBuf>,
}

/// Every file that ends like a certificate or a key, by the name before the ending.
fn pairs(folder: &Path) -> Result<BTreeMap<PathBuf, Pair>, CertsError> {
    let unreadable = |source| CertsError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let mut pairs = BTreeMap::<PathBuf, Pair>::new();
    for (seen, entry) in std::fs::read_dir(folder).map_err(unreadable)?.enumerate() {
        if seen == FOLDER_ENTRIES_MAX {
            return Err(CertsError::TooManyEntries {
                folder: folder.to_owned(),
            });
        }
        let file = entry.map_err(unreadable)?.path();
        let name = file.with_extension("");
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("crt" | "pem") => pairs.entry(name).or_default().certificates.push(file),
            Some("key") => pairs.entry(name).or_default().key = Some(file),
            _ => {}
        }
    }
    Ok(pairs)
}

impl Pair {
    /// The certificate and the file it came from, or all that is wrong with the two files.
    fn read(self) -> Result<(PathBuf, Certificate), Vec<FileProblem>> {
        let one = |file: &Path, message: String| {
            vec![FileProblem {
                file: file.to_owned(),
                message,
            }]
        };
        let (file, key_file) = match (&self.certificates[..], &self.key) {
            ([file], Some(key)) => (file, key),
            ([file, other, ..], _) => {
                return Err(one(file, format!("{} has the same name", other.display())));
            }
            ([file], None) => {
                let key = file.with_extension("key");
                return Err(one(file, format!("{} is missing beside it", key.display())));
            }
            ([], key) => {
                let message = "no certificate beside it: NAME.crt or NAME.pem".to_owned();
                return Err(one(key.as_deref().unwrap_or(Path::new("")), message));
            }
        };
        let (chain, key) = match (read_pem(file, chain), read_pem(key_file, private_key)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
        };
        match Certificate::new(chain, &key) {
            Ok(certificate) => Ok((file.clone(), certificate)),
            Err(error @ (CertificateError::Key(_) | CertificateError::KeyMismatch)) => {
                Err(one(key_file, error.to_string()))
            }
            Err(error) => Err(one(file, error.to_string())),
        }
    }
}

/// What `parse` finds in a file that is a file and not too big.
fn read_pem<T>(file: &Path, parse: fn(&[u8]) -> Result<T, String>) -> Result<T, FileProblem> {
    let problem = |message: String| FileProblem {
        file: file.to_owned(),
        message,
    };
    let unreadable = |error: std::io::Error| problem(format!("cannot be read: {error}"));
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(problem("is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let mut reader = File::open(file)
        .map_err(unreadable)?
        .take(FILE_BYTES_MAX + 1);
    let read = reader.read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(problem(format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    parse(&bytes).map_err(problem)
}

fn chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM: {error}"))
}

fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            "holds no private key that can be used: a PEM block BEGIN PRIVATE KEY, without a password"
                .to_owned()
        }
        other => format!("is not PEM: {other}"),
    })
}

/// What to say of a certificate that does not hold at `now`.
fn day_warning(certificate: &Certificate, now: SystemTime) -> Option<String> {
    if certificate.valid.expires < now {
        Some("has expired; clients will refuse it".to_owned())
    } else if certificate.valid.begins > now {
        Some("is not valid yet; clients will refuse it".to_owned())
    } else {
        None
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.message)
    }
}

struct Lines<'a>(&'a [FileProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
