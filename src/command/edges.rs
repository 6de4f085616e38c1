//! `seawall edges`: who is there, how far each has followed, and what is wrong there.

use clap::Args;
use seawall_config::{Problem, Revision};

use serde::Deserialize;

use super::table::table;
use crate::cli::Server;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::print;

#[derive(Debug, Args)]
#[command(after_help = "\
States:
  live     it follows the control plane and may vouch for what it serves
  lkg      it serves from its last-known-good snapshot; no control plane has answered it since it started
  fenced   it has been cut off for so long that it may no longer vouch for what it serves

Example:
  seawall edges --server http://127.0.0.1:9080")]
pub(crate) struct EdgesArgs {
    /// Print the list as the control plane wrote it, in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Only what is printed here.
#[derive(Debug, Deserialize)]
struct Listing {
    edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    id: String,
    place: String,
    state: String,
    applied: Option<Revision>,
    lag_ms: Option<u64>,
    version: String,
    #[serde(default)]
    problems: Vec<Problem>,
}

pub(crate) async fn run(args: EdgesArgs) -> Result<Exit, Failure> {
    let answer = Client::new(&args.server)?.get("/v1/edges").await?;
    let listing: Listing = answer.json()?;
    if args.json {
        print::result(String::from_utf8_lossy(&answer.body).trim_end());
    } else {
        print::result(listing.text().trim_end());
    }
    Ok(Exit::Done)
}

impl Listing {
    fn text(&self) -> String {
        if self.edges.is_empty() {
            return "no edge has been heard of yet\n".to_owned();
        }
        let rows = self.edges.iter().map(|edge| {
            let applied = edge
                .applied
                .map(|revision| revision.to_string())
                .unwrap_or_default();
            let lag = edge.lag_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
            let problems = if edge.problems.is_empty() {
                String::new()
            } else {
                edge.problems.len().to_string()
            };
            vec![
                edge.id.clone(),
                edge.place.clone(),
                edge.state.clone(),
                applied,
                lag,
                edge.version.clone(),
                problems,
            ]
        });
        let mut text = table(
            &[
                "edge", "place", "state", "revision", "lag", "version", "problems",
            ],
            rows.collect(),
        );
        for edge in &self.edges {
            for problem in &edge.problems {
                text.push_str(&format!("  {}:\n{problem}", edge.id));
            }
        }
        text
    }
}
