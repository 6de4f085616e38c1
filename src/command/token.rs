//! `seawall token`: a new token, and the entry that lets it in. Nothing is written anywhere.

use clap::Args;
use seawall_config::roles::edge_id;
use seawall_config::site::site_name;
use seawall_config::tokens::TokenScope;

use crate::exit::{Exit, Failure};
use crate::print;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seawall token --name ci --scope purge
  seawall token --name shop-cms --scope purge --site shop >> /etc/seawall/tokens.toml

The entry goes to stdout, for the tokens_file of every control plane; SIGHUP makes them read it. The
token goes to stderr, once: only its hash is kept.")]
pub(crate) struct TokenArgs {
    /// Whom it is for: what the audit log calls them
    #[arg(long, value_name = "NAME", value_parser = site_name)]
    name: String,
    /// What it may do: read, purge, write, edge
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = TokenScope::parse)]
    scopes: Vec<TokenScope>,
    /// A site it is limited to [default: all sites]
    #[arg(long = "site", value_name = "NAME", value_parser = site_name)]
    sites: Vec<String>,
    /// An edge it may be [default: any]
    #[arg(long = "edge", value_name = "ID", value_parser = edge_id)]
    edges: Vec<String>,
}

pub(crate) fn run(args: &TokenArgs) -> Result<Exit, Failure> {
    if args.scopes.contains(&TokenScope::Edge) && !args.sites.is_empty() {
        return Err(Exit::Usage.because("an edge serves all sites: leave --site out"));
    }
    if !args.scopes.contains(&TokenScope::Edge) && !args.edges.is_empty() {
        return Err(Exit::Usage.because("--edge is for --scope edge"));
    }
    let token = random().map_err(|error| {
        Exit::Failed.because(format!("the system gives no random numbers: {error}"))
    })?;
    print::result(entry(args, &token));
    print::note(format_args!(
        "The token of {}, shown only now: {token}",
        args.name
    ));
    Ok(Exit::Done)
}

/// 256 bits, in hexadecimal.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

fn entry(args: &TokenArgs, token: &str) -> String {
    let list = |texts: &[&str]| {
        let quoted: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
        quoted.join(", ")
    };
    let scopes = args.scopes.iter().map(|scope| scope.as_str());
    let scopes = list(&scopes.collect::<Vec<_>>());
    let hash = hex(&seawall_control_plane::api::hash_of(token));
    let mut entry = format!(
        "\n[[token]]\nname = {:?}\nsha256 = {hash:?}\nscopes = [{scopes}]",
        args.name
    );
    for (word, limits) in [("sites", &args.sites), ("edges", &args.edges)] {
        if !limits.is_empty() {
            let limits: Vec<_> = limits.iter().map(String::as_str).collect();
            entry.push_str(&format!("\n{word} = [{}]", list(&limits)));
        }
    }
    entry
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn an_entry_reads_back() {
        let args = TokenArgs {
            name: "cms".into(),
            scopes: vec![TokenScope::Purge, TokenScope::Read],
            sites: vec!["shop".into()],
            edges: Vec::new(),
        };
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        let read = seawall_config::tokens::parse(&entry(&args, &one)).unwrap();
        assert_eq!(read[0].name, "cms");
        assert_eq!(read[0].scopes, args.scopes);
        assert_eq!(read[0].sites, args.sites);
        assert_eq!(read[0].sha256, seawall_control_plane::api::hash_of(&one));
        assert_ne!(read[0].sha256, seawall_control_plane::api::hash_of(&other));
    }
}
