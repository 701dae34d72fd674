//! What a wait is shown with: its kind, the lock, and who held it. A number in the stack tables, labels in the profile.

use std::collections::HashMap;
use std::fmt::Write;
use std::panic::Location;
use std::sync::Arc;

use super::actor::{Actor, write_name};
use crate::aggregate::intern::{Interner, Text};
use crate::aggregate::snapshot::Labels;

/// A place in the source.
pub(crate) type Site = &'static Location<'static>;

/// Locks by name or creation site, and holders by thread name and acquire site: this many of each are told apart.
const MAX_NAMES: usize = 4096;

static LOCKS: Interner<MAX_NAMES> = Interner::new();
static HOLDERS: Interner<MAX_NAMES> = Interner::new();

/// What a lock is called: not more than one name for each line of source, however many locks that line makes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// Where it was made.
    Site(Site),
    /// What its user calls it.
    Name(&'static str),
    /// Where it was first locked, if it does not know where it was made.
    FirstLocked(Site),
}

impl Origin {
    /// Where the caller's caller makes it.
    #[track_caller]
    #[inline]
    pub(crate) const fn here() -> Origin {
        Origin::Site(Location::caller())
    }

    fn number(self) -> u16 {
        match self {
            Origin::Site(site) => {
                LOCKS.intern([address(site), 0, 0], |text| write_site(site, text))
            }
            Origin::Name(name) => {
                LOCKS.intern([name.as_ptr() as u64, name.len() as u64, 1], |text| {
                    // `Text` takes everything.
                    let _ = text.write_str(name);
                })
            }
            Origin::FirstLocked(site) => LOCKS.intern([address(site), 0, 2], |text| {
                // `Text` takes everything.
                let _ = text.write_str("first locked at ");
                write_site(site, text);
            }),
        }
    }
}

/// Whether a site is in lock_api, which does not hand on its caller's everywhere (`ReentrantMutex`, `MutexGuard::unlocked`).
pub(super) fn is_in_lock_api(site: Site) -> bool {
    let is_its = |part: &str| part == "lock_api" || part.starts_with("lock_api-");
    site.file().split(['/', '\\']).any(is_its)
}

fn address(site: Site) -> u64 {
    std::ptr::from_ref(site) as u64
}

fn write_site(site: Site, text: &mut Text) {
    // `Text` takes everything.
    let _ = write!(text, "{}:{}", site.file(), site.line());
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $text:literal,)*) => {
        /// What is waited for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            const TEXTS: &[&str] = &[$($text,)*];
        }
    };
}

kinds! {
    Mutex "mutex",
    RwLockRead "rwlock-read",
    RwLockWrite "rwlock-write",
    /// A read that may become a write.
    RwLockUpgradable "rwlock-upgradable",
    Condvar "condvar",
    Once "once",
    Barrier "barrier",
    ChannelSend "channel-send",
    ChannelRecv "channel-recv",
    Select "select",
    Semaphore "semaphore",
    Notify "notify",
    Join "join",
    Park "park",
    Sleep "sleep",
    /// A futex of code that we do not know.
    Futex "futex",
    Read "read",
    Write "write",
    Poll "poll",
    Accept "accept",
    Connect "connect",
}

/// | bits   | content                       |
/// |--------|-------------------------------|
/// | 0..8   | the kind, plus one            |
/// | 8      | foreign: not of a type of ours |
/// | 16..32 | the lock's number, zero if none |
/// | 32..48 | the holder's, zero if none    |
/// | 16..48 | if foreign: who waited, plus one; zero if that is not known |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tag(u64);

const FOREIGN: u64 = 1 << 8;

impl Tag {
    pub(crate) const NONE: Tag = Tag(0);

    /// Nothing is allocated; new names are copied to tables.
    pub(crate) fn new(kind: Kind, origin: Option<Origin>, holder: Option<(Actor, Site)>) -> Tag {
        let lock = origin.map_or(0, Origin::number);
        let holder = holder.map_or(0, |(actor, site)| holder_number(actor, site));
        Tag((kind as u64 + 1) | u64::from(lock) << 16 | u64::from(holder) << 32)
    }

    /// Of a wait seen as a system call. `waiter` is a number for whoever waited.
    pub(crate) fn foreign(kind: Kind, waiter: Option<u32>) -> Tag {
        let waiter = waiter.and_then(|w| w.checked_add(1)).unwrap_or(0);
        Tag((kind as u64 + 1) | FOREIGN | u64::from(waiter) << 16)
    }

    pub(crate) fn is_foreign(self) -> bool {
        self.0 & FOREIGN != 0
    }

    /// Who waited, if this is foreign and it is known.
    pub(crate) fn waiter(self) -> Option<u32> {
        if self.is_foreign() { ((self.0 >> 16) as u32).checked_sub(1) } else { None }
    }

    pub(crate) fn from_bits(bits: u64) -> Tag {
        Tag(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn kind(self) -> Option<&'static str> {
        Kind::TEXTS.get(usize::from(self.0 as u8).checked_sub(1)?).copied()
    }

    pub(crate) fn is(self, kind: Kind) -> bool {
        self.0 as u8 == kind as u8 + 1
    }

    /// Name or creation site.
    pub(crate) fn lock(self) -> Option<String> {
        if self.is_foreign() { None } else { LOCKS.text((self.0 >> 16) as u16) }
    }

    /// Thread name and acquire site.
    pub(crate) fn holder(self) -> Option<String> {
        if self.is_foreign() { None } else { HOLDERS.text((self.0 >> 32) as u16) }
    }
}

fn holder_number(actor: Actor, site: Site) -> u16 {
    let name = actor.name();
    let (low, high) = name.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    HOLDERS.intern([word(low), word(high), address(site)], |text| {
        // `Text` takes everything.
        let _ = write_name(&name, text);
        if !is_in_lock_api(site) {
            let _ = text.write_str(" at ");
            write_site(site, text);
        }
    })
}

/// Tags to labels, each text made once.
#[derive(Debug, Default)]
pub(crate) struct Labeller {
    known: HashMap<Tag, Labels>,
}

impl Labeller {
    pub(crate) fn labels(&mut self, tag: Tag) -> Labels {
        let make = || {
            let mut labels = Labels::new();
            let mut label = |key, text: Option<Arc<str>>| labels.extend(text.map(|t| (key, t)));
            label("kind", tag.kind().map(Arc::from));
            label("lock", tag.lock().map(Arc::from));
            label("holder", tag.holder().map(Arc::from));
            labels
        };
        self.known.entry(tag).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_labels() {
        let site = Location::caller();
        let tag = Tag::new(Kind::Mutex, Some(Origin::Name("a lock")), Some((Actor::task(1), site)));
        assert_eq!(Tag::from_bits(tag.to_bits()), tag);
        let labels = Labeller::default().labels(tag);
        let shown: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let holder = format!("holder=task at {}:{}", file!(), site.line());
        assert_eq!(shown, ["kind=mutex", "lock=a lock", &holder]);
        let plain = Labeller::default().labels(Tag::new(Kind::Connect, None, None));
        assert_eq!(plain, [("kind", "connect".into())]);
        assert!(Labeller::default().labels(Tag::default()).is_empty());
    }

    #[test]
    fn foreign_tags_name_neither_lock_nor_holder() {
        for waiter in [None, Some(0), Some(u32::MAX - 1)] {
            let tag = Tag::foreign(Kind::Futex, waiter);
            assert_eq!((tag.is_foreign(), tag.waiter()), (true, waiter));
            assert_eq!(Labeller::default().labels(tag), [("kind", "futex".into())]);
        }
        let plain = Tag::new(Kind::Mutex, Some(Origin::here()), None);
        assert_eq!((plain.is_foreign(), plain.waiter()), (false, None));
    }

    #[test]
    fn locks_of_one_line_share_a_name() {
        let make = || Origin::here();
        // Miri has a site for each call.
        let origins = if cfg!(miri) { [make(); 2] } else { [make(), make()] };
        let tags = origins.map(|origin| Tag::new(Kind::Once, Some(origin), None));
        assert_eq!(tags[0], tags[1]);
        assert!(tags[0].lock().unwrap().starts_with(file!()));
    }
}
