//! An origin that can fail in every way there is, and begin to at any moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What it says when it is well; none of it may be kept.
pub const BODY: &str = "here you are, all of it";

/// How an origin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Well,
    /// Nobody listens.
    Down,
    /// An answer takes two seconds.
    Slow,
    /// A byte of the body every half second.
    Drip,
    /// 500, at once.
    Errors,
    /// Down for two seconds, well for two seconds.
    Flapping,
    /// Nothing, ever.
    Hang,
}

pub struct Origin {
    address: SocketAddr,
    way: watch::Sender<Way>,
    waiting: Arc<AtomicU64>,
}

impl Way {
    pub const ALL: [Self; 5] = [
        Self::Down,
        Self::Slow,
        Self::Drip,
        Self::Errors,
        Self::Flapping,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Down => "down: connections are refused",
            Self::Slow => "slow: an answer takes 2 s",
            Self::Drip => "drip: a byte of the body every 500 ms",
            Self::Errors => "errors: 500 at once",
            Self::Flapping => "flapping: down for 2 s, well for 2 s",
            Self::Hang => "hang",
        }
    }
}

impl Origin {
    pub fn start(runtime: &Runtime) -> Self {
        let address = super::free_address();
        let (way, seen) = watch::channel(Way::Well);
        let waiting = Arc::new(AtomicU64::new(0));
        runtime.spawn(run(address, seen, waiting.clone()));
        super::eventually("it listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self {
            address,
            way,
            waiting,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn fails(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Requests that are not answered yet.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Until its end is nobody's: listens while it is not down.
async fn run(address: SocketAddr, mut way: watch::Receiver<Way>, waiting: Arc<AtomicU64>) {
    loop {
        let now = *way.borrow_and_update();
        let (listens, changes) = match now {
            Way::Down => (false, Duration::MAX),
            Way::Flapping => (false, Duration::from_secs(2)),
            _ => (true, Duration::MAX),
        };
        if !listens && wait(&mut way, changes).await.is_err() {
            return;
        }
        if *way.borrow() == Way::Down {
            continue;
        }
        let time = if now == Way::Flapping {
            changes
        } else {
            Duration::MAX
        };
        tokio::select! {
            () = serve(address, way.clone(), waiting.clone()) => return,
            changed = wait_for_down(&mut way, time) => if changed.is_err() { return },
        }
    }
}

/// For so long, or until something changes.
async fn wait(way: &mut watch::Receiver<Way>, time: Duration) -> Result<(), ()> {
    let time = time.min(Duration::from_secs(3_600));
    match tokio::time::timeout(time, way.changed()).await {
        Ok(changed) => changed.map_err(drop),
        Err(_) => Ok(()),
    }
}

/// Until it is to stop listening.
async fn wait_for_down(way: &mut watch::Receiver<Way>, time: Duration) -> Result<(), ()> {
    let time = time.min(Duration::from_secs(3_600));
    let down = way.wait_for(|way| matches!(way, Way::Down | Way::Flapping));
    match time < Duration::from_secs(3_600) {
        true => {
            tokio::time::sleep(time).await;
            Ok(())
        }
        false => down.await.map(drop).map_err(drop),
    }
}

async fn serve(address: SocketAddr, way: watch::Receiver<Way>, waiting: Arc<AtomicU64>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(4_096).unwrap();
    // Dropped with it: all connections end.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(answer(stream, way.clone(), waiting.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    way: watch::Receiver<Way>,
    waiting: Arc<AtomicU64>,
) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await.ok()?;
            head.push(byte);
        }
        let way = *way.borrow();
        let _waits = Waits::new(&waiting);
        match way {
            Way::Slow => tokio::time::sleep(Duration::from_secs(2)).await,
            Way::Hang => {
                // Until whoever asked has gone.
                let _ = stream.read_u8().await;
                return None;
            }
            _ => {}
        }
        let status = if way == Way::Errors {
            "500 Ill"
        } else {
            "200 OK"
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n",
            BODY.len()
        );
        if way != Way::Drip {
            stream.write_all((head + BODY).as_bytes()).await.ok()?;
            continue;
        }
        stream.write_all(head.as_bytes()).await.ok()?;
        for byte in BODY.as_bytes() {
            stream.write_all(&[*byte]).await.ok()?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Counted as long as it lives.
struct Waits<'a>(&'a AtomicU64);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
