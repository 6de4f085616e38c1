//! `seawall origins`: the servers behind the sites, who sees which in trouble, and taking one out of use.

use std::fmt::Write;

use clap::{Args, Subcommand};
use seawall_config::Revision;
use serde::Deserialize;
use serde_json::json;

use super::table::table;
use crate::cli::Server;
use crate::client::{ANSWER_TIMEOUT, Client};
use crate::exit::{Exit, Failure};
use crate::print;

#[derive(Debug, Args)]
#[command(after_help = "\
States, as edges see a server:
  down      checks say that it is not there ([site.origin.health])
  ejected   it answered worse than the others, and gets nothing for a while ([site.origin.ejection])
  open      its breaker is open: it failed too often in a row ([site.origin.breaker])
  drained   an operator wants it to get no new requests, at no edge

A server that no edge names is in order, as far as is known: each edge names a few of those that are not.

Exits with 0 when every server is in order or drained, with 1 when an edge sees one in trouble.

Examples:
  seawall origins
  seawall origins --site shop --json
  seawall origins drain shop http://10.0.0.7:9000
  seawall origins restore shop http://10.0.0.7:9000")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct OriginsArgs {
    #[command(subcommand)]
    change: Option<Change>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only the servers of this site
    #[arg(long)]
    site: Option<String>,
    /// Print the list as the control plane wrote it, in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Let a server finish what it has, and give it nothing more
    Drain(ChangeArgs),
    /// Give a drained server requests again
    Restore(ChangeArgs),
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// The site's name
    site: String,
    /// The server's URL, as the site names it
    #[arg(value_name = "SERVER")]
    origin: String,
    #[command(flatten)]
    server: Server,
}

/// Only what is printed here.
#[derive(Debug, Deserialize)]
struct Listing {
    revision: Revision,
    problem: Option<String>,
    servers: Vec<Listed>,
    #[serde(default)]
    cut: bool,
}

#[derive(Debug, Deserialize)]
struct Listed {
    site: String,
    server: String,
    drained: bool,
    seen: Vec<Seen>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    edge: String,
    state: String,
    why: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Done {
    revision: Revision,
}

pub(crate) async fn run(args: OriginsArgs) -> Result<Exit, Failure> {
    match args.change {
        None => list(args.list).await,
        Some(Change::Drain(args)) => change(args, true).await,
        Some(Change::Restore(args)) => change(args, false).await,
    }
}

async fn list(args: ListArgs) -> Result<Exit, Failure> {
    let path = match &args.site {
        Some(site) => format!("/v1/origins?site={site}"),
        None => "/v1/origins".to_owned(),
    };
    let answer = Client::new(&args.server)?.get(&path).await?;
    let listing: Listing = answer.json()?;
    match args.json {
        true => print::result(String::from_utf8_lossy(&answer.body).trim_end()),
        false => print::result(listing.text().trim_end()),
    }
    Ok(listing.exit())
}

async fn change(args: ChangeArgs, drained: bool) -> Result<Exit, Failure> {
    let order = json!({"server": args.origin, "drained": drained});
    let path = format!("/v1/origins/{}", args.site);
    let answer = Client::new(&args.server)?
        .post(&path, &order, None, ANSWER_TIMEOUT)
        .await?;
    let Done { revision } = answer.json()?;
    let what = if drained {
        "is drained"
    } else {
        "gets requests again"
    };
    print::result(format!(
        "{} of {} {what}, since revision {revision}",
        args.origin, args.site
    ));
    Ok(Exit::Done)
}

impl Listing {
    fn exit(&self) -> Exit {
        let is_well = |it: &Listed| it.drained || it.seen.is_empty();
        match self.servers.iter().all(is_well) && self.problem.is_none() {
            true => Exit::Done,
            false => Exit::Failed,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(problem) = &self.problem {
            let _ = writeln!(text, "THIS MAY BE OUT OF DATE: {problem}");
        }
        let troubled = self.servers.iter().filter(|it| !it.seen.is_empty()).count();
        let drained = self.servers.iter().filter(|it| it.drained).count();
        let (count, revision) = (self.servers.len(), self.revision);
        let more = if self.cut { " and more" } else { "" };
        let _ = writeln!(
            text,
            "{count} servers{more}: {troubled} seen in trouble, {drained} drained; at revision {revision}"
        );
        let rows = self.servers.iter().map(Listed::row).collect();
        text.push_str(&table(&["site", "server", "state", "seen by"], rows));
        text
    }
}

impl Listed {
    fn row(&self) -> Vec<String> {
        let mut states: Vec<&str> = self.seen.iter().map(|seen| seen.state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        states.extend(self.drained.then_some("drained"));
        let state = match states.is_empty() {
            true => "up".to_owned(),
            false => states.join(", "),
        };
        let by = self.seen.iter().map(|seen| match &seen.why {
            Some(why) => format!("{} ({why})", seen.edge),
            None => seen.edge.clone(),
        });
        let by: Vec<_> = by.collect();
        let row = vec![self.site.clone(), self.server.clone(), state, by.join(", ")];
        // An edge's words steer no terminal.
        let safe = |cell: String| cell.replace(char::is_control, "\u{fffd}");
        row.into_iter().map(safe).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listing(servers: &serde_json::Value) -> Listing {
        let listing = json!({"revision": 42, "problem": null, "servers": servers});
        serde_json::from_value(listing).unwrap()
    }

    #[test]
    fn a_person_reads_who_sees_what() {
        let listing = listing(&json!([
            {"site": "a", "server": "http://a.test", "drained": false, "seen": []},
            {"site": "a", "server": "http://b.test", "drained": true, "seen": []},
            {"site": "b", "server": "http://c.test", "drained": false, "seen": [
                {"edge": "e1", "place": "p", "state": "down", "why": "no answer in time"},
                {"edge": "e2", "place": "p", "state": "ejected\u{1b}", "why": null},
            ]},
        ]));
        let expect = "\
3 servers: 1 seen in trouble, 1 drained; at revision 42
  site  server         state           seen by
  a     http://a.test  up
  a     http://b.test  drained
  b     http://c.test  down, ejected\u{fffd}  e1 (no answer in time), e2
";
        assert_eq!(listing.text(), expect);
        assert_eq!(listing.exit(), Exit::Failed);
    }

    #[test]
    fn drained_is_no_trouble() {
        let server = json!([{"site": "a", "server": "http://a", "drained": true, "seen": []}]);
        assert_eq!(listing(&server).exit(), Exit::Done);
    }
}
