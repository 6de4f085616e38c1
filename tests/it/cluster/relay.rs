//! A link in user space, for where there are no network namespaces: it can fall silent, with every connection held open
//! and nothing passing.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes on what comes to one address to another, until the test ends.
#[derive(Clone)]
pub struct Relay(Arc<Silence>);

#[derive(Default)]
struct Silence {
    is_silent: Mutex<bool>,
    changed: Condvar,
}

impl Relay {
    pub fn start(listen: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(listen).unwrap();
        let relay = Self(Arc::default());
        let silence = relay.0.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let silence = silence.clone();
                thread::spawn(move || join(&client, target, &silence));
            }
        });
        relay
    }

    /// Nothing passes any more, in neither direction; or everything does again, nothing having been lost.
    pub fn be_silent(&self, is_silent: bool) {
        *self.0.is_silent.lock().unwrap() = is_silent;
        self.0.changed.notify_all();
    }
}

impl Silence {
    fn wait_for_its_end(&self) {
        let guard = self.is_silent.lock().unwrap();
        drop(self.changed.wait_while(guard, |is_silent| *is_silent));
    }
}

fn join(client: &TcpStream, target: SocketAddr, silence: &Arc<Silence>) {
    silence.wait_for_its_end();
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    thread::scope(|scope| {
        scope.spawn(|| pass(client, &server, silence));
        pass(&server, client, silence);
    });
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, silence: &Silence) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        silence.wait_for_its_end();
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    silence.wait_for_its_end();
    let _ = from.shutdown(Shutdown::Read);
    let _ = to.shutdown(Shutdown::Write);
}
