//! `seawall purge`: makes edges forget, and prints the receipt.

use std::fmt::Write;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use seawall_config::reader::duration;
use seawall_config::scope::PurgeRequest;
use seawall_config::{Mode, Revision};
use serde::Deserialize;

use super::table::table;
use crate::cli::Server;
use crate::client::{ANSWER_TIMEOUT, Client, once};
use crate::exit::{Exit, Failure};
use crate::print;

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").args(["urls", "tags", "prefixes", "hosts", "sites", "all"]).required(true).multiple(true),
    after_help = AFTER
)]
pub(crate) struct PurgeArgs {
    /// One URL with all its variants; without a scheme (//host/path) both http and https are meant
    #[arg(long = "url", value_name = "URL", help_heading = "What")]
    urls: Vec<String>,
    /// Everything an origin marked with this tag (Surrogate-Key, Cache-Tag, xkey)
    #[arg(long = "tag", value_name = "TAG", help_heading = "What")]
    tags: Vec<String>,
    /// A path and everything below it: http://host/a covers /a, /a/b and /a?q, not /ab
    #[arg(long = "prefix", value_name = "URL", help_heading = "What")]
    prefixes: Vec<String>,
    /// Everything of a host, as clients name it; without a port, on every port
    #[arg(long = "host", value_name = "HOST", help_heading = "What")]
    hosts: Vec<String>,
    /// Everything of a site, by its name
    #[arg(long = "site", value_name = "NAME", help_heading = "What")]
    sites: Vec<String>,
    /// Everything there is
    #[arg(long, help_heading = "What")]
    all: bool,

    /// Keep the objects, but ask the origin whether they are still good before each is used again
    #[arg(long)]
    soft: bool,
    /// Purge nothing; say how much would go
    #[arg(long)]
    dry_run: bool,
    /// What is fetched within this time is used only until its end: for an origin whose replicas lag behind
    #[arg(long, value_name = "TIME", value_parser = settle)]
    settle: Option<String>,
    /// Sent again with this key, it is not a second purge but the receipt of the first
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// When to return: once the order is written down, or once every edge has carried it out
    #[arg(long, value_enum, default_value_t = Wait::Complete)]
    wait: Wait,
    /// How long to wait for the edges; the purge goes on after that
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    timeout: Duration,
    /// Print the receipt as the control plane wrote it, in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

const AFTER: &str = "\
Examples:
  seawall purge --url http://www.example.com/index.html
  seawall purge --tag article-42 --tag front-page
  seawall purge --prefix http://www.example.com/images --soft
  seawall purge --all --timeout 30s
  seawall purge --prefix http://www.example.com/images --dry-run
  seawall purge --site www --settle 2s

Exits with 0 when the purge is complete (with --wait accepted: when it is accepted), with 1 when
it is not complete in time, or an edge out of reach may still serve what it holds.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// The purge is durable and has its place in the order; edges follow within moments
    Accepted,
    /// Every edge has applied it, or is fenced
    Complete,
}

/// The proof that a purge is complete, or how far it is. Only what is printed here.
#[derive(Debug, Deserialize)]
struct Receipt {
    revision: Revision,
    token: String,
    state: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    counted: bool,
    matched: Option<Matched>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    edges: Vec<EdgeReceipt>,
}

#[derive(Debug, Deserialize)]
struct Matched {
    objects: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct EdgeReceipt {
    id: String,
    #[serde(default)]
    place: String,
    state: String,
    ms: Option<u64>,
    matched: Option<Matched>,
}

pub(crate) async fn run(args: PurgeArgs) -> Result<Exit, Failure> {
    let request = PurgeRequest {
        urls: args.urls,
        tags: args.tags,
        prefixes: args.prefixes,
        hosts: args.hosts,
        sites: args.sites,
        all: args.all,
        mode: if args.soft { Mode::Soft } else { Mode::Hard },
        settle: args.settle,
        dry_run: args.dry_run,
    };
    request
        .check()
        .map_err(|problems| Exit::Usage.because(problems.to_string().trim_end()))?;
    let body = serde_json::to_value(&request).map_err(anyhow::Error::from)?;
    let (wait, patience) = match args.wait {
        Wait::Accepted => ("accepted", Duration::ZERO),
        Wait::Complete => ("complete", args.timeout),
    };
    let path = format!("/v1/purges?wait={wait}&timeout={}ms", patience.as_millis());
    let key = args.idempotency_key.as_deref().map(once);
    let answer = Client::new(&args.server)?
        .post(&path, &body, key, patience + ANSWER_TIMEOUT)
        .await?;
    let receipt: Receipt = answer.json()?;
    if args.json {
        print::result(String::from_utf8_lossy(&answer.body).trim_end());
    } else {
        print::result(receipt.text().trim_end());
    }
    Ok(receipt.exit(args.wait))
}

/// Checked here, and sent as it was typed.
fn settle(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}

impl Receipt {
    fn exit(&self, wait: Wait) -> Exit {
        match (wait, self.state.as_str()) {
            (Wait::Complete, _) if self.dry_run && !self.counted => Exit::Failed,
            (Wait::Accepted, _) | (Wait::Complete, "complete") => Exit::Done,
            _ => Exit::Failed,
        }
    }

    /// For a person.
    fn text(&self) -> String {
        let state = match self.state.as_str() {
            "complete" => "complete: every edge has carried it out",
            "complete_reachable" => {
                "complete where edges can be reached; the others may still serve what they hold"
            }
            "pending" => "accepted; not every edge has carried it out yet",
            other => other,
        };
        let mut text = match self.dry_run {
            true => format!("nothing was purged (revision {})\n", self.revision),
            false => format!("purge {} is {state}\n", self.revision),
        };
        match &self.matched {
            Some(matched) if self.counted => {
                let would = if self.dry_run {
                    "would match"
                } else {
                    "matched"
                };
                let _ = writeln!(text, "  {would} {matched}");
            }
            _ => text.push_str("  matched objects are still being counted\n"),
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  warning: {warning}");
        }
        let rows = self.edges.iter().map(|edge| {
            let ms = edge.ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
            let matched = edge
                .matched
                .as_ref()
                .map(Matched::to_string)
                .unwrap_or_default();
            vec![
                edge.id.clone(),
                edge.place.clone(),
                edge.state.clone(),
                ms,
                matched,
            ]
        });
        text.push_str(&table(
            &["edge", "place", "state", "after", "matched"],
            rows.collect(),
        ));
        if self.dry_run {
            return text;
        }
        let _ = writeln!(
            text,
            "  read your purge anywhere: curl -H 'Seawall-Min-Revision: {}' …",
            self.token
        );
        text
    }
}

impl std::fmt::Display for Matched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = if self.objects == 1 { "" } else { "s" };
        write!(f, "{} object{s}, {} bytes", self.objects, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn only_a_complete_receipt_ends_well() {
        let check = |state: &str, wait: Wait, expect: Exit| {
            let receipt =
                serde_json::json!({"revision": 7, "token": "1-7", "state": state, "matched": null});
            let receipt: Receipt = serde_json::from_value(receipt).expect("a receipt");
            assert_eq!(receipt.exit(wait), expect, "{state} {wait:?}");
        };
        check("complete", Wait::Complete, Exit::Done);
        check("complete_reachable", Wait::Complete, Exit::Failed);
        check("pending", Wait::Complete, Exit::Failed);
        check("pending", Wait::Accepted, Exit::Done);
    }

    #[test]
    fn a_receipt_says_who_when_and_how_much() {
        let receipt = serde_json::json!({
            "revision": 18231, "token": "3-18231", "state": "complete", "counted": true,
            "matched": {"objects": 1, "bytes": 2048},
            "edges": [{"id": "edge-ams", "place": "amsterdam", "state": "applied", "applied": 18231, "ms": 12,
                       "matched": {"objects": 1, "bytes": 2048}}]
        });
        let receipt: Receipt = serde_json::from_value(receipt).expect("a receipt");
        let expect = "\
purge 18231 is complete: every edge has carried it out
  matched 1 object, 2048 bytes
  edge      place      state    after  matched
  edge-ams  amsterdam  applied  12 ms  1 object, 2048 bytes
  read your purge anywhere: curl -H 'Seawall-Min-Revision: 3-18231' …
";
        assert_eq!(receipt.text(), expect);
    }
}
