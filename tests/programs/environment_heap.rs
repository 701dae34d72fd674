//! A program with `#[pprof_runtime::main]` and an `Alloc`, which forgets some of its memory.

use std::alloc::System;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: pprof_runtime::Alloc<System> = pprof_runtime::Alloc::new(System);

#[inline(never)]
fn forgets() {
    for _ in 0..3 {
        std::mem::forget(black_box(vec![1_u8; 100_000]));
    }
}

#[inline(never)]
fn frees() {
    drop(black_box(vec![1_u8; 1_000_000]));
}

#[pprof_runtime::main]
fn main() {
    forgets();
    frees();
    println!("the program's own output");
}
