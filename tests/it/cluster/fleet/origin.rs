//! Where the pages come from: a real nginx on a machine of its own.

use std::fs;

use super::super::net::Machine;
use super::{EDGES, Fleet, MEMBERS, PLANES};
use crate::support::{Folder, Process, eventually};

impl Fleet {
    pub fn kill_origin(&mut self) {
        self.origin.kill_9();
    }

    /// With the pages that it had; it answers.
    pub fn start_origin(&mut self) {
        let machine = self.net.machine(MEMBERS + PLANES + EDGES);
        self.origin = start(machine, &self.folder);
        let url = format!("{}/page", self.origin_url());
        eventually("the origin answers", || {
            let asked = self
                .clients()
                .command("curl")
                .args(["--silent", &url])
                .output();
            asked.unwrap().status.success()
        });
    }
}

/// nginx, with one page that is fresh for an hour.
pub(super) fn start(machine: &Machine, folder: &Folder) -> Process {
    let home = folder.path().to_str().unwrap();
    let page = folder.path().join("www/page");
    if !page.exists() {
        fs::create_dir_all(folder.path().join("www")).unwrap();
        fs::write(page, "0").unwrap();
    }
    let text = format!(
        "daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/nginx.log;\n\
         events {{}}\nhttp {{ access_log off; server {{ listen {}:8000; root {home}/www; expires 1h; }} \
         client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3; \
         uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5; }}\n",
        machine.address
    );
    let file = folder.write("nginx.conf", text);
    let mut command = machine.command("/usr/sbin/nginx");
    command.args(["-c", &file, "-p", home]);
    Process::spawn(&mut command, &Folder::new())
}
