//! A URL to send load to, and whether that may be done: to one's own servers only.

use std::net::SocketAddr;

use http::Uri;

use crate::plan::Error;

/// A URL taken apart, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What the Host field says: the authority as the URL spells it.
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let refused = |why: &str| Error::Url {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|error| refused(&format!("{error}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("write it as http://host/path or https://host/path")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("a user and password in a URL are not sent"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        // `port()` is None for 99999 too: told apart by what stands behind the host.
        let spelt = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or_default();
        let port = match (spelt.trim_start_matches(':'), authority.port_u16()) {
            ("", _) if tls => 443,
            ("", _) => 80,
            (_, Some(port)) if port > 0 => port,
            _ => return Err(refused("its port is not one")),
        };
        let path_and_query = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        Ok(Self {
            tls,
            host,
            port,
            authority: authority.as_str().to_owned(),
            path_and_query,
        })
    }

    /// Whether load may be sent to it: every address it resolved to is this machine, or somebody says
    /// that the host is theirs.
    pub(crate) fn allowed(
        &self,
        resolved: &[SocketAddr],
        i_own_this: &[String],
    ) -> Result<(), Error> {
        let mut mine = i_own_this.iter();
        let mine = mine.any(|host| host.eq_ignore_ascii_case(&self.host));
        let here = resolved
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback());
        if mine || here {
            Ok(())
        } else {
            Err(Error::NotYours {
                host: self.host.clone(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_url_is_taken_apart_or_refused() {
        let check = |url: &str, expect: &str| {
            let found = match Address::parse(url) {
                Ok(a) => format!(
                    "{} {} {} {} {}",
                    a.tls, a.host, a.port, a.authority, a.path_and_query
                ),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expect), "{url}: {found}");
        };
        check("http://localhost", "false localhost 80 localhost /");
        check("https://[::1]:8443/a?b", "true ::1 8443 [::1]:8443 /a?b");
        check("localhost:8080", "cannot be tested");
        check("ftp://localhost/", "write it as http://host/path");
        check("http://user@localhost/", "user and password");
        check("http://localhost:0/", "its port is not one");
        check("http://localhost:99999/", "its port is not one");
        check("", "cannot be tested");
    }

    #[test]
    fn load_is_sent_to_ones_own_servers_only() {
        let check = |resolved: &[&str], i_own_this: &[&str], expect: bool| {
            let i_own_this: Vec<_> = i_own_this.iter().map(ToString::to_string).collect();
            let resolved: Vec<SocketAddr> = resolved
                .iter()
                .map(|address| format!("{address}:80").parse().unwrap())
                .collect();
            let address = Address::parse("http://shop.example/").unwrap();
            let allowed = address.allowed(&resolved, &i_own_this).is_ok();
            assert_eq!(allowed, expect, "{resolved:?} {i_own_this:?}");
        };
        check(&["127.0.0.1"], &[], true);
        check(&["127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"], &[], true);
        check(&["192.0.2.1"], &[], false);
        check(&["127.0.0.1", "192.0.2.1"], &[], false);
        check(&["192.0.2.1"], &["Shop.Example"], true);
        check(&["192.0.2.1"], &["a.example", "shop.example"], true);
        check(&["192.0.2.1"], &["shop", "example"], false);
    }
}
