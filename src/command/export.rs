//! `seawall export`: sites as TOML, which `seawall import` and `seawall run --config` take back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_config::file::{SiteFile, to_toml};
use seawall_config::site::site_name;
use serde_json::Value;

use super::site::{Listed, Listing};
use crate::cli::Server;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::print;

const HEAD: &str = "\
# Sites of Seawall, as `seawall export` wrote them: `seawall import FILE` takes them back, and
# `seawall run --config FILE` serves them.

";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seawall export backup.toml
  seawall export --site www
  seawall export /var/backups/seawall-$(date +%F).toml

What is written is read back before the command ends well, and what did not change is written the same. A
file is replaced as a whole, or left as it was. Exits with 1 when something is not in it, or could not be
taken back, and says what. docs/operations.md says what else a backup needs.")]
pub(crate) struct ExportArgs {
    /// Where to write: a file, or - for stdout
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Only this site; may be repeated
    #[arg(long = "site", value_name = "NAME", value_parser = site_name)]
    sites: Vec<String>,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(args: ExportArgs) -> Result<Exit, Failure> {
    let answer = Client::new(&args.server)?.get("/v1/sites").await?;
    let listing: Listing = answer.json()?;
    let sites = chosen(listing.sites, &args.sites)?;
    let (documents, unreadable) = documents(sites);
    let text = format!("{HEAD}{}", to_toml(&documents));
    let faults = faults(&text, &documents, &unreadable);
    if args.file == Path::new("-") {
        print::result(text.trim_end());
    } else {
        write(&args.file, text.as_bytes()).map_err(|error| {
            Exit::Failed.because(format!(
                "{}: {error}; nothing was written",
                args.file.display()
            ))
        })?;
        let (count, file) = (documents.len(), args.file.display());
        let s = if count == 1 { "" } else { "s" };
        print::note(format_args!("{count} site{s} written to {file}"));
    }
    match faults.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Exit::Failed.because(faults.join("\n"))),
    }
}

/// Those that were named, or all.
fn chosen(sites: Vec<Listed>, names: &[String]) -> Result<Vec<Listed>, Failure> {
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !sites.iter().any(|site| site.name == **name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let names = missing.join(", ");
        return Err(Exit::Failed.because(format!(
            "no site is named {names}: `seawall site list` names them all"
        )));
    }
    let is_chosen = |site: &Listed| names.is_empty() || names.contains(&site.name);
    Ok(sites.into_iter().filter(is_chosen).collect())
}

/// And the names of those that a control plane could not read.
fn documents(sites: Vec<Listed>) -> (Vec<Value>, Vec<String>) {
    let (readable, unreadable): (Vec<_>, Vec<_>) =
        sites.into_iter().partition(|site| site.site.is_object());
    let documents = readable.into_iter().map(|site| site.site);
    let unreadable = unreadable.into_iter().map(|site| site.name);
    (documents.collect(), unreadable.collect())
}

/// Why this is no whole backup.
fn faults(text: &str, documents: &[Value], unreadable: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    if !unreadable.is_empty() {
        let names = unreadable.join(", ");
        faults.push(format!(
            "not in it: {names}; what the store holds for them is no site. Put them again, or delete them"
        ));
    }
    if documents.is_empty() {
        faults.push("there is no site in it".to_owned());
        return faults;
    }
    match SiteFile::parse(text) {
        Err(problems) => faults.push(format!(
            "this Seawall would not take it back as it is: {}",
            problems.to_string().trim_end()
        )),
        Ok(file) => {
            let pairs = file.sites.iter().zip(documents);
            let other = pairs.filter(|((_, back), document)| back != *document);
            let names: Vec<_> = other.map(|((site, _), _)| site.name.as_str()).collect();
            if !names.is_empty() {
                let names = names.join(", ");
                faults.push(format!(
                    "read back as something else, by a fault of ours: {names}"
                ));
            }
        }
    }
    faults
}

/// All of it or nothing, also when the disk is full.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link points to is replaced, not the link.
    let file = match fs::canonicalize(file) {
        Ok(there) if !there.is_file() => {
            let why = "there is something else than a file; - writes to stdout";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(there) => there,
        Err(_) => std::path::absolute(file)?,
    };
    let fresh = file.with_file_name(format!(".seawall-export-{}", std::process::id()));
    let written = File::create_new(&fresh).and_then(|mut fresh| {
        fresh.write_all(bytes)?;
        fresh.sync_all()
    });
    let moved = written.and_then(|()| fs::rename(&fresh, &file));
    if moved.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&fresh);
    }
    moved
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::*;

    fn site(name: &str, origin: &str) -> Value {
        json!({"name": name, "hosts": [name], "origin": origin})
    }

    #[test]
    fn what_makes_a_backup_less_than_whole_is_told() {
        let check = |documents: &[Value], unreadable: &[&str], expect: &[&str]| {
            let text = format!("{HEAD}{}", to_toml(documents));
            let unreadable: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
            let found = faults(&text, documents, &unreadable);
            assert_eq!(found.len(), expect.len(), "{found:?}");
            for (fault, part) in found.iter().zip(expect) {
                assert!(fault.contains(part), "{part:?} is not in {fault}");
            }
        };
        let good = || site("a", "http://a");
        check(&[good()], &[], &[]);
        check(&[], &[], &["no site"]);
        check(&[good()], &["b", "c"], &["not in it: b, c"]);
        check(&[], &["b"], &["not in it: b", "no site"]);
        check(&[good(), site("b", "ftp://b")], &[], &["site[1].origin"]);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_else_is_touched() {
        let folder = std::env::temp_dir().join(format!("seawall-export-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("backup.toml");
        for text in ["one", "two"] {
            write(&file, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        let link = folder.join("link.toml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, b"three").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "three");
        assert!(write(Path::new("/dev/null"), b"four").is_err());
        assert!(write(&folder.join("none/backup.toml"), b"five").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
