//! `seawall run`, and everything a test does with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::connection::Connection;
use super::folder::Folder;
use super::message::Fields;
use super::origin::Origin;
use super::process::Process;
use super::response::Response;
use super::start::{Addresses, start};

/// One `seawall run`, on ports and in a state folder of its own.
pub struct Seawall {
    process: Process,
    addresses: Addresses,
    args: Vec<String>,
    folder: Folder,
    state: PathBuf,
}

impl Seawall {
    /// In front of one origin.
    pub fn run(origin: &Origin) -> Self {
        Self::run_with(&["--origin", &origin.url()], &Folder::new())
    }

    /// With one site, `a`, for every host before this origin, and these words of its own.
    pub fn run_site(origin: &Origin, words: &str) -> Self {
        let url = origin.url();
        Self::run_config(&format!(
            "[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigin = \"{url}\"\n{words}\n"
        ))
    }

    /// With the sites of a file with this text, `sites.toml` in its folder.
    pub fn run_config(toml: &str) -> Self {
        let folder = Folder::new();
        let file = folder.write("sites.toml", toml);
        Self::run_with(&["--config", &file], &folder)
    }

    /// `seawall run` with these arguments and the state folder `state` in `folder`. It is ready when this returns.
    pub fn run_with(args: &[&str], folder: &Folder) -> Self {
        let state = folder.path().join("state");
        let mut all = vec!["run".to_owned(), "--state".to_owned(), text(&state)];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let (process, addresses) = start(&all, None, &state, folder);
        Self {
            process,
            addresses,
            args: all,
            folder: folder.clone(),
            state,
        }
    }

    pub fn listen(&self) -> SocketAddr {
        self.addresses.listen
    }

    pub fn listen_tls(&self) -> SocketAddr {
        self.addresses.listen_tls
    }

    pub fn admin(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// The state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The folder that holds the state, the configuration and the output.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
    }

    pub fn kill_9(&mut self) {
        self.process.kill_9();
    }

    pub fn interrupt(&self) {
        self.process.interrupt();
    }

    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Another process with the same arguments, ports and state, once the one before has ended. It is ready when
    /// this returns.
    pub fn restart(&mut self) {
        self.process.end();
        (self.process, self.addresses) =
            start(&self.args, Some(self.addresses), &self.state, &self.folder);
    }

    /// The URL of a target, as clients spell it.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.listen())
    }

    /// A connection of its own.
    pub fn connect(&self) -> Connection {
        Connection::open(self.listen())
    }

    pub fn get(&self, target: &str) -> Response {
        self.get_with(target, &[])
    }

    pub fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.request("GET", target, fields, b"")
    }

    pub fn request(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.connect().request(method, target, fields, body)
    }

    /// A GET under way.
    pub fn get_later(&self, target: &str) -> JoinHandle<Response> {
        self.get_later_with(target, &[])
    }

    pub fn get_later_with(&self, target: &str, fields: &[(&str, &str)]) -> JoinHandle<Response> {
        let mut connection = self.connect();
        connection.send("GET", target, fields, b"");
        thread::spawn(move || connection.answer("GET"))
    }

    /// Asks the admin address; what is not JSON is null.
    pub fn api(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value, Fields) {
        self.api_with(method, path, &[], body)
    }

    pub fn api_with(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, Value, Fields) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let fields = [&[("content-type", "application/json")], fields].concat();
        let answer = Connection::open(self.admin()).request(method, path, &fields, body.as_bytes());
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, json, answer.fields)
    }

    /// Purges, waits until it is complete, and returns the receipt.
    #[track_caller]
    pub fn purge(&self, body: Value) -> Value {
        let (status, receipt, _) =
            self.api("POST", "/v1/purges?wait=complete&timeout=30s", Some(body));
        assert_eq!(
            (status, &receipt["state"]),
            (200, &Value::from("complete")),
            "{receipt}"
        );
        receipt
    }

    pub fn metrics(&self) -> String {
        Connection::open(self.admin())
            .request("GET", "/metrics", &[], b"")
            .text()
    }

    /// What a counter or gauge says, all its labels together.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        let values = metrics.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    /// What it holds in memory.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// `seawall` with these arguments, for this control plane.
    pub fn command(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(args)
            .current_dir(self.folder.path())
            .env("SEAWALL_SERVER", format!("http://{}", self.admin()))
            .output()
            .unwrap()
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
