//! Models of the table: values are added to the stack they are of or to the overflow, and readers see whole stacks.

use loom::thread;

use super::*;
use crate::primitive::{check, shared};

fn add(table: &StackTable<1>, frames: &[u64], value: i64) {
    let key = Key { frames, truncated: false, tag: frames[0], detail: 0, labels: frames[0] / 3 };
    let counters = table.counters(key);
    counters.add([value]);
    let index = table.index_of(counters);
    assert!(std::ptr::eq(table.at(index), counters));
}

/// The sum of all values, of which each is a power of its stack's ten.
fn sum(table: &StackTable<1>) -> i64 {
    let mut sum = table.overflowed()[0];
    for Recorded { frames, tag, labels, values: [value], truncated } in table.recorded() {
        let ten = match *frames {
            [1, 2] => 1,
            [3, 4] => 10,
            _ => panic!("a torn stack: {frames:?}"),
        };
        assert!(
            !truncated
                && (tag, labels) == (frames[0], frames[0] / 3)
                && value % ten == 0
                && value < 10 * ten,
            "{frames:?}: {value}"
        );
        sum += value;
    }
    sum
}

#[test]
fn values_are_added_to_their_stack() {
    check(3, || {
        let table = shared(StackTable::<1>::new(2));
        let other = thread::spawn({
            let table = table.clone();
            move || {
                add(&table, &[1, 2], 1);
                add(&table, &[3, 4], 10);
            }
        });
        add(&table, &[1, 2], 1);
        other.join().unwrap();
        assert_eq!(sum(&table), 12);
    });
}

#[test]
fn readers_see_whole_stacks() {
    check(3, || {
        let table = shared(StackTable::<1>::new(2));
        let other = thread::spawn({
            let table = table.clone();
            move || add(&table, &[1, 2], 1)
        });
        let seen = sum(&table);
        assert!(seen <= 1);
        other.join().unwrap();
        assert_eq!(sum(&table), 1);
    });
}

#[test]
fn what_finds_no_room_is_overflow() {
    check(3, || {
        let mut table = StackTable::<1>::new(2);
        // Room for one stack of two frames.
        table.arena = zeroed(3);
        let table = shared(table);
        let other = thread::spawn({
            let table = table.clone();
            move || add(&table, &[3, 4], 10)
        });
        add(&table, &[1, 2], 1);
        other.join().unwrap();
        assert_eq!(sum(&table), 11);
        assert!([1, 10].contains(&table.overflowed()[0]));
    });
}
