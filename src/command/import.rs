//! `seawall import`: puts the sites of a file, as one change where that fits the store, and says first what changes.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::site::{self, Listing};
use crate::cli::Server;
use crate::client::{ANSWER_TIMEOUT, Client, if_match};
use crate::exit::{Exit, Failure};
use crate::print;

mod diff;

use diff::Diff;

/// What the API takes at once: sites,
const BATCH_SITES_MAX: usize = 100;
/// and bytes of their documents, below its limit of 1 MiB for all of a request.
const BATCH_BYTES_MAX: usize = 768 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seawall import backup.toml --dry-run
  seawall import backup.toml
  seawall import backup.toml --replace

Everything is checked before anything is written. Up to 100 sites that change (and 768 KiB of them) change
in one revision, all of them or none; more change in steps of that size, and what was done is told. If
somebody else changes a site meanwhile nothing more is written. Run again, it goes on where it stopped:
what is so already is not written.

Sites that are not in the file stay, unless --replace is given. Sites that belong to the file of
`seawall run --config` cannot be changed here: then nothing is written, change that file.")]
pub(crate) struct ImportArgs {
    /// TOML with [[site]], as `seawall export` writes it, or one site as JSON
    file: PathBuf,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete the sites that are not in the file
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(args: ImportArgs) -> Result<Exit, Failure> {
    let wanted = site::read(&args.file)?;
    let client = Client::new(&args.server)?;
    let answer = client.get("/v1/sites").await?;
    let listing: Listing = answer.json()?;
    let wanted = wanted
        .into_iter()
        .map(|(site, document)| (site.name, document));
    let diff = Diff::new(wanted.collect(), &listing.sites, args.replace);
    print::result(diff.text().trim_end());
    let foreign = diff.foreign.join(", ");
    if !foreign.is_empty() {
        return Err(Exit::Failed.because(format!(
            "nothing was written: {foreign} belong to the file of `seawall run --config`; change that file"
        )));
    }
    if args.dry_run || diff.is_empty() {
        print::note("nothing was written");
        return Ok(Exit::Done);
    }
    write(&client, &diff, answer.etag).await
}

/// Batch by batch, each only if no site has changed since the one before.
async fn write(
    client: &Client,
    diff: &Diff<'_>,
    mut etag: Option<String>,
) -> Result<Exit, Failure> {
    let batches = batches(diff);
    let (count, mut done) = (batches.len(), 0);
    for batch in &batches {
        let body = &serde_json::to_value(batch).map_err(anyhow::Error::from)?;
        let (failure, is_sure) = match client
            .post(
                "/v1/sites",
                body,
                etag.as_deref().map(if_match),
                ANSWER_TIMEOUT,
            )
            .await
        {
            Err(failure) => (failure, false),
            Ok(answer) => match answer.good() {
                Err(failure) => (failure, answer.status.is_client_error()),
                Ok(()) => {
                    (etag, done) = (answer.etag, done + 1);
                    continue;
                }
            },
        };
        return Err(stopped(&failure, is_sure, done, count));
    }
    let revision = etag.unwrap_or_default();
    let revision = revision.trim_matches('"');
    print::note(format_args!("written, revision {revision}"));
    Ok(Exit::Done)
}

/// `is_sure`: the step that failed was not written.
fn stopped(failure: &Failure, is_sure: bool, done: usize, count: usize) -> Failure {
    let again = "run it again to see what is left, and to go on";
    let what = match (is_sure, done) {
        (true, 0) => "nothing was written".to_owned(),
        (true, _) => format!("{done} of {count} steps were written; {again}"),
        (false, _) => {
            format!("{done} of {count} steps were written, and perhaps one more; {again}")
        }
    };
    failure.exit.because(format!("{failure}\n{what}"))
}

/// What is sent at once.
#[derive(Default, Serialize)]
struct Batch<'a> {
    put: Vec<&'a Value>,
    delete: Vec<&'a str>,
    #[serde(skip)]
    bytes: usize,
}

/// Bodies of the API. What goes, goes first: its hosts may be wanted.
fn batches<'a>(diff: &'a Diff<'_>) -> Vec<Batch<'a>> {
    let deletes = diff.deletes.iter().map(|name| (*name, None));
    let puts = diff.puts().map(|(name, document)| (name, Some(document)));
    let mut batches = Vec::new();
    let mut batch = Batch::default();
    for (name, document) in deletes.chain(puts) {
        let bytes = document.map_or(name.len(), |document| document.to_string().len());
        if !batch.has_room(bytes) {
            batches.push(std::mem::take(&mut batch));
        }
        batch.bytes += bytes;
        match document {
            Some(document) => batch.put.push(document),
            None => batch.delete.push(name),
        }
    }
    batches.push(batch);
    batches
}

impl Batch<'_> {
    fn has_room(&self, bytes: usize) -> bool {
        match self.put.len() + self.delete.len() {
            0 => true,
            count => count < BATCH_SITES_MAX && self.bytes + bytes <= BATCH_BYTES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_one_change_is_written_in_steps() {
        let check = |sites: usize, bytes: usize, deletes: usize, expect: &[(usize, usize)]| {
            let document = json!({"origin": "o".repeat(bytes)});
            let names: Vec<_> = (0..sites).map(|n| format!("s{n}")).collect();
            let wanted = names.iter().map(|name| (name.clone(), document.clone()));
            let mut diff = Diff::new(wanted.collect(), &[], true);
            let gone: Vec<_> = (0..deletes).map(|n| format!("g{n}")).collect();
            diff.deletes = gone.iter().map(String::as_str).collect();
            let found = batches(&diff);
            let found: Vec<_> = found
                .iter()
                .map(|batch| (batch.put.len(), batch.delete.len()))
                .collect();
            assert_eq!(found, expect, "{sites} of {bytes}, {deletes} deleted");
        };
        check(1, 10, 0, &[(1, 0)]);
        check(100, 10, 0, &[(100, 0)]);
        check(101, 10, 0, &[(100, 0), (1, 0)]);
        check(60, 10, 50, &[(50, 50), (10, 0)]);
        check(4, 250 * 1024, 0, &[(3, 0), (1, 0)]);
    }
}
