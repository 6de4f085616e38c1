//! `seawall edges`: who is there, how far each has followed, and what is wrong there.

use std::fmt::Write;

use clap::Args;
use seawall_config::{Epoch, Problem, Revision};
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

Revision is how far an edge has applied. Lag is how old the newest beacon was when it came, one a second;
of an edge that says nothing, the silence as well. Heard is when a control plane last renewed its right to
vouch. Any control plane answers for the whole fleet; docs/operations.md says what to do about what.

Exits with 0 when every edge is live and nothing is wrong, with 1 when something is, or no edge is there.

Examples:
  seawall edges --server http://127.0.0.1:9080
  watch -n1 seawall edges
  seawall edges --json | jq '.edges[] | select(.state != \"live\")'")]
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
    epoch: Epoch,
    revision: Revision,
    problem: Option<String>,
    edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    id: String,
    place: String,
    state: String,
    applied: Option<Revision>,
    lag_ms: Option<u64>,
    silent_ms: u64,
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
    Ok(listing.exit())
}

impl Listing {
    fn exit(&self) -> Exit {
        let is_well = |edge: &Edge| edge.state == "live" && edge.problems.is_empty();
        let all_well = !self.edges.is_empty() && self.edges.iter().all(is_well);
        match all_well && self.problem.is_none() {
            true => Exit::Done,
            false => Exit::Failed,
        }
    }

    /// What is wrong first: it is read at three in the morning.
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(problem) = &self.problem {
            let _ = writeln!(text, "THIS MAY BE OUT OF DATE: {problem}");
        }
        let (sum, epoch, revision) = (self.sum(), self.epoch, self.revision);
        let _ = writeln!(text, "{sum}; the control plane is at {epoch}-{revision}");
        let rows = self.edges.iter().map(Edge::row);
        let head = [
            "edge", "place", "state", "revision", "lag", "heard", "version", "problems",
        ];
        text.push_str(&table(&head, rows.collect()));
        for edge in &self.edges {
            for Problem { path, message, .. } in &edge.problems {
                let at = if path.is_empty() { "" } else { ": " };
                let said = format!("{path}{at}{message}");
                // An edge's words steer no terminal.
                let said = said.replace(char::is_control, "\u{fffd}");
                let _ = writeln!(text, "  {}: {said}", edge.id);
            }
        }
        text
    }

    /// `3 edges: 2 live, 1 fenced, 1 with problems`
    fn sum(&self) -> String {
        if self.edges.is_empty() {
            return "no edge is registered".to_owned();
        }
        let count = |is: &dyn Fn(&Edge) -> bool| self.edges.iter().filter(|edge| is(edge)).count();
        let states = ["live", "lkg", "fenced"].map(|state| (count(&|it| it.state == state), state));
        let problems = (count(&|it| !it.problems.is_empty()), "with problems");
        let parts = states.into_iter().chain([problems]);
        let parts = parts.filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let s = if self.edges.len() == 1 { "" } else { "s" };
        format!("{} edge{s}: {}", self.edges.len(), parts.join(", "))
    }
}

impl Edge {
    fn row(&self) -> Vec<String> {
        let applied = self.applied.map(|applied| applied.to_string());
        let problems = match self.problems.len() {
            0 => String::new(),
            count => count.to_string(),
        };
        vec![
            self.id.clone(),
            self.place.clone(),
            self.state.clone(),
            applied.unwrap_or_else(|| "none".into()),
            self.lag_ms.map(time).unwrap_or_default(),
            format!("{} ago", time(self.silent_ms)),
            self.version.clone(),
            problems,
        ]
    }
}

/// As coarse as it may be.
fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use std::slice::from_ref;

    use serde_json::{Value, json};

    use super::*;

    fn edge(id: &str, state: &str, more: &Value) -> Value {
        let mut edge = json!({
            "id": id, "place": "fra", "boot": "b", "state": state, "applied": 40, "lag_ms": 3, "silent_ms": 420,
            "version": "0.1.0", "problems": [], "first_seen_ms": 0,
        });
        let more = more.as_object().unwrap().clone();
        edge.as_object_mut().unwrap().extend(more);
        edge
    }

    fn listing(problem: &Value, edges: &[Value]) -> Listing {
        let listing = json!({"epoch": 5, "revision": 42, "problem": problem, "edges": edges});
        serde_json::from_value(listing).unwrap()
    }

    #[test]
    fn only_a_fleet_without_a_fault_ends_well() {
        let live = edge("a", "live", &json!({}));
        let check = |problem: &Value, edges: &[Value], expect: Exit| {
            assert_eq!(listing(problem, edges).exit(), expect, "{edges:?}");
        };
        check(&Value::Null, from_ref(&live), Exit::Done);
        check(&Value::Null, &[], Exit::Failed);
        check(&json!("silent"), from_ref(&live), Exit::Failed);
        for state in ["lkg", "fenced"] {
            let other = edge("b", state, &json!({}));
            check(&Value::Null, &[live.clone(), other], Exit::Failed);
        }
        let problems = json!({"problems": [{"path": "id", "message": "m"}]});
        check(&Value::Null, &[edge("a", "live", &problems)], Exit::Failed);
    }

    #[test]
    fn a_person_reads_what_is_wrong_first() {
        let problem = json!({"problems": [{"path": "shop: hosts", "message": "is \u{1b}[2Jempty"}, {"path": "", "message": "and 3 more"}]});
        let gone = json!({"applied": null, "lag_ms": null, "silent_ms": 150_000});
        let edges = [
            edge("edge-1", "live", &json!({"applied": 42})),
            edge("edge-2", "live", &problem),
            edge("edge-3", "fenced", &gone),
        ];
        let text = listing(&json!("the store has not answered for 7 s"), &edges).text();
        let expect = "\
THIS MAY BE OUT OF DATE: the store has not answered for 7 s
3 edges: 2 live, 1 fenced, 1 with problems; the control plane is at 5-42
  edge    place  state   revision  lag   heard       version  problems
  edge-1  fra    live    42        3 ms  420 ms ago  0.1.0
  edge-2  fra    live    40        3 ms  420 ms ago  0.1.0    2
  edge-3  fra    fenced  none            2 min ago   0.1.0
  edge-2: shop: hosts: is \u{fffd}[2Jempty
  edge-2: and 3 more
";
        assert_eq!(text, expect);
        let nobody = listing(&Value::Null, &[]).text();
        assert_eq!(
            nobody,
            "no edge is registered; the control plane is at 5-42\n"
        );
    }

    #[test]
    fn a_time_is_as_coarse_as_it_may_be() {
        let check = |ms: u64, expect: &str| assert_eq!(time(ms), expect);
        check(0, "0 ms");
        check(999, "999 ms");
        check(1_999, "1 s");
        check(119_999, "119 s");
        check(120_000, "2 min");
        check(7_200_000, "2 h");
    }
}
