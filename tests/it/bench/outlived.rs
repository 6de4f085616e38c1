//! What outlives a purge: the load tool's own example, `loadtest/plans/purge.toml`, carried out over Seawall, Varnish and
//! nginx in front of one origin. `make purges` writes the table and the page.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::load_tool::demo_origin;
use crate::support::{Folder, Process, Seawall, eventually};

/// Where Debian's `libnginx-mod-http-cache-purge` puts it.
const PURGE_MODULE: &str = "/usr/lib/nginx/modules/ngx_http_cache_purge_module.so";

#[test]
#[ignore = "a figure, and minutes long: make purges"]
fn old_copies_after_a_receipt() {
    let folder = Folder::new();
    let (origin, _origin) = demo_origin("5ms");
    let seawall = Seawall::run_with(&["--origin", &origin], &Folder::new());
    let origin_address: SocketAddr = origin.trim_start_matches("http://").parse().unwrap();
    let (varnish, _varnish) = varnish(origin_address);
    let (nginx, _nginx) = nginx(origin_address);
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/plans/purge.toml");
    let mut plan = fs::read_to_string(plan).unwrap();
    for (example, here) in [
        ("127.0.0.1:9000", origin_address),
        ("127.0.0.1:8080", seawall.listen()),
        ("127.0.0.1:9080", seawall.admin()),
        ("127.0.0.1:8081", varnish),
        ("127.0.0.1:8082", nginx),
    ] {
        assert!(plan.contains(example), "{example}");
        plan = plan.replace(example, &here.to_string());
    }
    let plan = folder.write("purge.toml", plan);
    let page = std::env::var("PURGE_PAGE").unwrap_or_else(|_| "purges.html".to_owned());
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["loadtest", "purge", &plan, "--json", "-", "--html", &page])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 1: an old copy outlived a receipt.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for cache in report["caches"].as_array().unwrap() {
        row(cache);
    }
    assert_eq!(report["caches"][0]["name"], "seawall");
    assert_eq!(report["caches"][0]["stale_after_receipt"], 0, "{said}");
}

fn row(cache: &Value) {
    let rounds = cache["rounds"].as_array().unwrap();
    assert!(rounds.iter().all(|round| round["status"] == 200), "{cache}");
    let of = |word: &str| {
        let edges = rounds.iter().map(|round| &round["edges"][0]);
        let mut found: Vec<_> = edges.filter_map(|edge| edge[word].as_f64()).collect();
        found.sort_by(f64::total_cmp);
        found
    };
    let shown = |ms: Option<&f64>| ms.map_or("none".to_owned(), |ms| format!("{ms:.1} ms"));
    let mut receipts: Vec<_> = rounds
        .iter()
        .map(|round| round["receipt_ms"].as_f64().unwrap())
        .collect();
    receipts.sort_by(f64::total_cmp);
    let (fresh, stale) = (of("first_fresh_ms"), of("last_stale_ms"));
    let outlived = rounds
        .iter()
        .filter(|round| round["stale_after_receipt"].as_u64() > Some(0));
    super::row_of(
        "PURGE_ROWS",
        &format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            cache["name"].as_str().unwrap(),
            rounds.len(),
            shown(receipts.get(receipts.len() / 2)),
            shown(fresh.get(fresh.len() / 2)),
            shown(stale.last()),
            outlived.count(),
            cache["stale_after_receipt"]
        ),
    );
}

fn varnish(origin: SocketAddr) -> (SocketAddr, Process) {
    let (folder, address) = (Folder::new(), free_address());
    let (ip, port) = (origin.ip(), origin.port());
    let vcl = folder.write(
        "purge.vcl",
        format!(
            r#"vcl 4.1;
backend default {{ .host = "{ip}"; .port = "{port}"; }}
sub vcl_recv {{ if (req.method == "PURGE") {{ return (purge); }} }}
sub vcl_deliver {{
    if (obj.hits > 0) {{ set resp.http.X-Cache = "HIT"; }} else {{ set resp.http.X-Cache = "MISS"; }}
}}
"#
        ),
    );
    let mut command = Command::new("/usr/sbin/varnishd");
    command
        .args(["-F", "-j", "none", "-s", "malloc,64m", "-f", &vcl])
        .args(["-a", &address.to_string(), "-n"])
        .arg(folder.path().join("varnish"));
    let process = Process::spawn(&mut command, &folder);
    listens(address);
    (address, process)
}

fn nginx(origin: SocketAddr) -> (SocketAddr, Process) {
    let (folder, address) = (Folder::new(), free_address());
    let home = folder.path().display();
    let config = folder.write(
        "nginx.conf",
        format!(
            "load_module {PURGE_MODULE};\n\
             daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/error.log crit;\n\
             events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 100000000;\n\
             upstream origin {{ server {origin}; keepalive 64; }}\n\
             client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3; \
             uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n\
             proxy_cache_path {home}/cache levels=1:2 keys_zone=all:10m inactive=1h use_temp_path=off;\n\
             server {{ listen {address}; \
             location ~ ^/purge(/.*) {{ proxy_cache_purge all $1$is_args$args; }} location / {{ proxy_pass http://origin; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_cache all; proxy_cache_lock on; \
             proxy_cache_key $request_uri; \
             add_header X-Cache $upstream_cache_status always; }} }} }}\n"
        ),
    );
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-c", &config, "-p"]).arg(folder.path());
    let process = Process::spawn(&mut command, &folder);
    listens(address);
    (address, process)
}

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

fn listens(address: SocketAddr) {
    eventually("it listens", || TcpStream::connect(address).is_ok());
}
