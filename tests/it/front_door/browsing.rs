//! A browser, with the development CA: a page and its images, all over HTTP/2.

use std::fs;
use std::process::Command;

use crate::support::{Folder, Origin, Seawall, ok};

const IMAGES: usize = 20;
/// One grey pixel.
const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\x80\x80\x80\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// How many images it has drawn, and by which protocols they came.
const TELL: &str = "onload = () => { const drawn = [...document.images].filter(image => image.naturalWidth > 0); \
                    const by = performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol); \
                    document.title = drawn.length + ' by ' + [...new Set(by)]; }";

#[test]
fn chromium_draws_a_page_with_its_images_over_http_2() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let image = |n| format!("<img src=\"/{n}.gif\">");
    let images: String = (0..IMAGES).map(image).collect();
    let page = format!("<html><body>{images}<script>{TELL}</script></body></html>");
    let html = ok(page).max_age(600).field("content-type", "text/html");
    origin.says("/", html);
    for n in 0..IMAGES {
        let gif = ok(GIF).max_age(600).field("content-type", "image/gif");
        origin.says(&format!("/{n}.gif"), gif);
    }
    let stranger = Browser::new();
    assert!(
        !stranger.shows(&seawall).contains("by h2"),
        "it trusts nobody yet"
    );
    let browser = Browser::new();
    browser.trusts(&seawall);
    for _ in 0..2 {
        let shown = browser.shows(&seawall);
        let title = format!("<title>{IMAGES} by h2</title>");
        assert!(shown.contains(&title), "{shown}");
    }
    assert_eq!(origin.requests("/"), 1, "the second time from the edge");
}

/// Headless, with a home of its own.
struct Browser(Folder);

impl Browser {
    fn new() -> Self {
        let home = Folder::new();
        let authorities = home.path().join(".pki/nssdb");
        fs::create_dir_all(authorities).unwrap();
        let browser = Self(home);
        browser.certutil(&["-N", "--empty-password"]);
        browser
    }

    fn trusts(&self, seawall: &Seawall) {
        let ca = seawall.state().join("ca.pem");
        let ca = ca.to_str().unwrap();
        self.certutil(&["-A", "-t", "C,,", "-n", "development", "-i", ca]);
    }

    fn certutil(&self, args: &[&str]) {
        let database = format!("sql:{}/.pki/nssdb", self.0.path().display());
        let run = Command::new("certutil")
            .args(["-d", &database])
            .args(args)
            .status();
        assert!(run.expect("certutil is installed").success());
    }

    /// The page when it is drawn, with an empty cache.
    fn shows(&self, seawall: &Seawall) -> String {
        let profile = Folder::new();
        let output = Command::new("timeout")
            .args([
                "120",
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args([
                "--disable-sync",
                "--virtual-time-budget=20000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!(
                "https://localhost:{}/",
                seawall.listen_tls().port()
            ))
            .env("HOME", self.0.path())
            .output()
            .expect("chromium is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
