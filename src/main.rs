//! The one command line: reads what was asked, does it, and ends with an exit code that means something.
//!
//! Glue only. [`run`], [`demo`], [`edge`] and [`control_plane`] put the parts together and serve; [`command`] holds
//! the commands that ask something that serves. [`cli`] is every word that can be said, [`exit`] every way to end.

mod addresses;
mod admin;
mod certificates;
mod cli;
mod client;
mod clock;
mod command;
mod control_plane;
mod demo;
mod door;
mod edge;
mod exit;
mod explain;
mod guide;
mod logs;
mod peers;
mod print;
mod run;
mod signals;
mod sites_file;
mod state;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};

/// What every request makes and drops costs less here than with the system's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = serve_or_ask(cli).unwrap_or_else(|failure| {
        print::note(format_args!("seawall: {failure}"));
        failure.exit
    });
    exit.into()
}

fn serve_or_ask(cli: Cli) -> Result<Exit, Failure> {
    raise_open_files();
    logs::start(cli.log_format, cli.command.log_level())
        .map_err(|wrong| Exit::Usage.because(wrong))?;
    let runtime = Runtime::new().context("the runtime cannot be started")?;
    let exit = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Run(args) => run::run(args).await,
            Command::Edge(args) => edge::run(args).await,
            Command::ControlPlane(args) => control_plane::run(args).await,
            Command::Purge(args) => command::purge::run(args).await,
            Command::Site(command) => command::site::run(command).await,
            Command::Export(args) => command::export::run(args).await,
            Command::Import(args) => command::import::run(args).await,
            Command::Edges(args) => command::edges::run(args).await,
            Command::Origins(args) => command::origins::run(args).await,
            Command::Certs(args) => command::certs::run(&args),
            Command::Token(args) => command::token::run(&args),
            Command::Explain(args) => command::explain::run(args).await,
            Command::Loadtest(args) => command::loadtest::run(*args).await,
        }
    });
    // What is still under way has had its time.
    runtime.shutdown_background();
    exit
}

/// One connection is one file or two, and the usual soft limit of 1,024 is there for programs that cannot count
/// further: take what the hard limit grants.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        print::note(format_args!(
            "the limit of open files stays at {:?}: {error}",
            limit.current
        ));
    }
}
