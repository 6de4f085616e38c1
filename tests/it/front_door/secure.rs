//! Over TLS: who is shown which certificate, who has to show one, and what of it changes while the edge serves.

use std::fs;
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::message::{self, Framing};
use crate::support::{Authority, Folder, Origin, Seawall, eventually, ok};

/// Sites, and their certificates.
struct World {
    _origin: Origin,
    seawall: Seawall,
    authority: Authority,
    /// Of clients.
    members: Authority,
    folder: Folder,
}

impl World {
    fn start() -> Self {
        let origin = Origin::start();
        let (authority, members) = (Authority::new(), Authority::new());
        let folder = Folder::new();
        let certs = folder.path().join("certs");
        fs::create_dir(&certs).unwrap();
        let shared = [
            "a.test",
            "also-a.test",
            "b.test",
            "nobody.test",
            "guarded.test",
        ];
        authority.sign(&certs, "shared", &shared, 30);
        authority.sign(&certs, "wild", &["*.w.test"], 30);
        let url = origin.url();
        let site = |name: &str, hosts: &str, more: &str| {
            format!("[[site]]\nname = \"{name}\"\nhosts = [{hosts}]\norigin = \"{url}\"\n{more}\n")
        };
        let guard = format!("client_ca = \"\"\"\n{}\"\"\"\n", members.pem());
        let sites = [
            site("a", "\"a.test\", \"also-a.test\"", ""),
            site("b", "\"b.test\"", ""),
            site("wild", "\"*.w.test\"", ""),
            site("guarded", "\"guarded.test\"", &guard),
        ];
        let file = folder.write("sites.toml", sites.concat());
        let args = ["--config", &file, "--certs", certs.to_str().unwrap()];
        let seawall = Seawall::run_with(&args, &folder);
        origin.says("/a", ok("a").max_age(600));
        Self {
            _origin: origin,
            seawall,
            authority,
            members,
            folder,
        }
    }

    fn certs(&self) -> std::path::PathBuf {
        self.folder.path().join("certs")
    }

    /// curl's exit code and the status of the answer.
    fn curl(&self, name: &str, trusted: &Authority, args: &[&str]) -> (i32, String) {
        let port = self.seawall.listen_tls().port();
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "30", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code}", "--cacert"])
            .arg(trusted.path())
            .args(["--connect-to", &format!("{name}:443:127.0.0.1:{port}")])
            .args(args)
            .arg(format!("https://{name}/a"))
            .output()
            .expect("curl is installed");
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), status)
    }

    fn identity(&self, authority: &Authority, name: &str) -> Vec<String> {
        let folder = self.folder.path();
        authority.sign(folder, name, &["client"], 30);
        let file = |kind: &str| {
            folder
                .join(format!("{name}.{kind}"))
                .to_str()
                .unwrap()
                .to_owned()
        };
        vec!["--cert".into(), file("crt"), "--key".into(), file("key")]
    }
}

const GOOD: i32 = 0;
/// curl: the handshake failed.
const NO_HANDSHAKE: i32 = 35;
/// curl: who signed that certificate is not trusted.
const UNTRUSTED: i32 = 60;

#[test]
fn a_connection_is_good_for_the_site_that_it_names() {
    let world = World::start();
    for version in ["--http1.1", "--http2"] {
        let check = |name: &str, host: &str, exit: i32, status: &str| {
            let header = format!("Host: {host}");
            let args = [version, "--header", &header];
            let found = world.curl(name, &world.authority, &args);
            assert_eq!(found, (exit, status.to_owned()), "{version} {name} {host}");
        };
        for name in ["a.test", "also-a.test", "b.test", "x.w.test", "y.w.test"] {
            check(name, name, GOOD, "200");
        }
        // Nobody has a certificate of that name; or a certificate, and no site.
        for name in ["other.test", "w.test", "x.y.w.test", "nobody.test"] {
            check(name, name, NO_HANDSHAKE, "000");
        }
        check("a.test", "also-a.test", GOOD, "200");
        check("a.test", "also-a.test:443", GOOD, "200");
        check("x.w.test", "y.w.test", GOOD, "200");
        // One certificate for both, but another site.
        check("a.test", "b.test", GOOD, "421");
        check("a.test", "x.w.test", GOOD, "421");
        check("a.test", "guarded.test", GOOD, "421");
        check("a.test", "127.0.0.1", GOOD, "404");
    }
}

#[test]
fn who_has_to_show_a_certificate_shows_one_of_the_sites_own() {
    let world = World::start();
    let member = world.identity(&world.members, "member");
    let stranger = world.identity(&Authority::new(), "stranger");
    for version in ["--http1.1", "--http2"] {
        let ask = |name: &str, identity: &[String], more: &[&str]| {
            let mut args: Vec<_> = identity.iter().map(String::as_str).collect();
            args.push(version);
            args.extend(more);
            world.curl(name, &world.authority, &args)
        };
        assert_eq!(ask("guarded.test", &member, &[]), (GOOD, "200".into()));
        for identity in [&[][..], &stranger] {
            let (exit, status) = ask("guarded.test", identity, &[]);
            assert_ne!(exit, GOOD, "{version}");
            assert_eq!(status, "000", "{version}");
        }
        // Nor by another site's door.
        let host = ["--header", "Host: guarded.test"];
        assert_eq!(ask("b.test", &member, &host), (GOOD, "421".into()));
        assert_eq!(ask("b.test", &member, &[]), (GOOD, "200".into()));
    }
    let clear = world.seawall.get_with("/a", &[("host", "guarded.test")]);
    assert_eq!(clear.status, 403, "{}", clear.text());
}

#[test]
fn a_session_is_resumed_where_it_was_begun_and_nowhere_else() {
    let world = World::start();
    let file = world.folder.path().join("session");
    let session = file.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let ask =
            |name: &str, args: &[&str]| world.s_client(name, &[&[version][..], args].concat());
        assert!(
            ask("a.test", &["-sess_out", session]).contains("New, TLSv1"),
            "{version}"
        );
        for _ in 0..3 {
            let again = ask("a.test", &["-sess_in", session, "-sess_out", session]);
            assert!(again.contains("Reused, TLSv1"), "{version}: {again}");
            assert!(again.contains("HTTP/1.1 200 OK"), "{version}: {again}");
        }
        // Nobody asked for a certificate there.
        let elsewhere = ask("guarded.test", &["-sess_in", session]);
        assert!(!elsewhere.contains("HTTP/1.1"), "{version}: {elsewhere}");
    }
}

#[test]
fn a_folder_is_followed_and_a_bad_pair_changes_nothing() {
    let world = World::start();
    let (old, new) = (&world.authority, Authority::new());
    let ends = || {
        let metrics = world.seawall.metrics();
        let row = "seawall_certificate_expiry_timestamp_seconds{name=\"a.test\"} ";
        let end = metrics.lines().find_map(|line| line.strip_prefix(row));
        end.unwrap_or_else(|| panic!("{metrics}"))
            .parse::<u64>()
            .unwrap()
    };
    let is_behind = || world.seawall.metric("seawall_certificates_behind") == 1.0;
    let mut open = Open::connect(&world);
    assert_eq!(open.get(), 200);
    let before = ends();
    new.sign(&world.certs(), "shared", &["a.test", "b.test"], 60);
    eventually("the new one is shown", || {
        world.curl("a.test", &new, &[]) == (GOOD, "200".into())
    });
    assert_eq!(world.curl("a.test", old, &[]).0, UNTRUSTED);
    assert_eq!(world.curl("also-a.test", &new, &[]).0, NO_HANDSHAKE);
    assert!(ends() > before + 29 * 24 * 60 * 60);
    assert_eq!(open.get(), 200, "who is there stays");
    assert!(!is_behind());
    // A key that is another's.
    fs::copy(
        world.certs().join("wild.key"),
        world.certs().join("shared.key"),
    )
    .unwrap();
    eventually("it is refused", is_behind);
    assert_eq!(world.curl("a.test", &new, &[]), (GOOD, "200".into()));
    assert_eq!(world.curl("x.w.test", old, &[]), (GOOD, "200".into()));
    fs::write(world.certs().join("shared.crt"), "no certificate").unwrap();
    old.sign(&world.certs(), "shared", &["a.test", "b.test"], 30);
    eventually("what is mended is shown", || !is_behind());
    assert_eq!(world.curl("a.test", old, &[]), (GOOD, "200".into()));
    assert_eq!(open.get(), 200);
}

impl World {
    /// What `openssl s_client` prints of one request.
    fn s_client(&self, name: &str, args: &[&str]) -> String {
        let mut client = Command::new("timeout")
            .args(["30", "openssl", "s_client", "-ign_eof", "-servername", name])
            .args(["-connect", &self.seawall.listen_tls().to_string()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let request = format!("GET /a HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        let _ = client.stdin.take().unwrap().write_all(request.as_bytes());
        let output = client.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A connection over TLS that stays open.
struct Open {
    openssl: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Open {
    fn connect(world: &World) -> Self {
        let mut openssl = Command::new("timeout")
            .args(["120", "openssl", "s_client", "-quiet", "-nocommands"])
            .args(["-servername", "a.test", "-connect"])
            .arg(world.seawall.listen_tls().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let to = openssl.stdin.take().unwrap();
        let from = BufReader::new(openssl.stdout.take().unwrap());
        Self { openssl, to, from }
    }

    fn get(&mut self) -> u16 {
        let request = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
        self.to.write_all(request.as_bytes()).unwrap();
        let (line, fields) = message::read_head(&mut self.from).expect("an answer");
        let length = message::field(&fields, "content-length").unwrap();
        message::read_body(&mut self.from, Framing::Length(length.parse().unwrap()));
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.openssl.kill();
        let _ = self.openssl.wait();
    }
}
