//! `seawall site`: what is served, read, written and checked.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use seawall_config::site::site_name;
use seawall_config::{Revision, Site};
use serde::Deserialize;
use serde_json::{Value, json};

use super::table::table;
use crate::cli::Server;
use crate::client::{ANSWER_TIMEOUT, Client};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::sites_file;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  seawall site check sites.toml
  seawall site put sites.toml
  seawall site put sites.toml --purge
  seawall site get www
  seawall site delete www --if-match '\"18231\"'

Sites that came from a file (seawall run --config or --origin) belong to that file: writing to them here is
refused, change the file.")]
pub(crate) enum SiteCommand {
    /// Print a site as JSON, and its ETag on stderr
    Get(GetArgs),
    /// Write the sites of a file: TOML with [[site]], or one site as JSON
    Put(PutArgs),
    /// List all sites
    List(ListArgs),
    /// Serve a site no more
    Delete(DeleteArgs),
    /// Say what is wrong with a file, and where; talks to nobody
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The site's name
    #[arg(value_parser = site_name)]
    name: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// What to write
    file: PathBuf,
    /// Only if the site has not changed since: the ETag that `get` printed. For a file with one site
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    /// And purge these sites in the same step: no edge serves an old copy under the new configuration
    #[arg(long, conflicts_with = "if_match")]
    purge: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print the list as the control plane wrote it, in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The site's name
    #[arg(value_parser = site_name)]
    name: String,
    /// Only if the site has not changed since: the ETag that `get` printed
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// TOML with [[site]], or one site as JSON
    file: PathBuf,
}

pub(crate) async fn run(command: SiteCommand) -> Result<Exit, Failure> {
    match command {
        SiteCommand::Get(args) => get(args).await,
        SiteCommand::Put(args) => put(args).await,
        SiteCommand::List(args) => list(args).await,
        SiteCommand::Delete(args) => delete(args).await,
        SiteCommand::Check(args) => check(&args.file),
    }
}

async fn get(args: GetArgs) -> Result<Exit, Failure> {
    let answer = Client::new(&args.server)?.get(&path(&args.name)).await?;
    let site: Value = answer.json()?;
    print::result(format_args!("{site:#}"));
    if let Some(etag) = &answer.etag {
        print::note(format_args!("ETag: {etag}"));
    }
    Ok(Exit::Done)
}

async fn put(args: PutArgs) -> Result<Exit, Failure> {
    let sites = read(&args.file)?;
    if args.if_match.is_some() && sites.len() != 1 {
        let count = sites.len();
        return Err(
            Exit::Usage.because(format!("--if-match is for one site; the file has {count}"))
        );
    }
    let client = Client::new(&args.server)?;
    if args.purge {
        return put_and_purge(&client, &sites).await;
    }
    let if_match = args.if_match.map(quoted);
    for (site, document) in &sites {
        let answer = client
            .put(&path(&site.name), document, if_match.as_deref())
            .await?;
        answer.good()?;
        print::result(format_args!(
            "{} written, ETag {}",
            site.name,
            answer.etag.as_deref().unwrap_or("unknown")
        ));
    }
    Ok(Exit::Done)
}

async fn put_and_purge(client: &Client, sites: &[(Site, Value)]) -> Result<Exit, Failure> {
    let names: Vec<_> = sites.iter().map(|(site, _)| &site.name).collect();
    let put: Vec<_> = sites.iter().map(|(_, document)| document).collect();
    let body = json!({"put": put, "purge": {"sites": names}});
    let answer = client
        .post("/v1/sites?wait=complete", &body, None, ANSWER_TIMEOUT)
        .await?;
    let Changed { revision, purge } = answer.json()?;
    let (count, state) = (sites.len(), purge.state);
    print::result(format_args!(
        "{count} written and purged at revision {revision}: {state}"
    ));
    Ok(match state.as_str() {
        "complete" => Exit::Done,
        _ => Exit::Failed,
    })
}

/// What is used here of the answer to a change with a purge.
#[derive(Debug, Deserialize)]
struct Changed {
    revision: Revision,
    purge: Purged,
}

#[derive(Debug, Deserialize)]
struct Purged {
    state: String,
}

async fn delete(args: DeleteArgs) -> Result<Exit, Failure> {
    let if_match = args.if_match.map(quoted);
    let answer = Client::new(&args.server)?
        .delete(&path(&args.name), if_match.as_deref())
        .await?;
    answer.good()?;
    print::result(format_args!("{} deleted", args.name));
    Ok(Exit::Done)
}

async fn list(args: ListArgs) -> Result<Exit, Failure> {
    let answer = Client::new(&args.server)?.get("/v1/sites").await?;
    let listing: Listing = answer.json()?;
    if args.json {
        print::result(String::from_utf8_lossy(&answer.body).trim_end());
        return Ok(Exit::Done);
    }
    if listing.sites.is_empty() {
        print::result("no sites yet: write one with `seawall site put FILE`");
    }
    let rows = listing.sites.into_iter().map(|site| {
        let hosts = site
            .site
            .get("hosts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let hosts: Vec<&str> = hosts.filter_map(Value::as_str).collect();
        vec![
            site.name,
            site.revision.to_string(),
            site.owner,
            hosts.join(" "),
        ]
    });
    print::result(table(&["site", "revision", "owner", "hosts"], rows.collect()).trim_end());
    Ok(Exit::Done)
}

/// What is used here of the answer to `GET /v1/sites`.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    pub(super) sites: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    /// Who may change it.
    owner: String,
    revision: Revision,
    pub(super) site: Value,
}

impl Listed {
    /// Whether the API may change it.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == "api"
    }
}

fn check(file: &Path) -> Result<Exit, Failure> {
    let sites = read(file)?;
    let names: Vec<&str> = sites.iter().map(|(site, _)| site.name.as_str()).collect();
    print::result(format_args!(
        "{} is good: {}",
        file.display(),
        if names.is_empty() {
            "no sites".into()
        } else {
            names.join(", ")
        }
    ));
    Ok(Exit::Done)
}

/// The sites of a file, checked, each with its document in the words of the API.
pub(super) fn read(file: &Path) -> Result<Vec<(Site, Value)>, Failure> {
    let bad = |problem: String| Exit::BadConfiguration.because(problem);
    let text =
        sites_file::read(file).map_err(|error| bad(format!("{}: {error}", file.display())))?;
    if !text.trim_start().starts_with('{') {
        let sites = seawall_config::file::SiteFile::parse(&text);
        return Ok(sites
            .map_err(|problems| bad(sites_file::in_file(file, &problems)))?
            .sites);
    }
    let document: Value =
        serde_json::from_str(&text).map_err(|error| bad(format!("{}: {error}", file.display())))?;
    let site = Site::from_document(&document)
        .map_err(|problems| bad(sites_file::in_file(file, &problems)))?;
    Ok(vec![(site, document)])
}

fn path(name: &str) -> String {
    format!("/v1/sites/{name}")
}

/// An ETag as the header wants it; a person may leave the quotes out.
fn quoted(etag: String) -> String {
    if etag.starts_with('"') || etag == "*" {
        etag
    } else {
        format!("\"{etag}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_may_be_typed_without_its_quotes() {
        assert_eq!(quoted("7".into()), "\"7\"");
        assert_eq!(quoted("\"7\"".into()), "\"7\"");
        assert_eq!(quoted("*".into()), "*");
    }
}
