//! An HTTP service on tokio whose profiles tell which route it was that took the time.
//!
//! A middleware labels each request with its method and route; the labels go along with the request's future from thread to thread, into the
//! tasks and blocking calls that it starts, and are on the samples of every profile.
//!
//! ```text
//! PPROF=cpu,functions,block=1,mutex=1 PPROF_OUT={profile}.pb.gz cargo run --release --example async_service
//! ```
//!
//! `service.rs` is the service; here it is served on a port of its own and asked by clients over HTTP for five seconds. What is profiled is
//! said by the variables, which `#[pprof_runtime::main]` reads.
#![forbid(unsafe_code)]

mod clients;
mod service;

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;

#[pprof_runtime::main]
#[tokio::main]
async fn main() -> io::Result<()> {
    pprof_runtime::set_function_histograms(true);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async { axum::serve(listener, service::router()).await });
    let answered = clients::ask(address, Duration::from_secs(5)).await?;
    server.abort();
    println!("{answered} requests answered");
    pprof_runtime::report::print();
    Ok(())
}
