//! What threads of the runtime allocate is not the program's, from their first moment on. One test: the harness starts threads too.

use std::alloc::System;
use std::sync::mpsc;
use std::time::Duration;

use pprof_runtime::{Alloc, cpu, deadlock, heap, lookup, serve, set_mem_profile_rate};
use pprof_tests::{get, values_of};

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

/// Objects that std's threads, but for the test's, and those of the runtime have allocated.
fn of_threads() -> [i64; 2] {
    let all = lookup("heap").unwrap().snapshot().unwrap();
    let of = |function| values_of::<4>(&all, function)[0];
    [of("thread_start") - of("what_threads_of_the"), of("own_thread::run")]
}

#[test]
fn what_threads_of_the_runtime_allocate_is_not_the_programs() {
    set_mem_profile_rate(1);
    let cpu = cpu::start().unwrap();
    let server = serve("127.0.0.1:0").unwrap();
    let deadlocks = deadlock::watch(Duration::from_millis(1), |_| ()).unwrap();
    let memory = heap::watch(1 << 40, |_| ()).unwrap();
    let (head, _) = get(&server.local_addr().to_string(), "/debug/pprof/mutex");
    assert!(head.contains("200 OK"), "{head}");
    // They have begun, and ended.
    drop((memory, deadlocks, server, cpu));
    assert_eq!(of_threads(), [0, 0]);

    // std's allocates before its closure is called.
    std::thread::Builder::new().name("of the program".into()).spawn(|| ()).unwrap().join().unwrap();
    let [std, own] = of_threads();
    assert!(std > 0 && own == 0, "{std} {own}");
    // What the program does on a thread of the runtime is the program's.
    let (sender, receiver) = mpsc::channel();
    let memory = heap::watch(1, move |_| sender.send(vec![1_u8; 1000]).unwrap()).unwrap();
    receiver.recv().unwrap();
    drop(memory);
    assert!(of_threads()[1] > 0);
    set_mem_profile_rate(0);
}
