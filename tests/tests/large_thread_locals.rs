//! A program whose thread-locals are larger than a stack usually is: glibc takes them out of it.

use std::cell::Cell;
use std::hint::black_box;

use pprof_runtime::{cpu, serve};
use pprof_tests::get;

thread_local! {
    static LARGE: Cell<[u8; 3 << 20]> = const { Cell::new([0; 3 << 20]) };
}

fn is_profiled() {
    // Looked at, or it would not be there.
    black_box(LARGE.with(Cell::as_ptr));
    let cpu = cpu::start().unwrap();
    let server = serve("127.0.0.1:0").unwrap();
    let (head, _) = get(&server.local_addr().to_string(), "/debug/pprof/mutex");
    assert!(head.contains("200 OK"), "{head}");
    assert_eq!(cpu.stop().unwrap().name(), "cpu");
}

#[test]
fn threads_of_the_runtime_start_all_the_same() {
    // std leaves its own threads next to nothing there.
    let large = std::thread::Builder::new().stack_size(16 << 20);
    large.spawn(is_profiled).unwrap().join().unwrap();
}
