//! HTTP/2 over TLS by hyper: many clients on few connections, and a stream that is taken back.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::message::Fields;
use super::response::Response;
use super::seawall::Seawall;

/// What an edge lets one connection ask at once.
const STREAMS: usize = 100;

/// Connections, and a runtime on which requests wait.
pub struct Crowd {
    runtime: Runtime,
    connections: Vec<SendRequest<Empty<Bytes>>>,
    address: SocketAddr,
}

impl Crowd {
    /// Enough connections for so many requests at once.
    pub fn of(requests: usize, seawall: &Seawall) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = seawall.listen_tls();
        let connector = connector(seawall);
        let connections = (0..requests.div_ceil(STREAMS))
            .map(|_| runtime.block_on(connect(&connector, address)).unwrap())
            .collect();
        Self {
            runtime,
            connections,
            address,
        }
    }

    /// A GET under way, on the connection whose turn it is. To abort it is the client taking it back.
    pub fn get(&self, number: usize, target: &str) -> JoinHandle<Response> {
        self.ask(number, "GET", target, &[])
    }

    pub fn ask(
        &self,
        number: usize,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> JoinHandle<Response> {
        let mut sender = self.connections[number % self.connections.len()].clone();
        let request = request(self.address, method, target, fields);
        self.runtime
            .spawn(async move { whole(sender.send_request(request).await.unwrap()).await })
    }

    pub fn wait(&self, waiting: JoinHandle<Response>) -> Response {
        self.runtime.block_on(waiting).unwrap()
    }
}

/// It trusts the authority of this edge.
pub fn connector(seawall: &Seawall) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(seawall.state().join("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> io::Result<SendRequest<Empty<Bytes>>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::IpAddress(address.ip().into());
    let tls = connector.connect(name, tcp).await?;
    let shaken = handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
    let (sender, connection) = shaken.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> hyper::Request<Empty<Bytes>> {
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("https://{address}{target}"));
    let named = |request: hyper::http::request::Builder, field: &(&str, &str)| {
        request.header(field.0, field.1)
    };
    let request = fields.iter().fold(request, named);
    request.body(Empty::new()).unwrap()
}

async fn whole(answer: hyper::Response<Incoming>) -> Response {
    let (head, body) = answer.into_parts();
    let fields = head.headers.iter();
    let fields: Fields = fields
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = body.collect().await;
    Response {
        status: head.status.as_u16(),
        fields,
        complete: body.is_ok(),
        body: body
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default(),
    }
}

/// A client that asks for `target`, so many times at once, again and again while it `goes_on`. A connection that the edge
/// ends is followed by another. `take` gets each answer, or why there was none to a request that was sent.
pub fn insist(
    address: SocketAddr,
    connector: &TlsConnector,
    target: &str,
    together: usize,
    goes_on: impl Fn() -> bool,
    take: impl Fn(Result<Response, hyper::Error>),
) {
    let ask = |mut open: SendRequest<Empty<Bytes>>| {
        let request = request(address, "GET", target, &[]);
        tokio::spawn(async move { Ok(whole(open.send_request(request).await?).await) })
    };
    let insisting = async {
        while goes_on() {
            // Nothing was asked yet, so nothing fails.
            let Ok(mut open) = connect(connector, address).await else {
                continue;
            };
            while goes_on() && open.ready().await.is_ok() {
                let asked: Vec<_> = (0..together).map(|_| ask(open.clone())).collect();
                for answer in asked {
                    let answer = answer.await.unwrap();
                    let never_sent = |error: &hyper::Error| error.is_canceled();
                    if !answer.as_ref().is_err_and(never_sent) {
                        take(answer);
                    }
                }
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(insisting);
}
