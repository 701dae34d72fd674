//! Models of a slot: copies that are good are of one wait, and who asks whether it goes on is told the truth.

use loom::thread;

use super::*;
use crate::primitive::{check, make};

/// Two words instead of fourteen: each that is read doubles what loom has to try.
impl Entry {
    pub(super) fn to_words(self) -> [u64; WORDS] {
        [self.actor.to_bits(), self.resource]
    }

    pub(super) fn from_words([actor, resource]: [u64; WORDS]) -> Entry {
        entry(Actor::from_bits(actor), resource)
    }
}

fn entry(actor: Actor, resource: u64) -> Entry {
    Entry {
        actor,
        task: Actor::NOBODY,
        tag: Tag::default(),
        resource,
        holder: 0,
        target: Actor::NOBODY,
        since: 0,
        stack: None,
        registers: None,
        site: None,
        timed: false,
        labels: 0,
    }
}

/// A wait whose words all say the same; of one slot, since the others probed are taken.
fn wait(number: u64) -> Option<Claim> {
    claim(&entry(Actor::from_bits(number), number))
}

/// Makes what the threads share, which is static.
fn begin() {
    make(&(&TABLE.0[..MAX_PROBES], &UNTRACKED, &ENDED, &TAKEN));
    // Of another slot.
    drop(wait(MAX_PROBES as u64));
}

static ENDED: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicBool = AtomicBool::new(false);

fn read() -> Option<Waiting> {
    let waiting = Waiting::read(&TABLE.0[0])?;
    let Entry { actor, task, resource, target, .. } = waiting.entry;
    assert_eq!([task, target], [Actor::NOBODY; 2]);
    assert_eq!(actor.number(), resource, "of one wait");
    Some(waiting)
}

#[test]
fn copies_are_of_one_wait() {
    check(4, || {
        begin();
        let waiter = thread::spawn(|| {
            for number in [MAX_WAITS as u64, 2 * MAX_WAITS as u64] {
                drop(wait(number).expect("the only one"));
            }
        });
        if let Some(first) = read()
            && let Some(second) = read()
        {
            assert!(first.entry.resource <= second.entry.resource);
            assert!(!first.goes_on() || first.state == second.state);
        }
        waiter.join().unwrap();
        assert!(read().is_none(), "it has ended");
    });
}

#[test]
fn a_wait_goes_on_until_it_has_ended() {
    check(4, || {
        begin();
        let claim = wait(MAX_WAITS as u64).expect("the only one");
        let seen = read().expect("it goes on");
        let waiter = thread::spawn(move || {
            drop(claim);
            // As the release of a lock that the waiter has got meanwhile.
            ENDED.store(true, Ordering::Release);
            let again = wait(MAX_WAITS as u64).expect("the only one");
            TAKEN.store(true, Ordering::Release);
            std::mem::forget(again);
        });
        let (ended, taken) = (ENDED.load(Ordering::Acquire), TAKEN.load(Ordering::Acquire));
        let goes_on = seen.goes_on();
        assert!(!(ended && goes_on), "what is known to have ended does not go on");
        if taken {
            assert_ne!(read().expect("the second one goes on").state, seen.state);
        }
        waiter.join().unwrap();
        assert!(!seen.goes_on());
    });
}

#[test]
fn a_slot_is_claimed_by_one() {
    check(3, || {
        begin();
        let claim_and_look = |number| {
            let claim = wait(number).expect("there are two slots");
            let seen = Waiting::read(claim.0).expect("ours");
            assert_eq!(seen.entry.resource, number);
            assert!(seen.goes_on());
            claim
        };
        let other = thread::spawn(move || {
            // The next owner's words come after this one's.
            drop(claim_and_look(MAX_WAITS as u64));
            claim_and_look(2 * MAX_WAITS as u64)
        });
        let own = claim_and_look(3 * MAX_WAITS as u64);
        let other = other.join().unwrap();
        assert!(!std::ptr::eq(own.0, other.0));
    });
}
