//! What kube-proxy does for a Service: each new connection goes to a backend that is ready, and stays with it to its end.
//!
//! It is as slow as it may be: for a whole second, a backend that is not ready any more, or is dead, still gets connections.
//! It keeps books of what goes over each of them, which tell what the API server has no figure for.

mod backend;
mod books;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use backend::{Backend, answers};
pub(crate) use books::Books;

use super::background::background;

/// A balancer that runs for as long as this value lives.
pub(crate) struct Balancer {
    port: u16,
    backends: Backends,
    end: CancellationToken,
    _ends: DropGuard,
}

/// In the order in which they came.
type Backends = Arc<Mutex<Vec<Arc<Backend>>>>;

impl Balancer {
    /// One without backends.
    pub(crate) fn start() -> Self {
        let listener =
            background().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let (backends, end) = (Backends::default(), CancellationToken::new());
        background().spawn(end.clone().run_until_cancelled_owned(accept(listener, backends.clone())));
        Self { port, backends, end: end.clone(), _ends: end.drop_guard() }
    }

    /// The port of this machine on which it takes connections.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Adds a process that takes connections on `listen`, and gets them when its `/readyz` on `admin` says so.
    pub(crate) fn add(&self, listen: SocketAddr, admin: SocketAddr) -> Arc<Backend> {
        let backend = Arc::new(Backend::new(listen));
        let probing = backend.clone().probe(admin);
        background().spawn(self.end.clone().run_until_cancelled_owned(probing));
        self.backends.lock().unwrap_or_else(PoisonError::into_inner).push(backend.clone());
        backend
    }
}

/// Takes connections, for ever. Those that are made live as long as their ends want.
async fn accept(listener: TcpListener, backends: Backends) {
    for turn in 0.. {
        // What fails is a connection that its client gave up already.
        let Ok((client, _)) = listener.accept().await else { continue };
        // With no backend it is closed, where kube-proxy would reject it.
        let Some(backend) = pick(&backends, turn) else { continue };
        tokio::spawn(serve(client, backend));
    }
}

/// One of those that get connections, each in turn.
fn pick(backends: &Backends, turn: usize) -> Option<Arc<Backend>> {
    let (backends, now) = (backends.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    let taking: Vec<_> = backends.iter().filter(|backend| backend.takes_connections(now)).collect();
    Some((*taking.get(turn % taking.len().max(1))?).clone())
}

async fn serve(client: TcpStream, backend: Arc<Backend>) {
    match TcpStream::connect(backend.address()).await {
        // However it ends, the books know.
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

    /// A process of a test: it says one letter to whoever connects, and answers probes with what it is told to.
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

    /// Who answers a new connection, and that connection; nobody where it is closed.
    fn connect(balancer: &Balancer) -> (Option<u8>, StdStream) {
        let mut stream = StdStream::connect((Ipv4Addr::LOCALHOST, balancer.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut letter = [0];
        let count = stream.read(&mut letter).unwrap_or_default();
        ((count == 1).then_some(letter[0]), stream)
    }

    #[test]
    fn ready_ones_take_turns_and_one_that_is_not_gets_no_new_connections_and_keeps_those_it_has() {
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
        assert_eq!((first.books().made, first.books().ended), (5, 0), "those that are open stay");
        drop(open);
    }

    #[test]
    fn a_dead_one_is_like_one_that_is_not_ready() {
        let (balancer, process) = (Balancer::start(), Process::start(b'1'));
        process.says("200 OK");
        // Nobody but root may listen there, and nobody does.
        let backend = balancer.add((Ipv4Addr::LOCALHOST, 1).into(), process.admin);
        backend.wait_until_ready();
        assert_eq!(connect(&balancer).0, None);
        assert_eq!((backend.books().refused, backend.books().open), (1, 0));
    }
}
