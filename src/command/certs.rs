//! `seawall certs`: what control planes and edges show each other, a folder for each machine.

use std::path::{Path, PathBuf};

use clap::Args;
use seawall_certs::authority::PEER_DAYS;
use seawall_certs::{Authority, Peer};
use seawall_config::roles::edge_id;

use crate::clock;
use crate::exit::{Exit, Failure};
use crate::print;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  seawall certs peers --control-plane cp1=10.0.0.1 --control-plane cp2=10.0.0.2,cp2.example.com \\
      --edge fra1-a --edge fra1-b

makes peers/authority (ca.pem; keep ca.key where you run this, and nowhere else), and peers/cp1,
peers/cp2, peers/fra1-a and peers/fra1-b, each with ca.pem, cert.pem and key.pem: copy each to its
machine, and name it there as peer_certs. Commands take peers/authority/ca.pem as --ca.

What is there is never overwritten: to renew one, move its folder away and run this again.")]
pub(crate) struct CertsArgs {
    /// Where the folders are made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A control plane: a name for its folder, and the hosts that others find it at
    #[arg(long = "control-plane", value_name = "NAME=HOST[,HOST…]", value_parser = control_plane)]
    control_planes: Vec<Peer>,
    /// An edge, by its id
    #[arg(long = "edge", value_name = "ID", value_parser = edge)]
    edges: Vec<Peer>,
}

pub(crate) fn run(args: &CertsArgs) -> Result<Exit, Failure> {
    if args.control_planes.is_empty() && args.edges.is_empty() {
        return Err(Exit::Usage.because("name whom certificates are for: --control-plane, --edge"));
    }
    let failed = |error: &dyn std::fmt::Display| Exit::Failed.because(format!("{error}"));
    let now = clock::now();
    let home = args.folder.join("authority");
    let authority = Authority::open(&home, now).map_err(|error| failed(&error))?;
    let made = if authority.made { "made" } else { "was there" };
    print::result(format_args!(
        "{}  {made}; its key signs, so keep it here",
        home.display()
    ));
    for peer in args.control_planes.iter().chain(&args.edges) {
        let folder = args.folder.join(name_of(peer));
        let issued = authority
            .issue(peer, &folder, now)
            .map_err(|error| failed(&error))?;
        print::result(line(&folder, issued.is_some()));
    }
    Ok(Exit::Done)
}

fn line(folder: &Path, made: bool) -> String {
    let folder = folder.display();
    match made {
        true => format!("{folder}  made, for {PEER_DAYS} days"),
        false => format!("{folder}  was there, and stays as it is"),
    }
}

fn name_of(peer: &Peer) -> &str {
    match peer {
        Peer::ControlPlane { name, .. } => name,
        Peer::Edge { id } => id,
    }
}

fn control_plane(text: &str) -> Result<Peer, String> {
    let (name, hosts) = text
        .split_once('=')
        .ok_or("write NAME=HOST, such as cp1=10.0.0.1")?;
    let hosts: Vec<_> = hosts.split(',').map(str::to_owned).collect();
    if hosts.iter().any(String::is_empty) {
        return Err("a host is empty; write NAME=HOST, such as cp1=10.0.0.1".into());
    }
    Ok(Peer::ControlPlane {
        name: folder_name(name)?,
        hosts,
    })
}

fn edge(text: &str) -> Result<Peer, String> {
    let id = folder_name(&edge_id(text)?)?;
    Ok(Peer::Edge { id })
}

/// Names are folders here.
fn folder_name(name: &str) -> Result<String, String> {
    let name = edge_id(name)?;
    match name.as_str() {
        "authority" => Err("\"authority\" is the authority's own folder".into()),
        _ => Ok(name),
    }
}
