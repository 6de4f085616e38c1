//! A small HTTP client for the commands that talk to a control plane: one request, one bounded answer, in time.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, IF_MATCH, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cli::Server;
use crate::exit::{Exit, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For an answer that waits for nothing.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the control plane is, and how to be let in.
#[derive(Debug)]
pub(crate) struct Client {
    authority: String,
    address: (String, u16),
    /// None: in clear.
    tls: Option<Tls>,
    token: Option<HeaderValue>,
}

struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

/// What was answered, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    pub(crate) body: Bytes,
}

impl Client {
    /// Err says what is wrong with `--server` or the token.
    pub(crate) fn new(server: &Server) -> Result<Self, Failure> {
        let usage = |why: &str| Exit::Usage.because(format!("--server {}: {why}", server.url));
        let uri: Uri = server
            .url
            .parse()
            .map_err(|_| usage("not a URL, such as http://127.0.0.1:9080"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => {
                return Err(usage(
                    "write it with its scheme, such as http://127.0.0.1:9080",
                ));
            }
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(usage("only a host and a port are needed, no path"));
        }
        let authority = uri.authority().ok_or_else(|| usage("it names no host"))?;
        let token = server
            .token
            .as_ref()
            .map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        let token = token
            .transpose()
            .map_err(|_| Exit::Usage.because("the token holds characters no header can carry"))?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if token.is_some() && !is_tls && !is_loopback(&host) {
            return Err(usage("the token would be sent in clear: write https"));
        }
        let tls = is_tls.then(|| Tls::new(server, &host)).transpose()?;
        let port = if is_tls { 443 } else { 80 };
        let address = (host, authority.port_u16().unwrap_or(port));
        Ok(Self {
            tls,
            authority: authority.as_str().to_owned(),
            address,
            token,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None, None, ANSWER_TIMEOUT)
            .await
    }

    pub(crate) async fn delete(&self, path: &str, etag: Option<&str>) -> Result<Answer, Failure> {
        let field = etag.map(if_match);
        self.send(Method::DELETE, path, None, field, ANSWER_TIMEOUT)
            .await
    }

    pub(crate) async fn put(
        &self,
        path: &str,
        body: &Value,
        etag: Option<&str>,
    ) -> Result<Answer, Failure> {
        let field = etag.map(if_match);
        self.send(Method::PUT, path, Some(body), field, ANSWER_TIMEOUT)
            .await
    }

    /// `timeout` is for the answer; the connection has its own.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        field: Option<Field<'_>>,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(body), field, timeout)
            .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        field: Option<Field<'_>>,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path, body, field);
        let request = request.map_err(|error| Exit::Usage.because(format!("{path}: {error}")))?;
        let connect = TcpStream::connect((self.address.0.as_str(), self.address.1));
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(error)),
            Err(_) => {
                return Err(self.unreachable(format!("no connection within {CONNECT_TIMEOUT:?}")));
            }
        };
        let exchanged = async {
            match &self.tls {
                None => exchange(stream, request).await,
                Some(tls) => {
                    let stream = tls.connector.connect(tls.name.clone(), stream).await?;
                    exchange(stream, request).await
                }
            }
        };
        match tokio::time::timeout(timeout, exchanged).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unreachable(format!("it answered no HTTP: {error:#}"))),
            Err(_) => Err(self.unreachable(format!("it did not answer within {timeout:?}"))),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        field: Option<Field<'_>>,
    ) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("seawall/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some((name, value)) = field {
            request = request.header(name, value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body))
    }

    fn unreachable(&self, why: impl fmt::Display) -> Failure {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Exit::Unreachable.because(format!(
            "no control plane at {scheme}://{}: {why}\n  start one with `seawall run --origin URL`, or say where it is with --server or SEAWALL_SERVER",
            self.authority
        ))
    }
}

/// A field that not every request has.
pub(crate) type Field<'a> = (HeaderName, &'a str);

/// Only if what is there is still as this entity tag says.
pub(crate) fn if_match(etag: &str) -> Field<'_> {
    (IF_MATCH, etag)
}

/// Sent again with the same key it is done once.
pub(crate) fn once(key: &str) -> Field<'_> {
    (HeaderName::from_static("idempotency-key"), key)
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

impl Tls {
    fn new(server: &Server, host: &str) -> Result<Self, Failure> {
        let Some(ca) = &server.ca else {
            let why = "https needs --ca or SEAWALL_CA: the file with the authority that `seawall certs` made";
            return Err(Exit::Usage.because(why));
        };
        let config = seawall_certs::peers::client_trusting(ca)
            .map_err(|error| Exit::Usage.because(format!("--ca: {error}")))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Exit::Usage.because(format!("--server {}: {error}", server.url)))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }
}

impl Answer {
    /// The document of a good answer; of a bad one, what the problem says.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.good()?;
        serde_json::from_slice(&self.body).map_err(|error| {
            Exit::Failed.because(format!(
                "the control plane answered something else than expected: {error}"
            ))
        })
    }

    /// Err unless it was done.
    pub(crate) fn good(&self) -> Result<(), Failure> {
        if self.status.is_success() {
            Ok(())
        } else {
            Err(self.refused())
        }
    }

    /// An RFC 9457 problem, for a person. Something else that is not a success is shown as it is.
    fn refused(&self) -> Failure {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |word: &str| problem.get(word).and_then(Value::as_str).map(str::to_owned);
        let said = text("detail").or_else(|| text("title"));
        let said = said.unwrap_or_else(|| {
            String::from_utf8_lossy(&self.body)
                .chars()
                .take(500)
                .collect()
        });
        let mut lines = format!("refused ({}): {said}", self.status);
        let problems = problem.get("problems").cloned().unwrap_or_default();
        let problems: Vec<seawall_config::Problem> =
            serde_json::from_value(problems).unwrap_or_default();
        for problem in problems {
            lines.push_str(&format!("\n{problem}").trim_end().replace("\n\n", "\n"));
        }
        Exit::Failed.because(lines.trim_end())
    }
}

/// One request over one connection.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let etag = response
        .headers()
        .get(ETAG)
        .and_then(|etag| etag.to_str().ok())
        .map(str::to_owned);
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    connection.abort();
    Ok(Answer { status, etag, body })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_a_port() {
        let check = |url: &str, expect: Result<(&str, u16), &str>| {
            let client = Client::new(&Server {
                url: url.into(),
                ca: None,
                token: None,
            });
            let found = client
                .map(|client| client.address)
                .map_err(|failure| failure.to_string());
            match (expect, found) {
                (Ok((host, port)), found) => {
                    assert_eq!(found, Ok((host.to_owned(), port)), "{url}")
                }
                (Err(part), Err(message)) => assert!(message.contains(part), "{url}: {message}"),
                (Err(_), Ok(_)) => panic!("{url} was taken"),
            }
        };
        check("http://127.0.0.1:9080", Ok(("127.0.0.1", 9080)));
        check("http://127.0.0.1:9080/", Ok(("127.0.0.1", 9080)));
        check("http://[::1]:9080", Ok(("::1", 9080)));
        check("http://plane", Ok(("plane", 80)));
        check("https://plane", Err("needs --ca"));
        check("127.0.0.1:9080", Err("scheme"));
        check("http://plane/v1", Err("no path"));
        check("", Err("not a URL"));
    }

    #[test]
    fn no_token_goes_over_the_network_in_clear() {
        let check = |url: &str, expect: bool| {
            let client = Client::new(&Server {
                url: url.into(),
                ca: None,
                token: Some("secret".into()),
            });
            let why = client.map(|_| ()).map_err(|failure| failure.to_string());
            let refused = why.is_err_and(|why| why.contains("in clear"));
            assert_eq!(!refused, expect, "{url}");
        };
        check("http://127.0.0.1:9080", true);
        check("http://[::1]:9080", true);
        check("http://localhost:9080", true);
        check("https://plane:9080", true);
        check("http://10.0.0.1:9080", false);
        check("http://plane:9080", false);
        check("http://localhost.example:9080", false);
    }

    #[test]
    fn a_problem_is_told_with_all_its_parts() {
        let body = r#"{"title":"Bad Request","detail":"1 problem","problems":[{"path":"site.hosts[0]","message":"is empty"}]}"#;
        let answer = Answer {
            status: StatusCode::BAD_REQUEST,
            etag: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let told = answer.refused().to_string();
        assert_eq!(
            told,
            "refused (400 Bad Request): 1 problem\n  site.hosts[0]: is empty"
        );
    }
}
