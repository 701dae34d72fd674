//! What the types are, apart from what they do.

use std::cell::Cell;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use crate::channel::{
    IntoIter, Iter, Receiver, Select, SelectedOperation, Sender, TryIter, bounded, never,
};

/// Whether a type has a trait; an inherent constant is found before that of a trait.
macro_rules! has {
    ($type:ty: $trait:path) => {{
        struct Asked<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code)]
        trait Otherwise {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> Otherwise for Asked<T> {}
        #[allow(dead_code)]
        impl<T: ?Sized + $trait> Asked<T> {
            const ANSWER: bool = true;
        }
        Asked::<$type>::ANSWER
    }};
}

macro_rules! traits {
    ($type:ty) => {
        [
            has!($type: Send),
            has!($type: Sync),
            has!($type: Unpin),
            has!($type: UnwindSafe),
            has!($type: RefUnwindSafe),
            has!($type: Clone),
        ]
    };
}

const ALL: [bool; 6] = [true; 6];
const NOT_CLONE: [bool; 6] = [true, true, true, true, true, false];
/// Of what holds an `Rc`.
const LOCAL: [bool; 6] = [false, false, true, true, true, true];
const LOCAL_NOT_CLONE: [bool; 6] = [false, false, true, true, true, false];

#[test]
fn auto_traits_of_halves_and_iterators() {
    assert_eq!(traits!(Sender<u8>), ALL);
    assert_eq!(traits!(Receiver<u8>), ALL);
    assert_eq!(traits!(Sender<Cell<u8>>), ALL);
    assert_eq!(traits!(Receiver<Cell<u8>>), ALL);
    assert_eq!(traits!(Sender<Rc<u8>>), LOCAL);
    assert_eq!(traits!(Receiver<Rc<u8>>), LOCAL);
    assert_eq!(traits!(Iter<'static, u8>), NOT_CLONE);
    assert_eq!(traits!(TryIter<'static, u8>), NOT_CLONE);
    assert_eq!(traits!(IntoIter<u8>), NOT_CLONE);
    assert_eq!(traits!(Iter<'static, Rc<u8>>), LOCAL_NOT_CLONE);
    assert_eq!(traits!(IntoIter<Rc<u8>>), LOCAL_NOT_CLONE);
    assert!(has!(Iter<'static, u8>: FusedIterator));
    assert!(has!(IntoIter<u8>: FusedIterator));
    assert!(!has!(TryIter<'static, u8>: FusedIterator));
}

#[test]
fn auto_traits_of_select() {
    assert_eq!(traits!(Select<'static>), [true, true, true, false, false, true]);
    assert_eq!(traits!(SelectedOperation<'static>), [false, false, true, true, true, false]);
    assert!(has!(Select<'static>: Default));
}

#[test]
fn a_list_of_longer_lived_halves_is_one_of_shorter_lived() {
    // Compiles or not.
    fn shorter<'a>(list: Select<'static>) -> Select<'a> {
        list
    }
    assert!(shorter(Select::new()).try_select().is_err());
}

static NEVER: Receiver<u8> = never();

#[test]
fn never_is_a_constant() {
    assert!(NEVER.try_recv().is_err());
}

#[test]
fn debug_output() {
    struct Opaque;
    let (s, r) = bounded::<Opaque>(1);
    assert_eq!(format!("{s:?}|{r:?}|{s:#?}"), "Sender { .. }|Receiver { .. }|Sender { .. }");
    assert_eq!(format!("{s:>14?}|{r:17?}|"), " Sender { .. }|Receiver { .. }  |");
    assert_eq!(format!("{:?}|{:?}", r.iter(), r.try_iter()), "Iter { .. }|TryIter { .. }");
    let mut list = Select::new();
    list.send(&s);
    assert_eq!(format!("{list:?}|{list:13?}|"), "Select { .. }|Select { .. }|");
    let selected = list.select();
    assert_eq!(format!("{selected:?}|{selected:#?}"), ["SelectedOperation { .. }"; 2].join("|"));
    assert!(selected.send(&s, Opaque).is_ok());
    assert_eq!(format!("{:17?}|", r.into_iter()), "IntoIter { .. }  |");
}
