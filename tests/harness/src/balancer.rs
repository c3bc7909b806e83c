//! A load balancer of connections, like kube-proxy for a Service: each new connection goes to a ready backend.
//!
//! It is as slow as kube-proxy may be: a backend that is no longer ready, or dead, still gets connections for one second. It
//! counts the traffic of each connection, because the API server has no metrics of it.

mod backend;
mod books;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use backend::Backend;
pub(crate) use backend::answers;
pub use books::Books;

use super::background::background;

/// A balancer that runs for as long as this value lives.
pub struct Balancer {
    port: u16,
    backends: Backends,
    end: CancellationToken,
    _ends: DropGuard,
}

/// In the order in which they came.
type Backends = Arc<Mutex<Vec<Arc<Backend>>>>;

impl Balancer {
    /// Starts one without backends.
    pub fn start() -> Self {
        let listener =
            background().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
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
        // Accepting fails for connections that the client has already given up.
        let Ok((client, _)) = listener.accept().await else { continue };
        // Without a backend the connection is closed; kube-proxy would reject it.
        let Some(backend) = pick(&backends, turn) else { continue };
        tokio::spawn(serve(client, backend));
    }
}

/// Picks one of the backends that get connections, in turn.
fn pick(backends: &Backends, turn: usize) -> Option<Arc<Backend>> {
    let (backends, now) = (backends.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    let taking: Vec<_> = backends.iter().filter(|backend| backend.takes_connections(now)).collect();
    Some((*taking.get(turn % taking.len().max(1))?).clone())
}

async fn serve(client: TcpStream, backend: Arc<Backend>) {
    match TcpStream::connect(backend.address()).await {
        // The counters record how it ends.
        Ok(server) => drop(books::Line::open(&backend).carry(client, server).await),
        Err(_) => backend.refused(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener as StdListener, TcpStream as StdStream};
    use std::thread;

    use super::super::PATIENCE;
    use super::*;

    /// A fake process: it sends one letter to each client, and answers probes with a set status.
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
            let told = status.clone();
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
                    let _ = write!(stream, "HTTP/1.1 {}\r\n\r\n", told.lock().unwrap());
                }
            });
            Self { listen, admin, status }
        }

        fn says(&self, status: &'static str) {
            *self.status.lock().unwrap() = status;
        }
    }

    /// The letter from a new connection, `None` if it is closed, and the connection.
    fn connect(balancer: &Balancer) -> (Option<u8>, StdStream) {
        let mut stream = StdStream::connect((Ipv4Addr::LOCALHOST, balancer.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut letter = [0];
        let count = stream.read(&mut letter).unwrap_or_default();
        ((count == 1).then_some(letter[0]), stream)
    }

    #[test]
    fn only_ready_backends_get_new_connections_in_turn() {
        let (balancer, [one, two]) = (Balancer::start(), [b'1', b'2'].map(Process::start));
        let [first, second] = [&one, &two].map(|process| balancer.add(process.listen, process.admin));
        assert_eq!(connect(&balancer).0, None);
        one.says("200 OK");
        first.wait_until_ready();
        assert_eq!([(); 3].map(|()| connect(&balancer).0), [Some(b'1'); 3]);
        two.says("200 OK");
        second.wait_until_ready();
        let (answered, open) = [(); 4].map(|()| connect(&balancer)).into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        assert!(
            answered == [Some(b'1'), Some(b'2'), Some(b'1'), Some(b'2')]
                || answered == [Some(b'2'), Some(b'1'), Some(b'2'), Some(b'1')],
            "{answered:?}"
        );
        one.says("503 Service Unavailable");
        first.wait_until_it_gets_none();
        assert_eq!([(); 3].map(|()| connect(&balancer).0), [Some(b'2'); 3]);
        assert_eq!((first.books().made, first.books().ended), (5, 0), "open connections stay");
        drop(open);
    }

    #[test]
    fn a_dead_backend_refuses_connections() {
        let (balancer, process) = (Balancer::start(), Process::start(b'1'));
        process.says("200 OK");
        // No process listens on this privileged port.
        let backend = balancer.add((Ipv4Addr::LOCALHOST, 1).into(), process.admin);
        backend.wait_until_ready();
        assert_eq!(connect(&balancer).0, None);
        assert_eq!((backend.books().refused, backend.books().open), (1, 0));
    }
}
