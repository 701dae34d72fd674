//! Each is explained where it is.
use pprof_runtime::crossbeam_channel::{bounded, select, select_biased, unbounded};

fn main() {
    let (s, r) = bounded(1);
    select! {}
    select! { receive(r) -> message => {} }
    select! { recv r -> message => {} }
    select! { recv(r) => {} }
    select! { send(s) -> result => {} }
    select! { send(s, 1, 2) -> result => {} }
    select! { recv(r) -> message => {}; send(s, 1) -> result => {} }
    select! { recv(r) -> message => drop(message) send(s, 1) -> result => {} }
    select! { recv(r) -> message => }
    select_biased! { recv(r) -> message => {}, default -> nothing => {} }
    select! { default => {}, default(std::time::Duration::ZERO) => {} }
    // Of the wrong type.
    let (_s, other) = unbounded::<u8>();
    select! { send(other, 1) -> result => {} }
    select! { recv(r) -> message => {}, default(5) => {} }
}
