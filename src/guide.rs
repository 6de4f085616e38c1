//! What is printed when something serves: what listens where, and what to paste next.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::addresses::Addresses;

const DEFAULT_ADMIN: &str = "127.0.0.1:9080";

/// For `seawall run`. `state` is absolute, so that what is printed works wherever it is pasted.
pub(crate) fn run(addresses: &Addresses, state: &Path, ca_pem: Option<&Path>) -> String {
    let mut text = format!("Seawall {} serves.\n\n", env!("CARGO_PKG_VERSION"));
    let mut row = |name: &str, what: String| {
        let _ = writeln!(text, "  {name:<8}{what}");
    };
    if let Some(listen) = addresses.listen {
        row("http", format!("http://{}", reached(listen)));
    }
    if let Some(listen) = addresses.listen_tls {
        let trust = ca_pem
            .map(|ca| format!("    trust {}", quoted(ca)))
            .unwrap_or_default();
        row("https", format!("https://{}{trust}", reached(listen)));
    }
    if let Some(admin) = addresses.admin {
        row(
            "admin",
            format!("http://{admin}    /v1/edges /readyz?verbose /metrics /openapi.json"),
        );
    }
    if let Some(origin) = &addresses.origin {
        row("origin", origin.clone());
    }
    row("state", quoted(state));

    text.push_str("\nTry:\n");
    if let Some(listen) = addresses.listen {
        let url = format!("http://{}/", reached(listen));
        let _ = writeln!(
            text,
            "  curl -i {url}      # twice: X-Cache says MISS, then HIT, where the origin allows it"
        );
        let _ = writeln!(
            text,
            "  {} purge --url {url}{}",
            seawall(),
            server(addresses.admin)
        );
    }
    match (addresses.listen_tls, ca_pem) {
        (Some(listen), Some(ca)) => {
            let port = listen.port();
            let _ = writeln!(
                text,
                "  curl -i --cacert {} https://localhost:{port}/",
                quoted(ca)
            );
        }
        _ => {
            let _ = writeln!(text, "  {} edges{}", seawall(), server(addresses.admin));
        }
    }
    text.push_str("Ctrl-C drains and stops.\n");
    text
}

/// For `seawall demo`, with the folder it keeps everything in.
pub(crate) fn demo(addresses: &Addresses, folder: &Path) -> String {
    let mut text = format!(
        "Seawall {}: a CDN on this machine.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let _ = writeln!(
        text,
        "  {:<14}{}",
        "origin",
        addresses.origin.as_deref().unwrap_or_default()
    );
    if let Some(admin) = addresses.admin {
        let _ = writeln!(
            text,
            "  {:<14}http://{admin}    /v1/edges /v1/sites /metrics /openapi.json",
            "control plane"
        );
    }
    for edge in &addresses.edges {
        let _ = writeln!(
            text,
            "  {:<14}http://{}    {}, process {}",
            edge.id, edge.listen, edge.place, edge.pid
        );
    }
    let _ = writeln!(text, "  {:<14}{}", "files, logs", quoted(folder));
    text.push_str("\nVisitors ask the edges for pages and pictures all the time. Try:\n");
    let (seawall, server) = (seawall(), server(addresses.admin));
    let mut command = |command: String, why: &str| {
        let _ = writeln!(text, "  {command}\n      # {why}");
    };
    if let [first, others @ ..] = addresses.edges.as_slice() {
        let page = format!("http://{}/pages/42", first.listen);
        command(
            format!("curl -i {page}"),
            "twice: X-Cache says MISS, then HIT",
        );
        command(
            format!("{seawall} explain {page} --server http://{}", first.admin),
            "what that edge would do with it, and why",
        );
        command(
            format!("{seawall} purge --tag page-42{server}"),
            "one purge, all edges, and the receipt that says so; curl again: MISS",
        );
        command(
            format!("{seawall} edges{server}"),
            "who follows, and how closely",
        );
        if let Some(last) = others.last() {
            command(
                format!("kill -9 {}", last.pid),
                &format!(
                    "{} is gone, the others serve on; the next receipt says who is missing",
                    last.id
                ),
            );
        }
    }
    text.push_str("Ctrl-C drains and stops, twice stops at once.\n");
    text
}

/// How a person on this machine gets there: an address that stands for all of them is not one to ask.
fn reached(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, v6.port()).into()
        }
        _ => listen,
    }
}

/// The option a client command needs to find this control plane; none where it is where they look anyway.
fn server(admin: Option<SocketAddr>) -> String {
    match admin.map(|admin| admin.to_string()) {
        Some(admin) if admin != DEFAULT_ADMIN => format!(" --server http://{admin}"),
        _ => String::new(),
    }
}

/// This very program, as a shell finds it.
pub(crate) fn seawall() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).components().count() == 1 {
        return "seawall".to_owned();
    }
    std::env::current_exe().map_or_else(|_| "seawall".to_owned(), |path| quoted(&path))
}

/// As a shell reads it back.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_path_survives_a_shell() {
        assert_eq!(
            quoted(Path::new("/srv/seawall-state")),
            "/srv/seawall-state"
        );
        assert_eq!(quoted(Path::new("/my files")), "'/my files'");
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
        assert_eq!(quoted(Path::new("/$HOME")), "'/$HOME'");
    }

    #[test]
    fn the_guide_names_addresses_one_can_ask() {
        let addresses = Addresses {
            listen: Some(([0, 0, 0, 0], 80).into()),
            listen_tls: Some(([127, 0, 0, 1], 8443).into()),
            admin: Some(([127, 0, 0, 1], 9999).into()),
            ..Addresses::default()
        };
        let text = run(&addresses, Path::new("/s"), Some(Path::new("/s/ca.pem")));
        assert!(text.contains("curl -i http://127.0.0.1:80/"), "{text}");
        assert!(text.contains("--server http://127.0.0.1:9999"), "{text}");
        assert!(
            text.contains("curl -i --cacert /s/ca.pem https://localhost:8443/"),
            "{text}"
        );
        assert_eq!(server(Some(([127, 0, 0, 1], 9080).into())), "");
    }
}
