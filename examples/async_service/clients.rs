//! Clients that ask without pause, each on a connection of its own.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many clients ask for each of these.
const CLIENTS: [(&str, &str, u32); 3] =
    [("GET", "/stock/42", 4), ("GET", "/search/number+shop", 2), ("POST", "/orders/7", 4)];

/// Asks for `time`; returns how often it was answered.
pub(crate) async fn ask(address: SocketAddr, time: Duration) -> io::Result<u64> {
    let end = Instant::now() + time;
    let clients: Vec<_> = CLIENTS
        .iter()
        .flat_map(|(method, path, count)| (0..*count).map(move |_| (*method, *path)))
        .map(|(method, path)| tokio::spawn(client(address, method, path, end)))
        .collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await.map_err(io::Error::other)??;
    }
    Ok(answered)
}

async fn client(
    address: SocketAddr,
    method: &'static str,
    path: &'static str,
    end: Instant,
) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    let mut answer = vec![0; 4096];
    let mut answered = 0;
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        // Answers are short: they come in one piece.
        let length = stream.read(&mut answer).await?;
        if !answer[..length].starts_with(b"HTTP/1.1 20") {
            let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
            return Err(io::Error::other(format!("{method} {path}: {answer}")));
        }
        answered += 1;
    }
    Ok(answered)
}
