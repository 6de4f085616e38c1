//! Whom load is sent to: the address that answered, how to open a connection to it, and how a request is written.

use std::fmt::Write as _;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body_util::Empty;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::address::Address;
use crate::anyone::Anyone;
use crate::connection::{Connection, Stream};
use crate::plan::{Error, Trust};
use crate::record::Failure;
use crate::workload::Ask;

/// TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the kernel takes in for a slow reader; it doubles that.
const SLOW_BUFFER_BYTES: u32 = 8 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;
/// Read of a CA file; the system's whole list is smaller.
const CA_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const USER_AGENT: &str = concat!("seawall-loadtest/", env!("CARGO_PKG_VERSION"));
/// `EMFILE` and `ENFILE`, the same on Linux and macOS: no file descriptor left.
const NO_DESCRIPTOR: [i32; 2] = [24, 23];

/// A server that answered once, and how to speak to it.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    authority: String,
    http2: bool,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    /// Resumes earlier sessions.
    resuming: TlsConnector,
    anew: TlsConnector,
    name: ServerName<'static>,
}

/// A request in the form its connections take.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Http1(Bytes),
    Http2(http::Request<Empty<Bytes>>),
}

impl Target {
    /// Resolves the name, judges whether load may be sent there, and finds an address that answers.
    pub(crate) async fn find(
        address: &Address,
        http2: bool,
        trust: Option<&Trust>,
        i_own_this: &[String],
    ) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable {
            target: address.authority.clone(),
            source,
        };
        let tls = match address.tls {
            true => Some(Tls::new(address, http2, trust)?),
            false => None,
        };
        let resolved = tokio::net::lookup_host((address.host.as_str(), address.port));
        let resolved: Vec<_> = resolved
            .await
            .map_err(unreachable)?
            .take(ADDRESSES_MAX)
            .collect();
        address.allowed(&resolved, i_own_this)?;
        let mut last = io::Error::other("the name has no address");
        for address_of_host in resolved {
            let target = Self {
                address: address_of_host,
                authority: address.authority.clone(),
                http2,
                tls: tls.clone(),
            };
            match target.connect(true).await {
                Ok(_) => return Ok(target),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    /// `resume` a TLS session where there is one.
    pub(crate) async fn connect(&self, resume: bool) -> io::Result<Connection> {
        self.open(resume, TcpStream::connect(self.address)).await
    }

    /// For a reader so slow that the server notices: this machine takes nothing in for it.
    pub(crate) async fn connect_slow(&self, resume: bool) -> io::Result<Connection> {
        let connecting = async {
            let socket = match self.address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // Before it connects: the window that is offered then is not taken back.
            socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
            socket.connect(self.address).await
        };
        self.open(resume, connecting).await
    }

    async fn open(
        &self,
        resume: bool,
        connecting: impl Future<Output = io::Result<TcpStream>>,
    ) -> io::Result<Connection> {
        let connecting = async {
            let stream = connecting.await?;
            stream.set_nodelay(true)?;
            let stream = match &self.tls {
                None => Stream::Plain(stream),
                Some(tls) => {
                    let connector = if resume { &tls.resuming } else { &tls.anew };
                    let stream = connector.connect(tls.name.clone(), stream).await?;
                    Stream::Tls(Box::new(stream))
                }
            };
            Connection::open(stream, self.http2).await
        };
        let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(timed_out)?
    }

    /// A GET; `etag` asks whether that is still what is there. None when the path is not one.
    pub(crate) fn request(&self, ask: &Ask, etag: Option<&str>) -> Option<Request> {
        if !self.http2 {
            return self.http1(ask, etag);
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let uri = http::Uri::builder()
            .scheme(scheme)
            .authority(self.authority.as_str())
            .path_and_query(ask.path.as_str());
        let mut request = http::Request::get(uri.build().ok()?)
            .version(http::Version::HTTP_2)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some((first, last)) = ask.range {
            request = request.header(header::RANGE, format!("bytes={first}-{last}"));
        }
        if let Some((name, value)) = &ask.vary {
            request = request.header(name, value);
        }
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        request.body(Empty::new()).ok().map(Request::Http2)
    }

    /// Any request, over HTTP/1.1. `fields` are whole lines. None where a word does not fit on its line.
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        fields: &[String],
        body: &str,
    ) -> Option<Request> {
        let on_line = |text: &str| text.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
        let token = |text: &str| on_line(text) && !text.contains(' ');
        if !token(method) || !token(path) || !fields.iter().all(|field| on_line(field)) {
            return None;
        }
        let (host, length) = (&self.authority, body.len());
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\n{fields}content-length: {length}\r\n\r\n{body}"
        );
        Some(Request::Http1(text.into()))
    }

    fn http1(&self, ask: &Ask, etag: Option<&str>) -> Option<Request> {
        if !ask.fits() {
            return None;
        }
        let (path, host) = (&ask.path, &self.authority);
        let mut head = String::with_capacity(128 + path.len());
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\n"
        );
        if let Some((first, last)) = ask.range {
            let _ = write!(head, "range: bytes={first}-{last}\r\n");
        }
        if let Some((name, value)) = &ask.vary {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(etag) = etag {
            let _ = write!(head, "if-none-match: {etag}\r\n");
        }
        head.push_str("\r\n");
        Some(Request::Http1(head.into()))
    }
}

/// Whose fault it is that there is no connection.
pub(crate) fn connect_failure(error: &io::Error) -> Failure {
    let no_descriptor = error
        .raw_os_error()
        .is_some_and(|code| NO_DESCRIPTOR.contains(&code));
    // Every port of this machine is in use towards that server.
    let no_port = error.kind() == io::ErrorKind::AddrNotAvailable;
    if no_descriptor || no_port {
        Failure::NoSocket
    } else {
        Failure::Connect
    }
}

impl Tls {
    fn new(address: &Address, http2: bool, trust: Option<&Trust>) -> Result<Self, Error> {
        let refused = |why: String| Error::Url {
            url: format!("https://{}", address.authority),
            why,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?;
        let mut config = match trust {
            None => {
                return Err(refused(
                    "say whom to trust: --cacert FILE, or --insecure for anyone".to_owned(),
                ));
            }
            Some(Trust::CaFile(file)) => {
                let roots = authorities(file).map_err(|why| Error::File {
                    file: file.clone(),
                    why,
                })?;
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Some(Trust::Anyone) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone::new(&provider)))
                .with_no_client_auth(),
        };
        let protocol = if http2 { &b"h2"[..] } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        let mut anew = config.clone();
        anew.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(address.host.clone());
        Ok(Self {
            resuming: TlsConnector::from(Arc::new(config)),
            anew: TlsConnector::from(Arc::new(anew)),
            name: name.map_err(|error| refused(error.to_string()))?,
        })
    }
}

fn authorities(file: &std::path::Path) -> Result<rustls::RootCertStore, String> {
    let mut pem = Vec::new();
    let opened = File::open(file).map(|file| file.take(CA_FILE_BYTES_MAX));
    opened
        .and_then(|mut file| file.read_to_end(&mut pem))
        .map_err(|error| error.to_string())?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;

    /// Each field is on the wire, over either version.
    #[test]
    fn a_request_says_all_that_was_asked() {
        let check = |ask: &Ask, etag: Option<&str>, expect: &[(&str, &str)]| {
            let mut target = Target {
                address: SocketAddr::from(([127, 0, 0, 1], 80)),
                authority: "localhost".to_owned(),
                http2: false,
                tls: None,
            };
            let Some(Request::Http1(bytes)) = target.request(ask, etag) else {
                panic!("{ask:?}");
            };
            let lines = expect
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"));
            let lines = lines.collect::<String>();
            let agent = USER_AGENT;
            let text = format!(
                "GET /a?b HTTP/1.1\r\nhost: localhost\r\nuser-agent: {agent}\r\n{lines}\r\n"
            );
            assert_eq!(String::from_utf8_lossy(&bytes), text);
            target.http2 = true;
            let Some(Request::Http2(request)) = target.request(ask, etag) else {
                panic!("{ask:?}");
            };
            assert_eq!(request.uri(), "http://localhost/a?b");
            let fields = request.headers().iter();
            let fields = fields.filter(|(name, _)| *name != header::USER_AGENT);
            let fields: Vec<_> = fields
                .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
                .collect();
            assert_eq!(fields, expect);
        };
        let plain = Ask::plain("/a?b".to_owned());
        check(&plain, None, &[]);
        let part = Ask {
            range: Some((5, 9)),
            ..plain.clone()
        };
        check(&part, None, &[("range", "bytes=5-9")]);
        let german = Ask {
            vary: Some(("accept-language".to_owned(), "de".to_owned())),
            ..part
        };
        let fields = [("range", "bytes=5-9"), ("accept-language", "de")];
        check(&german, None, &fields);
        let etag = ("if-none-match", "\"1\"");
        check(&plain, Some("\"1\""), &[etag]);
        check(&german, Some("\"1\""), &[&fields[..], &[etag]].concat());
    }
}
