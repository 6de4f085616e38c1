//! The command line: what can be said, and what each word means. `--help` is the manual.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::certs::CertsArgs;
use crate::command::edges::EdgesArgs;
use crate::command::explain::ExplainArgs;
use crate::command::export::ExportArgs;
use crate::command::import::ImportArgs;
use crate::command::loadtest::LoadtestArgs;
use crate::command::origins::OriginsArgs;
use crate::command::purge::PurgeArgs;
use crate::command::site::SiteCommand;
use crate::command::token::TokenArgs;
use crate::control_plane::ControlPlaneArgs;
use crate::demo::DemoArgs;
use crate::edge::EdgeArgs;
use crate::logs::LogFormat;
use crate::run::RunArgs;

/// A CDN you can prove: caching edges, one purge, a receipt.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How log lines on stderr look [default: text on a terminal, json elsewhere]
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        help_heading = "Everywhere"
    )]
    pub(crate) log_format: Option<LogFormat>,
}

const AFTER: &str = "\
Try it:
  seawall demo                                three edges, an origin, traffic: nothing to prepare
  seawall run --origin http://127.0.0.1:9000  a cache in front of your own server
  seawall help run                            everything a command can do

Environment:
  SEAWALL_SERVER   where client commands find the control plane [default: http://127.0.0.1:9080]
  SEAWALL_TOKEN    what they show it
  SEAWALL_CA       whose certificates they trust there
  SEAWALL_LOG      how much is logged: error, warn, info, debug, or by part: info,seawall_edge=debug

Exit codes:
  0 done   1 failed or incomplete   2 usage   3 load generator saturated   4 unreachable
  64 bad configuration   130 interrupted";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it all on this machine: three edges, their control plane, an origin and traffic
    ///
    /// Nothing has to be prepared. Ports are 8081 to 8083 for the edges, 9080 for the control plane and 9000 for the
    /// origin, or others where those are taken; DIR/addresses.json has them all. Each part is a process of its own
    /// with a folder below DIR for its configuration and its logs. Delete DIR and the demo was never there.
    Demo(DemoArgs),
    /// Serve: one edge and its control plane in one process
    Run(RunArgs),
    /// Serve as one edge of many, following a control plane
    Edge(EdgeArgs),
    /// Tell edges what to serve and what to forget
    ControlPlane(ControlPlaneArgs),
    /// Make edges forget, and wait for the receipt
    ///
    /// Name what shall be forgotten, in any mixture; each flag may be repeated. All of it is one purge with one
    /// receipt. One purge is enough: what was being fetched when it came is not kept either.
    Purge(PurgeArgs),
    /// Read, write and check what is served
    #[command(subcommand)]
    Site(SiteCommand),
    /// Write all sites down as TOML: a backup, or what to bring elsewhere
    Export(ExportArgs),
    /// Put the sites of a file, and say first what changes
    Import(ImportArgs),
    /// List the edges, how far each has followed, and what is wrong there
    Edges(EdgesArgs),
    /// List the servers behind the sites, and who sees which in trouble; drain one, or restore it
    Origins(OriginsArgs),
    /// Make the certificates that control planes and edges show each other
    Certs(CertsArgs),
    /// Make a token that control planes let in
    Token(TokenArgs),
    /// Say what an edge would do with a request, and why
    ///
    /// Site, key, scopes, what is stored, every rule that was asked with its section, the freshness sum, the verdict,
    /// and what the origin would be asked. Nothing is fetched and nothing changes.
    Explain(ExplainArgs),
    /// Measure how fast a URL is answered, hits and misses apart
    ///
    /// Each response is classed by its Cache-Status (else X-Cache, else Age): a hit and a miss are two things, and one
    /// average of both says nothing.
    Loadtest(Box<LoadtestArgs>),
}

/// Where the control plane is: the same words for every client command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// The control plane to talk to
    #[arg(
        id = "server",
        long = "server",
        value_name = "URL",
        env = "SEAWALL_SERVER",
        default_value = "http://127.0.0.1:9080",
        help_heading = "Control plane"
    )]
    pub(crate) url: String,

    /// PEM file with the authority that signed its certificate, for https
    #[arg(
        long,
        value_name = "FILE",
        env = "SEAWALL_CA",
        help_heading = "Control plane"
    )]
    pub(crate) ca: Option<PathBuf>,

    /// What it asks to be shown; `run` and `demo` ask for nothing. Better kept in the environment: others on this
    /// machine can read a command line
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SEAWALL_TOKEN",
        hide_env_values = true,
        help_heading = "Control plane"
    )]
    pub(crate) token: Option<String>,
}

impl Command {
    /// How much is logged where nobody says: those who serve tell what they do, the others what is wrong.
    pub(crate) fn log_level(&self) -> &'static str {
        match self {
            Self::Demo(_) | Self::Run(_) | Self::Edge(_) | Self::ControlPlane(_) => "info",
            Self::Purge(_)
            | Self::Site(_)
            | Self::Export(_)
            | Self::Import(_)
            | Self::Edges(_)
            | Self::Origins(_)
            | Self::Certs(_)
            | Self::Token(_)
            | Self::Explain(_)
            | Self::Loadtest(_) => "warn",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Depth first, the whole command line.
    fn every_command(command: &clap::Command, each: &mut impl FnMut(&clap::Command)) {
        each(command);
        command
            .get_subcommands()
            .for_each(|below| every_command(below, each));
    }

    #[test]
    fn every_flag_says_what_it_is() {
        let mut command = Cli::command();
        command.build();
        every_command(&command, &mut |command| {
            let silent = command
                .get_arguments()
                .find(|arg| arg.get_help().is_none() && !arg.is_hide_set());
            let silent = silent.map(|arg| arg.get_id().to_string());
            assert_eq!(silent, None, "{}", command.get_name());
        });
    }

    #[test]
    fn the_settled_words_are_understood() {
        let check = |line: &str, expect: Option<ErrorKind>| {
            let found = Cli::try_parse_from(line.split_whitespace())
                .err()
                .map(|error| error.kind());
            assert_eq!(found, expect, "{line}");
        };
        check("seawall run --origin http://127.0.0.1:9000", None);
        check(
            "seawall run --config sites.toml --listen 127.0.0.1:0 --listen-tls [::1]:0 --admin 127.0.0.1:0 --state s --certs c",
            None,
        );
        check(
            "seawall run --origin http://a --config b",
            Some(ErrorKind::ArgumentConflict),
        );
        check(
            "seawall run --origin http://a --listen here",
            Some(ErrorKind::ValueValidation),
        );
        check("seawall demo --state d", None);
        check("seawall edge --config e.toml", None);
        check("seawall edge", Some(ErrorKind::MissingRequiredArgument));
        check("seawall control-plane --config c.toml", None);
        check(
            "seawall purge --url http://a/ --url http://b/ --tag t --soft --wait accepted --timeout 2s --json",
            None,
        );
        check("seawall purge --all --server http://127.0.0.1:1", None);
        check(
            "seawall purge --soft",
            Some(ErrorKind::MissingRequiredArgument),
        );
        check(
            "seawall purge --all --timeout soon",
            Some(ErrorKind::ValueValidation),
        );
        check("seawall site get default", None);
        check("seawall site put f.toml --if-match 3", None);
        check("seawall site list --json", None);
        check("seawall site delete default", None);
        check("seawall site check f.toml", None);
        check("seawall export", None);
        check("seawall export backup.toml --site a --site b", None);
        check("seawall import backup.toml --dry-run --replace", None);
        check("seawall import", Some(ErrorKind::MissingRequiredArgument));
        check("seawall edges", None);
        check("seawall origins --site a", None);
        check(
            "seawall origins drain a http://b --server http://127.0.0.1:9080",
            None,
        );
        check(
            "seawall origins restore a",
            Some(ErrorKind::MissingRequiredArgument),
        );
        check(
            "seawall certs d --control-plane cp1=10.0.0.1,a.example --edge e1",
            None,
        );
        check(
            "seawall certs d --edge ../x",
            Some(ErrorKind::ValueValidation),
        );
        check(
            "seawall certs d --control-plane cp1",
            Some(ErrorKind::ValueValidation),
        );
        check("seawall token --name ci --scope purge --site shop", None);
        check(
            "seawall token --name ci --scope all",
            Some(ErrorKind::ValueValidation),
        );
        check(
            "seawall token --name ci",
            Some(ErrorKind::MissingRequiredArgument),
        );
        check("seawall explain http://a/ -H A:b -H C:d --json", None);
        check(
            "seawall explain http://a/ -H nonsense",
            Some(ErrorKind::ValueValidation),
        );
        check(
            "seawall loadtest --connections 8 --duration 4s --json - http://127.0.0.1:8080/",
            None,
        );
        check("seawall loadtest --rate 100 http://127.0.0.1:8080/", None);
        check(
            "seawall loadtest --rate 100 --connections 8 http://127.0.0.1:8080/",
            Some(ErrorKind::ArgumentConflict),
        );
        check("seawall loadtest", Some(ErrorKind::MissingRequiredArgument));
        check(
            "seawall",
            Some(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        );
        check("seawall what", Some(ErrorKind::InvalidSubcommand));
    }
}
