//! A TCP load balancer, like kube-proxy for a Service. Each new connection goes to a ready backend.
//!
//! It reacts as slowly as kube-proxy can: a backend that is dead or no longer ready still gets connections for one second. It
//! counts the traffic of each connection, because the API server has no metrics for it.

mod backend;
mod counters;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use backend::Backend;
pub(crate) use backend::answers;
pub use counters::Counters;

use super::background::background;

/// A balancer that runs for as long as this value lives.
pub struct Balancer {
    port: u16,
    backends: Backends,
    end: CancellationToken,
    _ends: DropGuard,
}

/// The backends, in the order in which they were added.
type Backends = Arc<Mutex<Vec<Arc<Backend>>>>;

impl Balancer {
    /// Starts a balancer without backends.
    pub fn start() -> Self {
        let listener =
            background().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a local port is free");
        let port = listener.local_addr().expect("the listener is bound").port();
        let (backends, end) = (Backends::default(), CancellationToken::new());
        background().spawn(end.clone().run_until_cancelled_owned(accept(listener, backends.clone())));
        Self { port, backends, end: end.clone(), _ends: end.drop_guard() }
    }

    /// The local port on which it accepts connections.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a process that listens on `listen`. It gets connections while `/readyz` on `admin` returns 200.
    pub fn add(&self, listen: SocketAddr, admin: SocketAddr) -> Arc<Backend> {
        let backend = Arc::new(Backend::new(listen));
        let probing = backend.clone().probe(admin);
        background().spawn(self.end.clone().run_until_cancelled_owned(probing));
        self.backends.lock().unwrap_or_else(PoisonError::into_inner).push(backend.clone());
        backend
    }
}

/// Accepts connections forever.
async fn accept(listener: TcpListener, backends: Backends) {
    for turn in 0.. {
        // Accepting fails if the client has already closed the connection.
        let Ok((client, _)) = listener.accept().await else { continue };
        // Without a backend the connection is closed; kube-proxy would reject it.
        let Some(backend) = pick(&backends, turn) else { continue };
        tokio::spawn(serve(client, backend));
    }
}

/// Picks a backend that gets connections, round-robin.
fn pick(backends: &Backends, turn: usize) -> Option<Arc<Backend>> {
    let (backends, now) = (backends.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    let taking: Vec<_> = backends.iter().filter(|backend| backend.takes_connections(now)).collect();
    Some((*taking.get(turn % taking.len().max(1))?).clone())
}

async fn serve(client: TcpStream, backend: Arc<Backend>) {
    match TcpStream::connect(backend.address()).await {
        // The counters record how it ends.
        Ok(server) => drop(counters::ProxiedConnection::open(&backend).copy(client, server).await),
        Err(_) => backend.refused(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener as StdListener, TcpStream as StdStream};
    use std::thread;

    use super::super::WAIT_TIMEOUT;
    use super::*;

    /// A fake process. It sends one letter to each client, and answers probes with a configurable status.
    struct Process {
        listen: SocketAddr,
        admin: SocketAddr,
        status: Arc<Mutex<&'static str>>,
    }

    impl Process {
        fn start(letter: u8) -> Self {
            let bind = || {
                let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                (listener.local_addr().unwrap(), listener)
            };
            let ((listen, work), (admin, probes)) = (bind(), bind());
            let status = Arc::new(Mutex::new("503 Service Unavailable"));
            let probe_status = status.clone();
            thread::spawn(move || {
                let mut open = Vec::new();
                for mut stream in work.incoming().map_while(Result::ok) {
                    stream.write_all(&[letter]).unwrap();
                    open.push(stream);
                }
            });
            thread::spawn(move || {
                for mut stream in probes.incoming().map_while(Result::ok) {
                    let _ = stream.read(&mut [0; 1024]);
                    let _ = write!(stream, "HTTP/1.1 {}\r\n\r\n", probe_status.lock().unwrap());
                }
            });
            Self { listen, admin, status }
        }

        fn set_status(&self, status: &'static str) {
            *self.status.lock().unwrap() = status;
        }
    }

    /// Opens a connection. Returns it with the letter that it received; `None` if it was closed.
    fn connect(balancer: &Balancer) -> (Option<u8>, StdStream) {
        let mut stream = StdStream::connect((Ipv4Addr::LOCALHOST, balancer.port())).unwrap();
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        let mut letter = [0];
        let count = stream.read(&mut letter).unwrap_or_default();
        ((count == 1).then_some(letter[0]), stream)
    }

    #[test]
    fn only_ready_backends_get_new_connections_in_turn() {
        let (balancer, [one, two]) = (Balancer::start(), [b'1', b'2'].map(Process::start));
        let [first, second] = [&one, &two].map(|process| balancer.add(process.listen, process.admin));
        assert_eq!(connect(&balancer).0, None);
        one.set_status("200 OK");
        first.wait_until_ready();
        assert_eq!([(); 3].map(|()| connect(&balancer).0), [Some(b'1'); 3]);
        two.set_status("200 OK");
        second.wait_until_ready();
        let (answered, open) = [(); 4].map(|()| connect(&balancer)).into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        assert!(
            answered == [Some(b'1'), Some(b'2'), Some(b'1'), Some(b'2')]
                || answered == [Some(b'2'), Some(b'1'), Some(b'2'), Some(b'1')],
            "{answered:?}"
        );
        one.set_status("503 Service Unavailable");
        first.wait_until_removed();
        assert_eq!([(); 3].map(|()| connect(&balancer).0), [Some(b'2'); 3]);
        assert_eq!((first.counters().opened, first.counters().ended), (5, 0), "open connections stay open");
        drop(open);
    }

    #[test]
    fn a_dead_backend_refuses_connections() {
        let (balancer, process) = (Balancer::start(), Process::start(b'1'));
        process.set_status("200 OK");
        // No process listens on this privileged port.
        let backend = balancer.add((Ipv4Addr::LOCALHOST, 1).into(), process.admin);
        backend.wait_until_ready();
        assert_eq!(connect(&balancer).0, None);
        assert_eq!((backend.counters().refused, backend.counters().open), (1, 0));
    }
}
