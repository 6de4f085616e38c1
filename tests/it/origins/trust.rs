//! TLS to a real nginx: who is trusted, who is shown what, over which version of HTTP, and who shares a connection.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::nginx::server::Nginx;
use crate::support::{Folder, Seawall};

/// nginx with TLS, which lets in only who shows a certificate of its authority.
struct Guarded {
    _nginx: Nginx,
    folder: Folder,
    url: String,
}

impl Guarded {
    fn start() -> Self {
        let folder = Folder::new();
        let made = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args([
                "certs",
                "peers",
                "--control-plane",
                "cp1=127.0.0.1",
                "--edge",
                "e1",
            ])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success());
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let nginx = Nginx::start(
            &folder,
            &format!(
                "listen 127.0.0.1:{port} ssl http2;
                 ssl_certificate FOLDER/peers/cp1/cert.pem;
                 ssl_certificate_key FOLDER/peers/cp1/key.pem;
                 ssl_client_certificate FOLDER/peers/authority/ca.pem;
                 ssl_verify_client optional;
                 add_header cache-control no-store;
                 location / {{ return 200 '$server_protocol $ssl_client_verify $connection'; }}"
            ),
        );
        Self {
            _nginx: nginx,
            folder,
            url: format!("https://127.0.0.1:{port}"),
        }
    }

    fn pem(&self, file: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join("peers").join(file)).unwrap();
        format!("\"\"\"\n{text}\"\"\"")
    }

    /// The site `name` on `name.test`.
    fn site(&self, name: &str, words: &str, tls: &str) -> String {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\n[site.origin]\n{words}\n\
             [[site.origin.server]]\nurl = \"{}\"\n[site.origin.tls]\n{tls}\n",
            self.url
        )
    }
}

/// What nginx says of the request: the protocol, the client's certificate, and which connection it came on.
fn said(seawall: &Seawall, host: &str, method: &str) -> Vec<String> {
    let answer = seawall.request(method, "/", &[("host", host)], b"");
    let text = answer.text();
    text.trim().split(' ').map(str::to_owned).collect()
}

#[test]
fn two_sites_with_different_trust_share_no_connection() {
    let guarded = Guarded::start();
    let ca = format!("ca = {}", guarded.pem("authority/ca.pem"));
    let client = format!(
        "{ca}\nclient_certificate = {}\nclient_key = {}",
        guarded.pem("e1/cert.pem"),
        guarded.pem("e1/key.pem")
    );
    let sites = [
        guarded.site("known", "", &client),
        guarded.site("unknown", "", &ca),
        guarded.site("blind", "", "verify = false"),
        guarded.site("strict", "", ""),
        guarded.site(
            "misnamed",
            "",
            &format!("{ca}\nserver_name = \"other.test\""),
        ),
    ];
    let seawall = Seawall::run_config(&sites.concat());
    let mut connections = Vec::new();
    for (host, verified) in [
        ("known.test", "SUCCESS"),
        ("unknown.test", "NONE"),
        ("blind.test", "NONE"),
    ] {
        let (first, second) = (said(&seawall, host, "GET"), said(&seawall, host, "GET"));
        assert_eq!(first[..2], ["HTTP/1.1", verified], "{host}");
        assert_eq!(second[..2], first[..2], "{host}");
        connections.push(BTreeSet::from([first[2].clone(), second[2].clone()]));
        // What passes through is trusted alike.
        assert_eq!(
            said(&seawall, host, "DELETE")[..2],
            ["HTTP/1.1", verified],
            "{host}"
        );
    }
    let each: usize = connections.iter().map(BTreeSet::len).sum();
    let all: BTreeSet<_> = connections.iter().flatten().collect();
    assert_eq!(all.len(), each, "none is of two sites: {connections:?}");
    // A connection that another site has made is open by now; nobody slips through on it.
    for host in ["strict.test", "misnamed.test"] {
        let refused = seawall.get_with("/", &[("host", host)]);
        refused.fails(502, "origin failed TLS");
    }
}

#[test]
fn http2_is_spoken_where_a_site_wants_it_and_many_share_a_connection() {
    let guarded = Guarded::start();
    let ca = format!("ca = {}", guarded.pem("authority/ca.pem"));
    let sites = [
        guarded.site("two", "http2 = true", &ca),
        guarded.site("one", "", &ca),
    ];
    let seawall = Seawall::run_config(&sites.concat());
    let first = said(&seawall, "two.test", "GET");
    assert_eq!(first[..2], ["HTTP/2.0", "NONE"]);
    assert_eq!(said(&seawall, "two.test", "GET"), first);
    assert_eq!(said(&seawall, "two.test", "POST")[..2], first[..2]);
    assert_eq!(said(&seawall, "one.test", "GET")[0], "HTTP/1.1");
}
