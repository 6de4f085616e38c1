//! What `seawall run` serves: one origin, or the sites of a file.

use seawall_config::file::SiteFile;
use seawall_config::site::server;
use seawall_config::{Problem, Problems, Site};
use serde_json::json;

use super::RunArgs;
use crate::exit::{Exit, Failure};
use crate::sites_file::SitesFile;

/// What is served, and whether it is followed.
pub(super) enum Source {
    Origin { url: String, sites: SiteFile },
    File { file: SitesFile, sites: SiteFile },
}

impl Source {
    pub(super) fn open(args: &RunArgs) -> Result<Self, Failure> {
        match (&args.origin, &args.config) {
            (Some(url), _) => {
                let sites = default_site(url)
                    .map_err(|problem| Exit::Usage.because(format!("--origin {url}: {problem}")))?;
                Ok(Self::Origin {
                    url: url.clone(),
                    sites,
                })
            }
            (None, Some(path)) => {
                let (file, sites) = SitesFile::open(path)?;
                Ok(Self::File { file, sites })
            }
            (None, None) => Err(Exit::Usage.because(
                "say what to serve: a server of yours, or a file of sites\n  \
                 seawall run --origin http://127.0.0.1:9000\n  \
                 seawall run --config sites.toml\n\
                 or see it all without either: seawall demo",
            )),
        }
    }

    pub(super) fn sites(&self) -> &SiteFile {
        match self {
            Self::Origin { sites, .. } | Self::File { sites, .. } => sites,
        }
    }

    pub(super) fn url(&self) -> Option<&str> {
        match self {
            Self::Origin { url, .. } => Some(url),
            Self::File { .. } => None,
        }
    }
}

/// The site `default`, for every host. The origin sees its own name, as behind nginx's `proxy_pass`: a server
/// that is told apart by its name answers whatever name the client used. All that it serves passes, web sockets too.
fn default_site(url: &str) -> Result<SiteFile, String> {
    let origin = server(url)?;
    let default_port = if origin.tls { 443 } else { 80 };
    let host = if origin.host.contains(':') {
        format!("[{}]", origin.host)
    } else {
        origin.host
    };
    let authority = if origin.port == default_port {
        host
    } else {
        format!("{host}:{}", origin.port)
    };
    let document = json!({
        "name": "default",
        "hosts": ["*"],
        "origin": {"host": authority, "server": [{"url": url}]},
        "websocket": true,
    });
    let site = Site::from_document(&document).map_err(|problems| messages(&problems))?;
    Ok(SiteFile {
        sites: vec![(site, document)],
    })
}

/// The paths are those of a document that nobody wrote.
fn messages(problems: &Problems) -> String {
    let messages: Vec<&str> = problems
        .0
        .iter()
        .map(|Problem { message, .. }| message.as_str())
        .collect();
    messages.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn an_origin_becomes_a_site_for_every_host_and_sees_its_own_name() {
        let check = |url: &str, host: &str| {
            let file = default_site(url).expect(url);
            let (site, _) = &file.sites[0];
            assert_eq!(site.name, "default");
            assert_eq!(site.hosts, [seawall_config::site::HostPattern::Any]);
            assert_eq!(site.origin.host.as_deref(), Some(host), "{url}");
        };
        check("http://127.0.0.1:9000", "127.0.0.1:9000");
        check("http://origin.example", "origin.example");
        check("http://origin.example:80", "origin.example");
        check("https://origin.example:8443", "origin.example:8443");
        check("http://[::1]:9000", "[::1]:9000");
        for wrong in [
            "127.0.0.1:9000",
            "ftp://a",
            "http://",
            "",
            "http://a/path?query",
        ] {
            assert!(default_site(wrong).is_err(), "{wrong}");
        }
    }
}
