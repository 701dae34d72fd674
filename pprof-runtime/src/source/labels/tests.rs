//! Sets and scopes together.

use std::mem;
use std::sync::atomic::Ordering;

use super::scope::THREAD;
use super::set::table;
use super::*;
use crate::config::MAX_LABEL_BYTES;

fn set(pairs: &[(&str, &str)]) -> Option<SetRef> {
    intern(pairs.iter().copied())
}

fn shown(set: Option<&SetRef>) -> String {
    let pairs = set.map_or(&[][..], |set| set.pairs());
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

fn now() -> String {
    shown(current().as_ref())
}

fn is_there(id: u64) -> bool {
    let mut found = false;
    table().retain(|set| {
        found |= set.mark.id() == id;
        true
    });
    found
}

/// As the CPU profile's handler does.
fn sampled() -> u64 {
    // SAFETY: whoever set the word keeps the set alive.
    unsafe { SAMPLED.keep(labels::current(), || true) }
}

#[test]
fn equal_sets_are_one_and_go_with_their_last_holder() {
    let a = set(&[("there", "1"), ("and", "2")]).unwrap();
    let b = set(&[("and", "0"), ("", "no key"), ("there", "1"), ("and", "2")]).unwrap();
    assert!(a.is(&b));
    assert_eq!(shown(Some(&a)), "and=2 there=1");
    assert!(set(&[("", "1")]).is_none());
    let id = a.id();
    drop(a);
    assert!(is_there(id));
    drop(b);
    assert!(!is_there(id));
    assert_ne!(set(&[("there", "1"), ("and", "2")]).unwrap().id(), id);
}

#[test]
fn sets_that_make_each_other_go() {
    let (one, two) = (set(&[("cycle", "1")]), set(&[("cycle", "2"), ("more", "")]));
    let ids = [one.as_ref(), two.as_ref()].map(|set| set.unwrap().id());
    for _ in 0..2 {
        assert_eq!(shown(on_top_of(one.as_ref(), two.as_ref()).as_ref()), "cycle=2 more=");
        assert_eq!(shown(on_top_of(two.as_ref(), one.as_ref()).as_ref()), "cycle=1 more=");
    }
    drop((one, two));
    assert_eq!(ids.map(is_there), [false; 2]);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let long = format!("{}é", "x".repeat(MAX_LABEL_BYTES - 1));
    let cut = set(&[(&long, &long)]).unwrap();
    assert_eq!(cut.pairs()[0].0.len(), MAX_LABEL_BYTES - 1);
    assert_eq!(cut.pairs()[0].1.len(), MAX_LABEL_BYTES - 1);
}

#[test]
fn ever_new_values_of_a_key_leave_other_keys_alone() {
    let many = |value: &str, route| set(&[("many", value), ("route", route)]).unwrap();
    let early = ["early", "earlier"].map(|value| many(value, "a"));
    let coarse = ["a", "b"].map(|route| many(OVERFLOW_VALUE, route));
    let request = |number: usize, route| {
        let set = many(&number.to_string(), route);
        let _scope = Scope::add(Some(&set));
        assert_eq!(current_id(), set.id(), "what is going on is told exactly");
        (recorded(|| true), set.id())
    };
    for number in 0..MAX_LABEL_VALUES {
        let (recorded, exact) = request(number, "a");
        assert_eq!(recorded, exact, "{number}");
    }
    assert!(remarks().iter().any(|line| line.contains("128 values") && line.contains("many")));
    for number in MAX_LABEL_VALUES..MAX_LABEL_VALUES + 50 {
        let routes = ["a", "b"].map(|route| request(number, route).0);
        assert_eq!(routes, coarse.each_ref().map(SetRef::id), "{number}");
    }
    let (id, exact) = request(0, "b");
    assert_eq!(id, exact, "a value that is known");
    // Made before there were too many.
    assert_eq!(
        early.each_ref().map(|set| {
            let _scope = Scope::add(Some(set));
            recorded(|| true)
        }),
        [OVERFLOW_LABELS; 2]
    );
    // What is not recorded does not count.
    for number in 0..2 * MAX_LABEL_VALUES {
        drop(set(&[("few", &number.to_string())]));
    }
    assert!(!remarks().iter().any(|line| line.contains("few")));
}

#[test]
fn what_a_profile_keeps_stays_and_is_found_again() {
    let a = set(&[("kept", "a")]);
    let id = a.as_ref().unwrap().id();
    {
        let _scope = Scope::add(a.as_ref());
        assert_eq!(recorded(|| true), id);
    }
    drop(a);
    assert_eq!(Texts::read().of(id).unwrap()[0].1, "a".into());
    assert_eq!(set(&[("kept", "a")]).unwrap().id(), id);
    assert_eq!(Texts::read().of(0), None);
}

#[test]
fn what_was_sampled_goes_with_the_profile() {
    let a = set(&[("sampled", "a")]);
    let id = a.as_ref().unwrap().id();
    {
        let _scope = Scope::add(a.as_ref());
        // Other tests end samples, too: what is theirs to see is only that it has gone.
        assert_eq!(sampled(), id);
    }
    end_samples();
    assert!(is_there(id), "held");
    sampled();
    drop(a);
    end_samples();
    assert!(!is_there(id));
    assert_eq!(Texts::read().of(id).unwrap()[0].1, "unknown".into());
}

#[test]
fn scopes_nest_and_end_by_panics() {
    let (a, b) = (set(&[("a", "1")]), set(&[("b", "2"), ("a", "3")]));
    let _outer = Scope::add(a.as_ref());
    let panicked = std::panic::catch_unwind(|| {
        let b = set(&[("b", "2"), ("a", "3")]);
        let _inner = Scope::add(b.as_ref());
        assert_eq!(now(), "a=3 b=2");
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panicked.is_err());
    assert_eq!(now(), "a=1");
    {
        let _elsewhere = Scope::replace(b.as_ref());
        assert_eq!(now(), "a=3 b=2");
        let _none = Scope::replace(None);
        assert_eq!(now(), "");
    }
    assert_eq!(now(), "a=1");
}

fn is_tidy() {
    THREAD.with(|thread| {
        assert_eq!(thread.height.get(), 0);
    });
    assert_eq!(links(), 0);
}

/// What the thread remembers of scopes that have ended or escaped.
fn links() -> usize {
    THREAD.with(|thread| {
        let links = thread.links.take();
        let len = links.len();
        thread.links.set(links);
        len
    })
}

#[test]
fn an_old_disorder_costs_what_comes_later_nothing() {
    let (a, b) = (set(&[("a", "1")]), set(&[("b", "1")]));
    let mut kept = Vec::new();
    {
        let _scope = Scope::add(a.as_ref());
        kept.push(guard("kept"));
    }
    assert_eq!(now(), "");
    for _ in 0..3 {
        let _route = Scope::add(a.as_ref());
        drop(Scope::add(b.as_ref()));
        assert_eq!(now(), "a=1", "set again");
        let (c, d) = (guard("c"), guard("d"));
        drop(c);
        drop(d);
        assert_eq!(now(), "a=1");
        assert_eq!(links(), 1, "for the kept one");
    }
    drop(kept);
    is_tidy();
}

fn guard(key: &str) -> GuardScope {
    GuardScope::add(set(&[(key, "")]).as_ref())
}

#[test]
fn guards_end_in_any_order() {
    let (a, b, c) = (guard("a"), guard("b"), guard("c"));
    assert_eq!(now(), "a= b= c=");
    drop(b);
    assert_eq!(now(), "a= b= c=", "what came later has it still");
    drop(a);
    drop(c);
    assert_eq!(now(), "");
    is_tidy();
}

#[test]
fn a_guard_may_outlive_the_scope_that_it_was_made_in() {
    let own = set(&[("own", "1")]);
    let mut escaped = None;
    {
        let scope = set(&[("scope", "1")]);
        let _scope = Scope::add(scope.as_ref());
        escaped.replace(guard("escaped"));
    }
    assert_eq!(now(), "");
    let same = set(&[("scope", "1"), ("escaped", "")]);
    {
        // What the guard had set, set by another one when it goes: it must not bring back what is gone.
        let _scope = Scope::add(same.as_ref());
        drop(escaped);
        let _inner = Scope::add(own.as_ref());
        assert_eq!(now(), "escaped= own=1 scope=1");
    }
    assert_eq!(now(), "");
}

#[test]
fn an_outer_guard_may_go_inside_of_a_scope() {
    let outer = guard("outer");
    let inner = set(&[("inner", "")]);
    {
        let _scope = Scope::add(inner.as_ref());
        drop(outer);
        assert_eq!(now(), "inner= outer=");
    }
    assert_eq!(now(), "");
}

#[test]
fn guards_hand_over_hand_leave_nothing_behind() {
    let outer = guard("outer");
    let mut phase = guard("phase");
    for _ in 0..if cfg!(miri) { 100 } else { 100_000 } {
        // The new one is made before the old one goes.
        phase = guard("phase");
        assert_eq!(links(), 1);
    }
    assert_eq!(now(), "outer= phase=");
    drop(Scope::add(set(&[("x", "")]).as_ref()));
    drop(outer);
    assert_eq!((now(), links()), ("outer= phase=".to_owned(), 1));
    drop(phase);
    assert_eq!(now(), "");
    is_tidy();
}

/// Those on the word's chain need no memory; those that have escaped from a scope are a number.
#[test]
fn leaked_guards_take_no_room() {
    // On a thread of its own: they stay open.
    let leak = || {
        for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
            {
                let own = set(&[("x", "")]);
                let _scope = Scope::add(own.as_ref());
                mem::forget((guard("a"), guard("b")));
            }
            assert_eq!((now(), links()), (String::new(), 1));
            {
                let own = set(&[("y", "")]);
                let _scope = Scope::add(own.as_ref());
                let (c, d) = (guard("c"), guard("d"));
                drop(c);
                assert_eq!((now(), links()), ("c= d= y=".to_owned(), 2));
                drop(d);
            }
        }
        for _ in 0..1_000 {
            mem::forget(guard("c"));
        }
        assert_eq!((now(), links()), ("c=".to_owned(), 1));
    };
    std::thread::spawn(leak).join().unwrap();
}

/// What scopes are to do, with all that they need in one place.
#[derive(Default)]
struct Model {
    guards: Vec<(u32, GuardScope)>,
    /// Those that the word goes back to, and what it says at each.
    chain: Vec<(u32, String)>,
    begun: u32,
}

impl Model {
    fn begin(&mut self) -> u32 {
        self.begun += 1;
        self.chain.push((self.begun, now()));
        self.begun
    }

    fn drop_guard(&mut self, index: usize) {
        let (number, guard) = self.guards.swap_remove(index);
        drop(guard);
        self.chain.retain(|(other, _)| *other != number);
        self.check();
    }

    fn check(&self) {
        assert_eq!(now(), self.chain.last().map_or("", |(_, text)| text));
        assert!(links() <= self.chain.len() + 1);
    }

    fn scoped(&mut self, depth: usize, draw: &mut impl FnMut(usize) -> usize) {
        let number = {
            let own = set(&[(["x", "y"][draw(2)], "")]);
            let _scope = Scope::add(own.as_ref());
            let number = self.begin();
            self.steps(depth + 1, draw);
            number
        };
        self.chain.truncate(self.chain.partition_point(|(other, _)| *other < number));
        self.check();
    }

    fn steps(&mut self, depth: usize, draw: &mut impl FnMut(usize) -> usize) {
        for _ in 0..draw(12) {
            match draw(5) {
                0 | 1 => {
                    let guard = guard(["p", "q", "r"][draw(3)]);
                    let number = self.begin();
                    self.guards.push((number, guard));
                }
                2 | 3 if !self.guards.is_empty() => self.drop_guard(draw(self.guards.len())),
                4 if depth < 4 => self.scoped(depth, draw),
                _ => {}
            }
            self.check();
        }
    }
}

/// Whatever the order, the word says only what is there, and nothing when nothing is open.
#[test]
fn guards_in_random_orders() {
    let mut random = 1_u64;
    let mut draw = |n: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % n
    };
    for _ in 0..if cfg!(miri) { 6 } else { 3_000 } {
        let mut model = Model::default();
        model.steps(0, &mut draw);
        while !model.guards.is_empty() {
            model.drop_guard(draw(model.guards.len()));
        }
        assert_eq!(now(), "");
        is_tidy();
    }
    // No other test has this set: they run beside this one.
    assert_eq!(set(&[("p", "")]).unwrap().set().holders.load(Ordering::Relaxed), 1);
}

/// Scopes of coroutines, which have a stack each, on one thread.
#[test]
fn scopes_may_end_in_any_order() {
    let sets = ["a", "b", "c", "d"].map(|key| set(&[(key, "")]));
    let [a, b, c, d] = sets.each_ref().map(|set| Scope::add(set.as_ref()));
    drop(b);
    assert_eq!(now(), "a=");
    drop(a);
    let e = guard("e");
    drop((d, c));
    assert_eq!(now(), "e=");
    drop(e);
    is_tidy();
}

#[test]
fn threads_make_and_drop_the_same_sets() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..if cfg!(miri) { 20 } else { 20_000_u32 } {
                    let value = (round % 3).to_string();
                    let set = set(&[("shared", &value)]);
                    let _scope = Scope::add(set.as_ref());
                    if round % 7 == 0 {
                        sampled();
                    }
                    assert_eq!(now(), format!("shared={value}"));
                }
            });
        }
        scope.spawn(|| (0..if cfg!(miri) { 3 } else { 300 }).for_each(|_| end_samples()));
    });
    end_samples();
    assert!(!Texts::read().0.values().any(|pairs| &*pairs[0].0 == "shared"));
}
