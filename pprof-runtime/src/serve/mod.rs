//! `/debug/pprof`: the endpoints of Go's `net/http/pprof`, on a thread of our own.
//!
//! One thread waits for connections and reads request heads without blocking (`listener`); only a whole request gets a
//! thread, of which there is a bounded number (`routes`). So clients that connect and say nothing cost a descriptor
//! each, up to a bound, and the server goes on.
//!
//! Differs from Go where Go is silent about mistakes: a malformed parameter is an error, never a default. `HEAD` is answered without
//! collecting anything. A request whose `Host` is not this server's is refused, so that no web page can reach it by rebinding a name.

mod index;
mod listener;
mod request;
mod response;
mod routes;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind};
use crate::own_thread::OwnThread;
use crate::source::heap::unobserved;
use listener::{Listener, Waker};

/// Serves the profiles at `addr`: `127.0.0.1:6060`, `localhost:0` for any free port, `:6060` for that port on loopback.
///
/// The index page is at `/debug/pprof/`. Serving switches no profile on.
///
/// # Errors
/// `InvalidInput` if `addr` is no address; `Io` if it cannot be bound, as when the port is in use.
///
/// # Examples
/// ```
/// let server = pprof_runtime::serve("127.0.0.1:0")?;
/// println!("go tool pprof http://{}/debug/pprof/profile", server.local_addr());
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
pub fn serve(addr: &str) -> Result<Server, Error> {
    ServerBuilder::new(addr).start()
}

/// How to serve the profiles.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    addr: String,
    hosts: Vec<String>,
}

impl ServerBuilder {
    /// At `addr`, as for [`serve`].
    #[must_use]
    pub fn new(addr: &str) -> Self {
        ServerBuilder { addr: addr.to_owned(), hosts: Vec::new() }
    }

    /// Answers requests that call this server `host`, without port. IP addresses, `localhost` and the host in the address
    /// are known already.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_ascii_lowercase());
        self
    }

    /// Binds the address and starts serving.
    ///
    /// # Errors
    /// As [`serve`].
    pub fn start(self) -> Result<Server, Error> {
        // Its memory is none of the program's.
        unobserved(|| self.bind())
    }

    fn bind(mut self) -> Result<Server, Error> {
        let addr = match self.addr.as_str() {
            port if port.starts_with(':') => format!("127.0.0.1{port}"),
            port if port.parse::<u16>().is_ok() => format!("127.0.0.1:{port}"),
            addr => addr.to_owned(),
        };
        let cannot = |e: io::Error| {
            let (kind, hint) = match e.kind() {
                io::ErrorKind::AddrInUse => {
                    (ErrorKind::Io, "; choose another port, or 0 for any free one")
                }
                io::ErrorKind::AddrNotAvailable => {
                    (ErrorKind::Io, "; it is not an address of this machine")
                }
                io::ErrorKind::PermissionDenied => {
                    (ErrorKind::Io, "; choose a port from 1024 on, or 0 for any free one")
                }
                io::ErrorKind::InvalidInput => (ErrorKind::InvalidInput, "; write host:port"),
                _ => (ErrorKind::Io, ""),
            };
            Error::with_source(kind, format!("cannot serve profiles at {addr:?}: {e}{hint}"), e)
        };
        let resolved: Vec<SocketAddr> = addr.to_socket_addrs().map_err(cannot)?.collect();
        let socket = TcpListener::bind(resolved.as_slice()).map_err(cannot)?;
        let local_addr = socket.local_addr().map_err(cannot)?;
        if let Some((host, _)) = addr.rsplit_once(':') {
            self.hosts.push(host.to_ascii_lowercase());
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let (listener, waker) =
            Listener::new(socket, self.hosts, Arc::clone(&stopping)).map_err(cannot)?;
        let run = move || unobserved(|| listener.run());
        let thread = unobserved(|| OwnThread::spawn(c"pprof-http", run)).map_err(cannot)?;
        Ok(Server { local_addr, stopping, waker, thread: Some(thread), pid: std::process::id() })
    }
}

/// A running server. Dropping it stops it; [`detach`](Server::detach) lets it run as long as the process.
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct Server {
    local_addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<OwnThread>,
    /// Where the thread is: a forked child has none.
    pid: u32,
}

impl Server {
    /// The address bound, with the port chosen if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops serving: running collections are cancelled, and all threads have ended when this returns.
    pub fn stop(self) {}

    /// Serves until the process ends.
    pub fn detach(self) {
        // Dropping the waker would close the listener's side of it, which then never again waits in vain.
        std::mem::forget(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.pid != std::process::id() {
            thread.forget();
            return;
        }
        // ORDERING: Relaxed: the waker's system call orders it for the listener; workers see it at their next look.
        self.stopping.store(true, Ordering::Relaxed);
        self.waker.wake();
        thread.join();
    }
}
