//! Models of a table: who looks for an object of its own without the lock finds it, wherever others move it meanwhile.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::primitive::{check, make, shared};

impl Table {
    /// Of memory that is not given back, as it never is.
    pub(super) fn new(slots: usize) -> Option<&'static Table> {
        let keys: &[AtomicUsize] = Box::leak((0..slots).map(|_| AtomicUsize::new(0)).collect());
        make(&keys);
        let records: Box<[_]> = (0..slots).map(|_| UnsafeCell::new(record(0))).collect();
        let (keys, records) = (keys.as_ptr(), Box::leak(records).as_ptr());
        Some(Box::leak(Box::new(Table { slots, keys, records })))
    }
}

fn record(size: usize) -> Record {
    Record { size, weight: Weight { objects: 0, bytes: 0 }, born: 0, stack: 0, align: 3, room: 0 }
}

/// So many addresses, all of which are looked for from the same slot on.
fn neighbours<const N: usize>() -> [usize; N] {
    let mut of_a_slot = (1..).map(|n| 4096 * n).filter(|a| hash(*a) as usize % LEAST == 2);
    std::array::from_fn(|_| of_a_slot.next().expect("there are more"))
}

/// With these in it, in this order, and the number of each as its size.
fn with(addresses: &[usize]) -> Arc<Shard> {
    let shard = shared(Shard::new());
    for (number, address) in addresses.iter().enumerate() {
        assert_eq!(shard.insert(*address, record(number)).unwrap(), None);
    }
    shard
}

fn take(shard: &Shard, address: usize, number: usize) {
    assert!(!shard.has_not(address), "it is there, or that is not known");
    assert_eq!(shard.remove(address), Some(record(number)));
}

#[test]
fn what_moves_up_is_found() {
    check(3, || {
        let [first, second] = neighbours();
        let shard = with(&[first, second]);
        let other = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || take(&shard, first, 0))
        };
        take(&shard, second, 1);
        other.join().unwrap();
        assert_eq!(shard.used.load(Ordering::Relaxed), 0);
    });
}
