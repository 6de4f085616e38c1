//! `curl` over HTTP/2 with TLS: a client that is not ours.

use std::fs;
use std::process::Command;

use super::folder::Folder;
use super::response::Response;
use super::seawall::Seawall;

/// What curl says of a transfer.
pub struct Curled {
    /// Its exit code; 0 is good.
    pub exit: i32,
    /// `2` for HTTP/2.
    pub version: String,
    /// `complete` where curl was content with it.
    pub response: Response,
}

impl Seawall {
    /// GET over HTTP/2 and TLS; the certificate must be one of the development CA's.
    pub fn curl(&self, target: &str, args: &[&str]) -> Curled {
        let folder = Folder::new();
        let (head, body) = (folder.path().join("head"), folder.path().join("body"));
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--http2", "--max-time", "30"])
            .args(["--write-out", "%{http_version}", "--cacert"])
            .arg(self.state().join("ca.pem"))
            .arg("--dump-header")
            .arg(&head)
            .arg("--output")
            .arg(&body)
            .args(args)
            .arg(format!("https://{}{target}", self.listen_tls()))
            .output()
            .expect("curl is installed");
        let exit = output.status.code().unwrap_or(-1);
        let head = fs::read_to_string(head).unwrap_or_default();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields =
            fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let response = Response {
            status: status.unwrap_or(0),
            fields: fields.collect(),
            body: fs::read(body).unwrap_or_default(),
            complete: exit == 0,
        };
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(exit != 60, "{}", String::from_utf8_lossy(&output.stderr));
        Curled {
            exit,
            version,
            response,
        }
    }
}
