//! What an edge and a control plane may be told.

use seawall_config::file::SiteFile;
use seawall_config::roles::{ControlPlaneConfig, EdgeConfig};

use crate::{examples, lines};

#[test]
fn a_role_is_refused_what_it_cannot_keep() {
    let edge = |line: &str| {
        let good = "[edge]\nid = \"a\"\nplace = \"p\"\nstate = \"s\"\n";
        let planes = if line.starts_with("control_planes") {
            ""
        } else {
            "control_planes = [\"http://127.0.0.1:9080\"]\n"
        };
        lines(EdgeConfig::parse(&format!("{good}{planes}{line}\n")))
    };
    let plane = |line: &str| {
        lines(ControlPlaneConfig::parse(&format!(
            "[control_plane]\nstate = \"s\"\n{line}\n"
        )))
    };
    let check = |found: Vec<String>, expect: &str| assert_eq!(found, [expect]);
    let none: [&str; 0] = [];
    assert_eq!(edge(""), none);
    assert_eq!(
        edge("control_planes = [\"http://[::1]:1/\", \"http://localhost\"]"),
        none
    );
    check(
        edge("admin = \"0.0.0.0:9081\""),
        "edge.admin: 0.0.0.0:9081 is not loopback, and this address asks for no token: write 127.0.0.1:9081",
    );
    check(
        edge("control_planes = [\"http://10.0.0.1:9080\"]"),
        "edge.control_planes[0]: \"http://10.0.0.1:9080\" would be asked in clear over the network: write https",
    );
    check(
        edge("control_planes = [\"https://127.0.0.1:9080\"]"),
        "edge.peer_certs: is missing; https needs the folder with ca.pem, cert.pem and key.pem",
    );
    check(
        edge("listen = \":8080\""),
        "edge.listen: \":8080\" is not an address and a port; write 127.0.0.1:8080 for this machine alone, 0.0.0.0:8080 for every address",
    );
    check(
        edge("listen_tls = \"localhost:8443\""),
        "edge.listen_tls: \"localhost:8443\" is not an address and a port; write 127.0.0.1:8443",
    );
    check(
        edge("cache_bytes = 512"),
        "edge.cache_bytes: 512 of what? Write the unit, such as \"512MiB\" (B, KiB, MiB, GiB, TiB)",
    );
    check(
        plane("listen = \"[::]:9080\""),
        "control_plane.peer_certs: is missing; beyond loopback a control plane speaks TLS only, so name the folder with ca.pem, cert.pem and key.pem that `seawall certs` makes",
    );
    for id in ["", "1a", "A", "a b", "a\"", "-a", &"a".repeat(64)] {
        assert!(seawall_config::roles::edge_id(id).is_err(), "{id:?}");
    }
}

#[test]
fn tokens_are_told_apart() {
    let token = |name: &str, sha256: &str, more: &str| {
        format!("[[token]]\nname = {name:?}\nsha256 = {sha256:?}\n{more}\n")
    };
    let (a, b) = ("0a".repeat(32), "0b".repeat(32));
    let check = |text: &str, expect: &[&str]| {
        let found = lines(seawall_config::tokens::parse(text));
        assert_eq!(found.len(), expect.len(), "{text}{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{text}{found}");
        }
    };
    let read = "scopes = [\"read\"]";
    check(&token("a", &a, read), &[]);
    check(
        &(token("a", &a, read)
            + &token("b", &b, "scopes = [\"purge\", \"write\"]\nsites = [\"s\"]")),
        &[],
    );
    check("", &["token: is missing"]);
    check(&token("a", &a, ""), &["token[0].scopes: is missing"]);
    check(
        &token("a", &a, "scopes = [\"all\"]"),
        &["token[0].scopes[0]: \"all\" is not a scope"],
    );
    check(
        &token("A", &a, read),
        &["token[0].name: \"A\" is not a name"],
    );
    check(
        &token("a", "secret", read),
        &["token[0].sha256: is no SHA-256"],
    );
    check(
        &token("a", &"+1".repeat(32), read),
        &["token[0].sha256: is no SHA-256"],
    );
    check(
        &(token("a", &a, read) + &token("a", &b, read)),
        &["token[1].name: is another token's name"],
    );
    check(
        &(token("a", &a, read) + &token("b", &a, read)),
        &["token[1].sha256: is another token's"],
    );
    check(
        &token("a", &a, "scopes = [\"edge\"]\nedges = [\"e1\"]"),
        &[],
    );
    check(
        &token("a", &a, "scopes = [\"read\"]\nedges = [\"e1\"]"),
        &["token[0].edges: is for the scope \"edge\""],
    );
    check(
        &token("a", &a, "scopes = [\"edge\"]\nsites = [\"s\"]"),
        &["token[0].sites: an edge serves all sites"],
    );
}

#[test]
fn a_control_plane_says_how_it_reaches_etcd() {
    let check = |text: &str, expect: &[&str]| {
        let text = format!("[control_plane]\nstate = \"s\"\n{text}\n");
        let found = lines(ControlPlaneConfig::parse(&text));
        assert_eq!(found.len(), expect.len(), "{text}{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{text}{found}");
        }
    };
    let etcd = "store = \"etcd\"\n[control_plane.etcd]\n";
    let plain = "endpoints = [\"http://10.0.0.1:2379\"]\n";
    let tls = "endpoints = [\"https://10.0.0.1:2379\", \"https://e2:2379/\"]\nca = \"c\"\n";
    check(&format!("{etcd}{plain}"), &[]);
    check(
        &format!("{etcd}{tls}cert = \"a\"\nkey = \"b\"\nusername = \"u\"\npassword_file = \"p\""),
        &[],
    );
    check(
        &format!(
            "{etcd}endpoints = [\"http://127.0.0.1:2379\"]\nusername = \"u\"\npassword_file = \"p\""
        ),
        &[],
    );
    check("store = \"etcd\"", &["control_plane.etcd: is missing"]);
    check(
        &format!("[control_plane.etcd]\n{plain}"),
        &["control_plane.etcd: is etcd's, and the store is embedded"],
    );
    check(etcd, &["control_plane.etcd.endpoints: is missing"]);
    check(
        &format!("{etcd}endpoints = []"),
        &["control_plane.etcd.endpoints"],
    );
    check(
        &format!("{etcd}endpoints = [\"http://a\", \"ftp://b:1\"]"),
        &[
            "endpoints[0]: \"http://a\" has no port",
            "endpoints[1]: the scheme is",
        ],
    );
    check(
        &format!("{etcd}endpoints = [\"http://a:1\", \"https://b:1\"]\nca = \"c\""),
        &["some are http and some https"],
    );
    check(
        &format!("{etcd}endpoints = [\"https://a:1\"]"),
        &["control_plane.etcd.ca: is missing"],
    );
    check(
        &format!("{etcd}{plain}ca = \"c\""),
        &["control_plane.etcd.ca: is for https"],
    );
    check(
        &format!("{etcd}{tls}cert = \"a\""),
        &["control_plane.etcd.key: is missing; cert needs it"],
    );
    check(
        &format!("{etcd}{tls}password_file = \"a\""),
        &["control_plane.etcd.username: is missing"],
    );
    check(
        &format!("{etcd}{plain}username = \"u\"\npassword_file = \"p\""),
        &["control_plane.etcd.username: would go over the network in clear"],
    );
}

#[test]
fn a_file_of_another_kind_says_which_command_takes_it() {
    let said = |found: Vec<String>| found.join("\n");
    let text = said(lines(SiteFile::parse(examples::EDGE)));
    assert!(text.contains("edge: belongs in a file for `seawall edge --config`; this is one for `seawall run --config`"), "{text}");
    assert!(text.contains("site: is missing"), "{text}");
    let text = said(lines(EdgeConfig::parse(examples::SITE)));
    assert!(
        text.contains("site: belongs in a file for `seawall run --config`"),
        "{text}"
    );
    assert!(text.contains("edge: is missing"), "{text}");
    let text = said(lines(ControlPlaneConfig::parse("")));
    assert_eq!(
        text,
        "control_plane: is missing; expected the table [control_plane]"
    );
}
