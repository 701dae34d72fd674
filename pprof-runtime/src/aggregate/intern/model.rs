//! Models of the table: a number that was given out has the text of its key, whoever else adds to it.

use std::fmt::Write;

use loom::thread;

use super::*;
use crate::primitive::{check, shared};

fn intern(table: &Interner<2>, key: u64) -> u16 {
    let number = table.intern([key, 0, 0], |text| write!(text, "text {key}").unwrap());
    if number != 0 {
        assert_eq!(table.text(number).unwrap(), format!("text {key}"));
    }
    number
}

#[test]
fn numbers_have_the_text_of_their_key() {
    check(3, || {
        let table = shared(Interner::<2>::new());
        let others = [1, 2].map(|key| {
            let table = table.clone();
            thread::spawn(move || (key, intern(&table, key)))
        });
        let mine = intern(&table, 1);
        for (key, number) in others.map(|other| other.join().unwrap()) {
            // The same key may have got two numbers, and then the other one none.
            if number != 0 {
                assert_eq!(table.text(number).unwrap(), format!("text {key}"));
            }
            assert!(number != mine || mine == 0 || key == 1);
        }
        assert_ne!(intern(&table, 1), 0, "it is there, once somebody has filled it");
    });
}
