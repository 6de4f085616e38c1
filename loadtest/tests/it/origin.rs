//! The demo origin as a cache sees it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use seawall_loadtest::DemoOrigin;
use seawall_loadtest::origin::byte_at;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

#[tokio::test]
async fn each_path_says_how_long_it_may_be_kept() {
    let origin = Origin::start().await;
    let check = async |path: &str, status: u16, cache_control: &str, tags: &str| {
        let response = origin.get(path, &[]).await;
        let said = |name: &str| text(response.headers(), name);
        let found = (
            response.status().as_u16(),
            said("cache-control"),
            said("surrogate-key"),
        );
        assert_eq!(
            found,
            (status, cache_control.to_owned(), tags.to_owned()),
            "{path}"
        );
        assert_eq!(said("cache-tag"), tags.replace(' ', ","), "{path}");
        assert_eq!(
            said("content-length"),
            response.body().len().to_string(),
            "{path}"
        );
    };
    check("/", 200, "max-age=60", "pages page-0").await;
    check("/pages/7", 200, "max-age=60", "pages page-7").await;
    check(
        "/pages/4294967295",
        200,
        "max-age=60",
        "pages page-4294967295",
    )
    .await;
    check("/images/7.svg", 200, "max-age=3600", "images").await;
    check("/large/1MB.bin", 200, "max-age=600", "large").await;
    check("/api/time", 200, "no-store", "").await;
    check("/private", 200, "max-age=60", "").await;
    for missing in [
        "/pages/",
        "/pages/07",
        "/pages/-1",
        "/pages/4294967296",
        "/images/1",
        "/large/0MB.bin",
        "/large/101MB.bin",
        "/x",
    ] {
        check(missing, 404, "no-store", "").await;
    }
    assert!(!text(origin.get("/private", &[]).await.headers(), "set-cookie").is_empty());
    let front = origin.get("/", &[]).await;
    assert!(
        std::str::from_utf8(front.body())
            .unwrap()
            .contains("src=\"/images/0.svg\"")
    );
    assert_eq!(
        origin.send(Method::DELETE, "/", &[]).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    origin.stop().await;
}

#[tokio::test]
async fn a_large_file_and_its_ranges_are_exact() {
    let origin = Origin::start().await;
    let whole = origin.get("/large/1MB.bin", &[]).await;
    assert_eq!(whole.body().len(), 1_000_000);
    assert!(
        (0..)
            .zip(whole.body())
            .all(|(at, byte)| *byte == byte_at(at))
    );
    let check = async |range: &str, status: u16, content_range: &str| {
        let part = origin.get("/large/1MB.bin", &[("range", range)]).await;
        let found = (
            part.status().as_u16(),
            text(part.headers(), "content-range"),
        );
        assert_eq!(found, (status, content_range.to_owned()), "{range}");
        part.into_body()
    };
    assert_eq!(
        check("bytes=0-0", 206, "bytes 0-0/1000000").await,
        whole.body()[..1]
    );
    assert_eq!(
        check("bytes=65533-131080", 206, "bytes 65533-131080/1000000").await,
        whole.body()[65_533..=131_080]
    );
    assert_eq!(
        check("bytes=999999-", 206, "bytes 999999-999999/1000000").await,
        whole.body()[999_999..]
    );
    assert_eq!(
        check("bytes=-10", 206, "bytes 999990-999999/1000000").await,
        whole.body()[999_990..]
    );
    assert_eq!(check("bytes=0-1,5-6", 200, "").await, *whole.body());
    check("bytes=1000000-", 416, "bytes */1000000").await;

    let etag = text(whole.headers(), "etag");
    let check_if = async |condition: &str, status: u16| {
        let asked = [("range", "bytes=0-9"), ("if-range", condition)];
        let status_found = origin.get("/large/1MB.bin", &asked).await.status();
        assert_eq!(status_found, status, "{condition}");
    };
    check_if(&etag, 206).await;
    check_if(&text(whole.headers(), "last-modified"), 206).await;
    check_if("\"another\"", 200).await;
    check_if(&format!("W/{etag}"), 200).await;
    check_if("Thu, 01 Jan 1970 00:00:00 GMT", 200).await;
    let head = origin
        .send(Method::HEAD, "/large/1MB.bin", &[("range", "bytes=0-9")])
        .await;
    assert_eq!(
        (
            head.status().as_u16(),
            text(head.headers(), "content-length")
        ),
        (200, "1000000".into())
    );
    origin.stop().await;
}

/// How many requests the origin has had, this one too.
async fn asked(origin: &Origin) -> u64 {
    let said = origin.get("/api/time?latency=0", &[]).await;
    let said: serde_json::Value = serde_json::from_slice(said.body()).unwrap();
    said["requests"].as_u64().unwrap()
}

/// As a page that was read from a database before somebody changed it there, and comes after the purge.
#[tokio::test]
async fn an_answer_that_takes_its_time_is_of_the_edition_it_was_asked_at() {
    let origin = Origin::start().await;
    let path = "/objects/1?latency=1000";
    let fast = "/objects/1?latency=0";
    let before = text(origin.get(fast, &[]).await.headers(), "etag");
    let start = asked(&origin).await;
    let slow = origin.get(path, &[]);
    let changed = async {
        // Each look is a request of its own: one more is the slow one.
        let mut looks = 1;
        while asked(&origin).await == start + looks {
            looks += 1;
        }
        origin.send(Method::POST, "/edition?latency=0", &[]).await;
        text(origin.get(fast, &[]).await.headers(), "etag")
    };
    let (slow, after) = tokio::join!(slow, changed);
    assert_ne!(before, after);
    assert_eq!(text(slow.headers(), "etag"), before);
}

#[tokio::test]
async fn a_page_is_unchanged_until_its_next_edition() {
    let origin = Origin::start().await;
    let page = origin.get("/pages/3", &[]).await;
    let (etag, modified) = (
        text(page.headers(), "etag"),
        text(page.headers(), "last-modified"),
    );
    let check = async |field: &'static str, value: &str, status: u16| {
        let response = origin.get("/pages/3", &[(field, value)]).await;
        assert_eq!(response.status(), status, "{field}: {value}");
        if status == 304 {
            assert_eq!(text(response.headers(), "etag"), etag);
            assert_eq!(text(response.headers(), "cache-control"), "max-age=60");
            assert!(response.body().is_empty());
        }
    };
    check("if-none-match", &etag, 304).await;
    check("if-none-match", &format!("\"x\", W/{etag}"), 304).await;
    check("if-none-match", "*", 304).await;
    check("if-none-match", "\"x\"", 200).await;
    check("if-modified-since", &modified, 304).await;
    check("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200).await;
    check("if-modified-since", "yesterday", 200).await;
    let again = origin
        .get(
            "/pages/3",
            &[("if-none-match", "\"x\""), ("if-modified-since", &modified)],
        )
        .await;
    assert_eq!(
        again.status(),
        200,
        "If-None-Match decides when it is there"
    );

    let told = origin.send(Method::POST, "/edition", &[]).await;
    assert_eq!(&told.body()[..], b"edition 2\n");
    check("if-none-match", &etag, 200).await;
    let next = origin.get("/pages/3", &[]).await;
    assert_ne!(next.body(), page.body());
    origin.stop().await;
}

/// An origin without latency that serves until it is stopped.
struct Origin {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let served = tokio::spawn(DemoOrigin::new(Duration::ZERO).serve(listener, stopped));
        Self {
            address,
            stop,
            served,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        self.send(Method::GET, path, fields).await
    }

    async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, driver) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(driver);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}
