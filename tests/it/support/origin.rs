//! An origin that says what it is told to, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use super::answer::{Answer, ok};
use super::message::{self, Fields, Framing};
use super::wait::WAIT_MAX;

/// HTTP/1.1 with keep-alive on a port of its own; a thread for each connection. Dropping it closes everything:
/// from then on connections to it are refused.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What it was asked.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub fields: Fields,
    /// Whole once it has been answered.
    pub body: Vec<u8>,
    /// The number of the connection it came over, from 1.
    pub connection: usize,
}

#[derive(Default)]
struct Shared {
    known: Mutex<Known>,
    asked: Condvar,
}

#[derive(Default)]
struct Known {
    answers: HashMap<String, VecDeque<Answer>>,
    requests: HashMap<String, Vec<Request>>,
    connections: Vec<Option<TcpStream>>,
    closed: bool,
}

impl Origin {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says to every request for exactly this target from now on. Others get a 404.
    pub fn says(&self, target: &str, answer: Answer) {
        self.says_in_turn(target, vec![answer]);
    }

    /// The next request gets the first answer, and so on; the last stays.
    pub fn says_in_turn(&self, target: &str, answers: Vec<Answer>) {
        self.shared
            .lock()
            .answers
            .insert(target.to_owned(), answers.into());
    }

    /// How many requests for this target have come; each counts from its head on.
    pub fn requests(&self, target: &str) -> usize {
        self.shared.lock().requests.get(target).map_or(0, Vec::len)
    }

    /// The requests for this target, in the order they came.
    pub fn heads(&self, target: &str) -> Vec<Request> {
        self.shared
            .lock()
            .requests
            .get(target)
            .cloned()
            .unwrap_or_default()
    }

    /// The last of them.
    pub fn last(&self, target: &str) -> Request {
        self.heads(target).pop().expect("was asked for it")
    }

    /// Waits until so many requests for this target have come.
    #[track_caller]
    pub fn wait_for(&self, target: &str, count: usize) {
        let requests = |known: &Known| known.requests.get(target).map_or(0, Vec::len);
        let few = |known: &mut Known| requests(known) < count;
        let waited = self
            .shared
            .asked
            .wait_timeout_while(self.shared.lock(), WAIT_MAX, few);
        let found = requests(&waited.unwrap().0);
        assert!(
            found >= count,
            "{found} of {count} requests for {target} came"
        );
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for connection in self.shared.lock().connections.drain(..).flatten() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Request {
    /// The first line with this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        message::field(&self.fields, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let mut known = self.lock();
            if known.closed {
                return;
            }
            known.connections.push(stream.try_clone().ok());
            let (shared, connection) = (self.clone(), known.connections.len());
            thread::spawn(move || shared.serve(stream, connection));
        }
    }

    fn serve(&self, mut stream: TcpStream, connection: usize) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((line, fields)) = message::read_head(&mut reader) {
            let mut words = line.split(' ').map(str::to_owned);
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            let mut request = Request {
                method,
                target,
                fields,
                body: Vec::new(),
                connection,
            };
            let (number, answer) = self.note(&request);
            if request.field("expect").is_some() {
                // RFC 9110 §10.1.1: it must say one or the other before it waits for the body.
                let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let (body, _) = message::read_body(&mut reader, framing(&request.fields));
            request.body = body;
            self.lock().requests.get_mut(&request.target).unwrap()[number] = request.clone();
            // An error is the client leaving.
            if !answer.write(&request, &mut stream).unwrap_or(false) {
                if answer.resets_connection() {
                    // It is closed with the last of those who hold it, and nothing may be said before.
                    self.lock().connections[connection - 1] = None;
                    return;
                }
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// Which of the requests for its target this one is, and what is said to it.
    fn note(&self, request: &Request) -> (usize, Answer) {
        let mut known = self.lock();
        let requests = known.requests.entry(request.target.clone()).or_default();
        requests.push(request.clone());
        let number = requests.len() - 1;
        let answer = match known.answers.get_mut(&request.target) {
            Some(answers) if answers.len() > 1 => answers.pop_front(),
            Some(answers) => answers.front().cloned(),
            None => None,
        };
        self.asked.notify_all();
        (
            number,
            answer.unwrap_or_else(|| ok("nothing here").status(404)),
        )
    }
}

fn framing(fields: &Fields) -> Framing {
    let length = message::field(fields, "content-length").and_then(|length| length.parse().ok());
    match message::field(fields, "transfer-encoding") {
        Some(_) => Framing::Chunked,
        None => length.map_or(Framing::Nothing, Framing::Length),
    }
}
