//! The connections: accepting, reading heads, handing whole requests to workers.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::request::{Parsed, Request};
use super::response::Response;
use super::routes;
use crate::own_thread::OwnThread;
use crate::source::contention::nesting;
use crate::source::heap::unobserved;

/// Connections that have not sent a whole request yet; beyond it the oldest is closed.
const MAX_WAITING: usize = 256;
/// Requests being answered at one time; beyond it the answer is 503.
const MAX_WORKERS: usize = 16;
/// Time to send a request in.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Time that a client may take for the whole answer, besides what a large one needs.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// What a client has to read at the least.
const SLOWEST_BYTES_PER_SECOND: usize = 64 * 1024;
/// Time for a client to read an answer that it got before all was read of what it sends.
const LINGER: Duration = Duration::from_secs(2);
/// What it may send meanwhile.
const MAX_LINGER_BYTES: usize = 16 << 20;
/// How often a write that waits asks whether to go on.
const WRITE_PAUSE: Duration = Duration::from_millis(100);
/// Pause when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Tells the listener to look at its flag.
#[derive(Debug)]
pub(super) struct Waker(UnixStream);

impl Waker {
    pub(super) fn wake(&self) {
        // Full or closed: the listener has been woken, or is gone.
        let _ = (&self.0).write(&[0]);
    }
}

pub(super) struct Listener {
    socket: TcpListener,
    wakeups: UnixStream,
    stopping: Arc<AtomicBool>,
    hosts: Arc<[String]>,
    waiting: VecDeque<Connection>,
    workers: Vec<OwnThread>,
}

/// A connection whose request is not whole yet, or that was answered before it was.
struct Connection {
    stream: TcpStream,
    stage: Stage,
    deadline: Instant,
}

enum Stage {
    /// What has come of the request.
    Receiving(Vec<u8>),
    /// What comes is dropped, that many bytes at most: closing a connection with bytes unread takes the answer from the client.
    Lingering(usize),
}

impl Listener {
    pub(super) fn new(
        socket: TcpListener,
        hosts: Vec<String>,
        stopping: Arc<AtomicBool>,
    ) -> io::Result<(Listener, Waker)> {
        socket.set_nonblocking(true)?;
        let (wakeups, waker) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let listener = Listener {
            socket,
            wakeups,
            stopping,
            hosts: hosts.into(),
            waiting: VecDeque::new(),
            workers: Vec::new(),
        };
        Ok((listener, Waker(waker)))
    }

    pub(super) fn run(mut self) {
        nesting::enter_for_good();
        let mut accept_after = Instant::now();
        // ORDERING: Relaxed: see `Server::drop`.
        while !self.stopping.load(Ordering::Relaxed) {
            let accepting = Instant::now() >= accept_after;
            let ready = self.wait(accepting);
            if ready.listener && self.accept().is_err() {
                accept_after = Instant::now() + ACCEPT_PAUSE;
                self.waiting.pop_front();
            }
            self.read(&ready.connections);
            self.workers.retain(|worker| !worker.is_finished());
        }
        for worker in self.workers.drain(..) {
            worker.join();
        }
    }

    /// Waits until something can be done: descriptors of connections that can be read, and whether there are new ones.
    fn wait(&self, accepting: bool) -> Ready {
        let entry = |fd: RawFd, events| libc::pollfd { fd, events, revents: 0 };
        let mut entries = vec![
            entry(self.wakeups.as_raw_fd(), libc::POLLIN),
            entry(self.socket.as_raw_fd(), if accepting { libc::POLLIN } else { 0 }),
        ];
        entries.extend(self.waiting.iter().map(|c| entry(c.stream.as_raw_fd(), libc::POLLIN)));
        let deadline = self.waiting.iter().map(|c| c.deadline).min();
        let timeout = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            _ if !accepting => ACCEPT_PAUSE,
            // A little late rather than a little early, and round again.
            Some(left) => left + Duration::from_millis(1),
            None => Duration::from_secs(60),
        };
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let count = entries.len() as libc::nfds_t;
        // SAFETY: the array is ours and of that length.
        if unsafe { libc::poll(entries.as_mut_ptr(), count, timeout) } < 0 {
            return Ready::default();
        }
        let fired = |e: &&libc::pollfd| e.revents != 0;
        Ready {
            listener: entries.get(1).is_some_and(|e| fired(&e)),
            connections: entries.iter().skip(2).filter(fired).map(|e| e.fd).collect(),
        }
    }

    /// Takes all new connections. An error means: not now.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.socket.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client has gone between its arrival and now.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.pop_front();
            }
            let deadline = Instant::now() + READ_DEADLINE;
            let stage = Stage::Receiving(Vec::new());
            self.waiting.push_back(Connection { stream, stage, deadline });
        }
    }

    /// Reads from the connections that are ready, and hands on or ends those that are done.
    fn read(&mut self, ready: &[RawFd]) {
        let now = Instant::now();
        let mut still_waiting = VecDeque::with_capacity(self.waiting.len());
        for mut connection in std::mem::take(&mut self.waiting) {
            let step = if ready.contains(&connection.stream.as_raw_fd()) {
                connection.read()
            } else if connection.deadline <= now {
                connection.expire()
            } else {
                Step::Wait
            };
            let answered = match step {
                Step::Wait => Some(connection),
                Step::Close => None,
                Step::Answer(response) => self.answer(connection.stream, &response),
                Step::Handle(request) => self.hand_on(connection.stream, request),
            };
            still_waiting.extend(answered);
        }
        self.waiting = still_waiting;
    }

    /// Answers at once. The connection is to be kept for a moment.
    fn answer(&self, stream: TcpStream, response: &Response) -> Option<Connection> {
        answer(&stream, response, false, &self.stopping);
        stream.shutdown(Shutdown::Write).ok()?;
        stream.set_nonblocking(true).ok()?;
        let deadline = Instant::now() + LINGER;
        Some(Connection { stream, stage: Stage::Lingering(MAX_LINGER_BYTES), deadline })
    }

    /// Has a worker answer; if there is none, `answer` has.
    fn hand_on(&mut self, stream: TcpStream, request: Request) -> Option<Connection> {
        let busy = Response::error(503, "too many requests are being answered; try again later");
        if self.workers.len() >= MAX_WORKERS {
            return self.answer(stream, &busy);
        }
        let (hosts, stopping) = (Arc::clone(&self.hosts), Arc::clone(&self.stopping));
        let work = move || {
            nesting::enter_for_good();
            // ORDERING: Relaxed: see `Server::drop`.
            let cancelled = || stopping.load(Ordering::Relaxed) || has_gone(&stream);
            let head_only = request.method == "HEAD";
            if let Some(response) = routes::answer(&request, &hosts, &cancelled) {
                answer(&stream, &response, head_only, &stopping);
                // A client that sent more than its request gets its answer all the same, see `Stage`.
                let _ = stream.set_nonblocking(true).map(|()| has_gone(&stream));
            }
        };
        // Without a thread, the connection is dropped with the closure: there is no memory to say why.
        if let Ok(worker) = OwnThread::spawn(c"pprof-http-work", move || unobserved(work)) {
            self.workers.push(worker);
        }
        None
    }
}

#[derive(Default)]
struct Ready {
    listener: bool,
    connections: Vec<RawFd>,
}

enum Step {
    Wait,
    Close,
    Answer(Response),
    Handle(Request),
}

impl Connection {
    fn read(&mut self) -> Step {
        let mut buffer = [0; 4096];
        loop {
            let bytes = match self.stream.read(&mut buffer) {
                Ok(0) => return Step::Close,
                Ok(n) => buffer.get(..n).unwrap_or(&[]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Step::Wait,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Step::Close,
            };
            match &mut self.stage {
                Stage::Receiving(received) => {
                    received.extend_from_slice(bytes);
                    match Request::parse(received) {
                        Parsed::Incomplete => {}
                        Parsed::Whole(request) => return Step::Handle(request),
                        Parsed::Refused(response) => return Step::Answer(response),
                    }
                }
                Stage::Lingering(left) if *left < bytes.len() => return Step::Close,
                Stage::Lingering(left) => *left -= bytes.len(),
            }
        }
    }

    fn expire(&self) -> Step {
        match self.stage {
            Stage::Receiving(_) => Step::Answer(Response::error(
                408,
                "Request Timeout: send the request within 10 seconds",
            )),
            Stage::Lingering(_) => Step::Close,
        }
    }
}

/// Writes an answer, to a client that takes it.
fn answer(stream: &TcpStream, response: &Response, head_only: bool, stopping: &AtomicBool) {
    let transfer = Duration::from_secs((response.len() / SLOWEST_BYTES_PER_SECOND) as u64);
    let writer = Writer { stream, deadline: Instant::now() + WRITE_DEADLINE + transfer, stopping };
    let written = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_write_timeout(Some(WRITE_PAUSE)))
        .and_then(|()| response.write_to(writer, head_only));
    // The client has gone, or reads too slowly: there is nobody to tell.
    let _ = written;
}

/// Writes until the deadline or the server's end.
struct Writer<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
    stopping: &'a AtomicBool,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            // ORDERING: Relaxed: see `Server::drop`.
            if Instant::now() >= self.deadline || self.stopping.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.stream.write(bytes) {
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whether the client has closed its side, which ends what it asked for, as in Go: one that only shuts down its sending side
/// counts as gone. What it sends after its request is dropped: there is one request to a connection.
fn has_gone(mut stream: &TcpStream) -> bool {
    let mut dropped = [0; 4096];
    match stream.read(&mut dropped) {
        Ok(bytes) => bytes == 0,
        Err(e) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
    }
}
