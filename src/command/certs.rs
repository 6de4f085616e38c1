//! `seawall certs`: what control planes, edges and members of etcd show each other, a folder for each.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_certs::authority::Issued;
use seawall_certs::{Authority, Peer, Realm};
use seawall_config::roles::edge_id;

use crate::clock;
use crate::exit::{Exit, Failure};
use crate::print;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seawall certs peers --control-plane cp1=10.0.0.1 --control-plane cp2=10.0.0.2,cp2.example.com \\
      --edge fra1-a --edge fra1-b
  seawall certs store --etcd etcd1=10.0.0.1 --etcd etcd2=10.0.0.2 --etcd etcd3=10.0.0.3

The first makes peers/authority, and peers/cp1, peers/cp2, peers/fra1-a and peers/fra1-b, each with ca.pem,
cert.pem and key.pem: copy each to its machine, and name it there as peer_certs. Commands take
peers/authority/ca.pem as --ca. The key peers/authority/ca.key stays where it is, and goes nowhere else.

etcd has an authority of its own: it lets in whoever shows a certificate of its authority, and that must
not be an edge. What is there is never overwritten: to renew a certificate, move its folder away and run
this again; SIGHUP makes a process read what was copied.")]
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
    /// A member of etcd, and whoever asks it from its machine; in a folder of their own
    #[arg(
        long = "etcd", value_name = "NAME=HOST[,HOST…]", value_parser = etcd_member,
        conflicts_with_all = ["control_planes", "edges"]
    )]
    etcd_members: Vec<Peer>,
}

pub(crate) fn run(args: &CertsArgs) -> Result<Exit, Failure> {
    let of_seawall = args.control_planes.iter().chain(&args.edges);
    let peers: Vec<_> = of_seawall.chain(&args.etcd_members).collect();
    let Some(first) = peers.first() else {
        let why = "name whom certificates are for: --control-plane, --edge, --etcd";
        return Err(Exit::Usage.because(why));
    };
    let realm = first.realm();
    let now = clock::now();
    let home = args.folder.join("authority");
    let authority = Authority::open(&home, realm, now).map_err(|error| failed(&error))?;
    let of_authority = Issued {
        ends: authority.ends(),
        made: authority.made(),
    };
    print::result(line(&home, of_authority));
    for peer in peers {
        let folder = args.folder.join(name_of(peer));
        let issued = authority.issue(peer, &folder, now);
        print::result(line(&folder, issued.map_err(|error| failed(&error))?));
    }
    print::note(advice(realm, &home));
    Ok(Exit::Done)
}

fn failed(error: &dyn Display) -> Failure {
    Exit::Failed.because(format!("{error}"))
}

fn line(folder: &Path, issued: Issued) -> String {
    let done = match issued.made {
        true => "made",
        false => "was there, and stays as it is",
    };
    let ends = seawall_certs::date(issued.ends);
    format!("{}  until {ends}  {done}", folder.display())
}

fn advice(realm: Realm, home: &Path) -> String {
    let home = home.display();
    let there = match realm {
        Realm::Seawall => {
            format!("and name it there as peer_certs. Commands trust {home}/ca.pem, as --ca")
        }
        Realm::Etcd => {
            "for etcd itself, and for ca, cert and key in [control_plane.etcd]".to_owned()
        }
    };
    format!(
        "Copy each folder but {home} to its machine, {there}. {home}/ca.key signs: keep it here."
    )
}

fn name_of(peer: &Peer) -> &str {
    match peer {
        Peer::ControlPlane { name, .. } | Peer::EtcdMember { name, .. } => name,
        Peer::Edge { id } => id,
    }
}

fn control_plane(text: &str) -> Result<Peer, String> {
    let (name, hosts) = name_and_hosts(text)?;
    Ok(Peer::ControlPlane { name, hosts })
}

fn etcd_member(text: &str) -> Result<Peer, String> {
    let (name, hosts) = name_and_hosts(text)?;
    Ok(Peer::EtcdMember { name, hosts })
}

fn edge(text: &str) -> Result<Peer, String> {
    let id = folder_name(text)?;
    Ok(Peer::Edge { id })
}

fn name_and_hosts(text: &str) -> Result<(String, Vec<String>), String> {
    let example = "write NAME=HOST, such as cp1=10.0.0.1";
    let (name, hosts) = text.split_once('=').ok_or(example)?;
    let hosts: Vec<_> = hosts.split(',').map(str::to_owned).collect();
    if hosts.iter().any(String::is_empty) {
        return Err(format!("a host is empty; {example}"));
    }
    Ok((folder_name(name)?, hosts))
}

/// Names are folders here.
fn folder_name(name: &str) -> Result<String, String> {
    let name = edge_id(name)?;
    match name.as_str() {
        "authority" => Err("\"authority\" is the authority's own folder".into()),
        _ => Ok(name),
    }
}
