//! How a control plane reaches etcd.

use std::path::PathBuf;

use crate::problem::Problems;
use crate::reader::{Fields, echo};

/// `[control_plane.etcd]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `http://127.0.0.1:2379`, never empty; all `https` or all `http`.
    pub endpoints: Vec<String>,
    /// PEM: who signs the members' certificates. There exactly where the endpoints are `https`.
    pub ca: Option<PathBuf>,
    /// PEM: a certificate of one's own, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A name, and the file with its password.
    pub user: Option<(String, PathBuf)>,
}

impl EtcdConfig {
    pub(super) fn from_fields(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let before = problems.0.len();
        let endpoints = fields.each_parsed("endpoints", problems, endpoint);
        let [ca, cert, key, password_file] =
            ["ca", "cert", "key", "password_file"].map(|word| fields.text(word).map(PathBuf::from));
        let username = fields.text("username").map(str::to_owned);
        let at = |word: &str| fields.at(word);
        let tls = endpoints.iter().any(|(_, url)| url.starts_with("https:"));
        if endpoints.iter().any(|(_, url)| url.starts_with("http:")) && tls {
            problems.add(
                at("endpoints"),
                "some are http and some https; write all the same way",
            );
        }
        match (tls, &ca) {
            (true, None) => problems.add(
                at("ca"),
                "is missing; https needs the file with the authority that signs etcd's certificates",
            ),
            (false, Some(_)) => problems.add(at("ca"), "is for https; the endpoints are http"),
            _ => {}
        }
        let identity = pair(("cert", cert), ("key", key), &at, problems);
        let user = pair(
            ("username", username),
            ("password_file", password_file),
            &at,
            problems,
        );
        if identity.is_some() && !tls {
            problems.add(at("cert"), "is for https; the endpoints are http");
        }
        if user.is_some() && !tls && !endpoints.iter().all(|(_, url)| is_loopback(url)) {
            problems.add(
                at("username"),
                "would go over the network in clear: write https",
            );
        }
        fields.done();
        (problems.0.len() == before && !endpoints.is_empty()).then(|| Self {
            endpoints: endpoints.into_iter().map(|(_, url)| url).collect(),
            ca,
            identity,
            user,
        })
    }
}

/// Both or neither.
fn pair<A, B>(
    (one, a): (&str, Option<A>),
    (other, b): (&str, Option<B>),
    at: &impl Fn(&str) -> String,
    problems: &mut Problems,
) -> Option<(A, B)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a, b)),
        (None, None) => None,
        (Some(_), None) => {
            problems.add(at(other), format!("is missing; {one} needs it"));
            None
        }
        (None, Some(_)) => {
            problems.add(at(one), format!("is missing; {other} needs it"));
            None
        }
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let server = crate::site::server(text)?;
    let scheme = if server.tls { "https" } else { "http" };
    if !text
        .trim_end_matches('/')
        .ends_with(&format!(":{}", server.port))
    {
        return Err(format!("{} has no port; etcd's is 2379", echo(text)));
    }
    let host = match server.host.contains(':') {
        true => format!("[{}]", server.host),
        false => server.host,
    };
    Ok(format!("{scheme}://{host}:{}", server.port))
}

fn is_loopback(url: &str) -> bool {
    let server = crate::site::server(url);
    server.is_ok_and(|server| super::is_loopback(&server.host))
}
