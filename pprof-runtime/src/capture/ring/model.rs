//! Models of the pool: each sample comes out whole, once and in order, or is counted as lost.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::primitive::{check, make, shared};

/// One slot, with room for two samples of one address, and half of another.
fn pool() -> Arc<Pool> {
    let pool = Pool::with_size(1, 7);
    for Slot { busy, ring: Ring { words, head, tail }, .. } in &pool.slots {
        make(&(busy, words, head, tail));
    }
    shared(pool)
}

fn sample(pool: &Pool, weight: u32) {
    pool.sample(0, weight, |scratch| {
        scratch.frames = Frames::new();
        scratch.frames.push(u64::from(weight));
        scratch.labels = u64::from(weight);
        Some(End::Complete)
    });
}

fn drain(pool: &Pool) -> u64 {
    let mut sum = 0;
    pool.drain(|record| {
        let words = (record.addresses, record.labels);
        assert_eq!(words, (&[record.weight.into()][..], record.weight.into()), "of one sample");
        sum += u64::from(record.weight);
    });
    sum
}

fn lost(pool: &Pool) -> u64 {
    pool.lost.no_slot.load(Ordering::Relaxed) + pool.lost.ring_full.load(Ordering::Relaxed)
}

#[test]
fn samples_are_stored_or_counted() {
    check(4, || {
        let pool = pool();
        let handlers = [1, 10].map(|weight| {
            let pool = pool.clone();
            thread::spawn(move || sample(&pool, weight))
        });
        let mut stored = drain(&pool);
        for handler in handlers {
            handler.join().unwrap();
        }
        stored += drain(&pool);
        assert_eq!(stored + lost(&pool), 11);
    });
}

#[test]
fn words_are_not_written_before_they_are_read() {
    check(4, || {
        let pool = pool();
        let handler = thread::spawn({
            let pool = pool.clone();
            move || [1, 10, 100].map(|weight| sample(&pool, weight))
        });
        let mut stored = drain(&pool);
        stored += drain(&pool);
        handler.join().unwrap();
        stored += drain(&pool);
        assert_eq!(stored + lost(&pool), 111);
        // Up to two may be waiting, and then the third is lost.
        assert!([0, 100].contains(&pool.lost.ring_full.load(Ordering::Relaxed)));
    });
}
