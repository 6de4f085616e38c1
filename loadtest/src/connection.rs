//! One HTTP/1.1 connection to the target, and one exchange on it.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::anyone::Anyone;
use crate::class::Class;
use crate::plan::{Address, Error, Trust};
use crate::record::{Failure, Outcome};

/// TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the request to the last byte of the response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;
/// Read of a CA file; the system's whole list is smaller.
const CA_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const USER_AGENT: &str = concat!("seawall-loadtest/", env!("CARGO_PKG_VERSION"));
/// `EMFILE` and `ENFILE`, the same on Linux and macOS: no file descriptor left.
const NO_DESCRIPTOR: [i32; 2] = [24, 23];

/// A server that answered once, and how to speak to it.
pub(crate) struct Target {
    address: SocketAddr,
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Its driver (what reads and writes the socket) runs inside the exchange, not as a task of its own:
/// a response wakes one task, not two.
pub(crate) struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// None once it has ended.
    driver: Option<Driver>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Target {
    /// Resolves the name, judges whether load may be sent there, and finds an address that answers.
    pub(crate) async fn find(
        address: &Address,
        trust: Option<&Trust>,
        i_own_this: Option<&str>,
    ) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable {
            target: address.authority.clone(),
            source,
        };
        let tls = match address.tls {
            true => Some(tls(address, trust)?),
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
            let authority = address.authority.clone();
            let target = Self {
                address: address_of_host,
                authority,
                tls: tls.clone(),
            };
            match target.connect().await {
                Ok(_) => return Ok(target),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    /// A GET of a path and query that have been checked.
    pub(crate) fn get(&self, path_and_query: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
        Request::get(path_and_query)
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, USER_AGENT)
            .body(Empty::new())
    }

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let connecting = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => Connection::open(stream).await,
                Some((tls, name)) => {
                    Connection::open(tls.connect(name.clone(), stream).await?).await
                }
            }
        };
        let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(timed_out)?
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

impl Connection {
    async fn open<S>(stream: S) -> io::Result<Self>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
        })
    }

    /// Whether it can take a request; notices a server that has closed it meanwhile.
    pub(crate) async fn is_ready(&mut self) -> bool {
        drive(&mut self.driver, self.sender.ready()).await.is_ok()
    }

    /// Sends one request and reads the whole response. After a failure the connection is of no use.
    pub(crate) async fn exchange(&mut self, request: Request<Empty<Bytes>>) -> Outcome {
        match tokio::time::timeout(RESPONSE_TIMEOUT, self.read_response(request)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if error.is_parse() => Outcome::Failed(Failure::Malformed),
            Ok(Err(_)) => Outcome::Failed(Failure::CutShort),
            Err(_) => Outcome::Failed(Failure::Timeout),
        }
    }

    async fn read_response(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Outcome> {
        let response = drive(&mut self.driver, self.sender.send_request(request)).await?;
        let (head, mut body) = response.into_parts();
        let mut bytes = 0;
        // A body shorter than its Content-Length ends in an error here.
        while let Some(frame) = drive(&mut self.driver, body.frame()).await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        let status = head.status.as_u16();
        Ok(Outcome::Answered {
            class: Class::of(status, &head.headers),
            status,
            bytes,
        })
    }
}

/// Runs `wanted` to its end, and the connection's driver with it.
async fn drive<T>(driver: &mut Option<Driver>, wanted: impl Future<Output = T>) -> T {
    let mut wanted = pin!(wanted);
    poll_fn(|context| {
        if let Some(running) = driver
            && running.as_mut().poll(context).is_ready()
        {
            // How it ended is told to whoever waits for a response.
            *driver = None;
        }
        match wanted.as_mut().poll(context) {
            Poll::Ready(found) => Poll::Ready(found),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn tls(
    address: &Address,
    trust: Option<&Trust>,
) -> Result<(TlsConnector, ServerName<'static>), Error> {
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
            let why = "say whom to trust: a CA file, or anyone".to_owned();
            return Err(refused(why));
        }
        Some(Trust::CaFile(file)) => {
            let unusable = |why: String| Error::Ca {
                file: file.clone(),
                why,
            };
            let mut pem = Vec::new();
            let opened = File::open(file).map(|file| file.take(CA_FILE_BYTES_MAX));
            opened
                .and_then(|mut file| file.read_to_end(&mut pem))
                .map_err(|error| unusable(error.to_string()))?;
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("holds no certificate".to_owned()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Some(Trust::Anyone) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone::new(&provider)))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|error| refused(error.to_string()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
