//! Finds the paths that go on from one: by function and labels, of which there may be thousands at one place.
//!
//! A table with open addressing, at most half full, of the thread whose tree it is.

use std::mem;
use std::ptr;

use super::Node;
use crate::aggregate::site::Site;

/// Of one tree.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// None, or a power of two.
    slots: Vec<Slot>,
    used: usize,
}

/// A node and what it is found by beside its parent and site: mostly its set of labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    set: usize,
    /// Null if the slot is free.
    node: *const Node,
}

pub(super) const FREE: Slot = Slot { set: 0, node: ptr::null() };

/// In the place of a set: of those nodes of a parent and site that have one, that which was made last. No set is there.
pub(super) const LATEST: usize = usize::MAX - 1;

/// Slots of the first table.
const LEAST: usize = 32;

impl Children {
    pub(crate) const fn new() -> Children {
        Children { slots: Vec::new(), used: 0 }
    }

    pub(super) fn find<'t>(&self, parent: &'t Node, site: &Site, set: usize) -> Option<&'t Node> {
        let slot = self.slots.get(self.slot(parent, site, set)?)?;
        // SAFETY: null, or a node of the tree that `parent` is of: nodes of a tree live as long as each other.
        unsafe { slot.node.as_ref() }
    }

    /// How many slots `move_to` is to be given before two more nodes are put there; `None` if there is room.
    pub(super) fn wants(&self) -> Option<usize> {
        let len = self.slots.len();
        (2 * (self.used + 2) > len).then_some((2 * len).max(LEAST))
    }

    /// Goes on with other slots, all of them free. Returns those that are not needed any more.
    pub(super) fn move_to(&mut self, slots: Vec<Slot>) -> Vec<Slot> {
        let before = mem::replace(&mut self.slots, slots);
        self.used = 0;
        before.iter().for_each(|slot| self.put(slot.set, slot.node));
        before
    }

    /// Makes a node known, in the place of the one that was found by the same. Null is none.
    pub(super) fn put(&mut self, set: usize, node: *const Node) {
        // SAFETY: null, or a node of this table's tree.
        let Some(made) = (unsafe { node.as_ref() }) else { return };
        let Some(slot) = self.slot(made.parent, made.site, set) else { return };
        let Some(slot) = self.slots.get_mut(slot) else { return };
        self.used += usize::from(slot.node.is_null());
        *slot = Slot { set, node };
    }

    /// Where a node is, or is to be put; `None` if there are no slots.
    fn slot(&self, parent: *const Node, site: *const Site, set: usize) -> Option<usize> {
        let last = self.slots.len().checked_sub(1)?;
        let first = hash(parent.addr(), site.addr(), set);
        (0..=last).map(|step| first.wrapping_add(step) & last).find(|slot| {
            let slot = &self.slots[*slot];
            // SAFETY: null, or a node of this table's tree.
            let node = unsafe { slot.node.as_ref() };
            node.is_none_or(|node| {
                slot.set == set && ptr::eq(node.parent, parent) && ptr::eq(node.site, site)
            })
        })
    }
}

fn hash(parent: usize, site: usize, set: usize) -> usize {
    // 2^64 divided by the golden ratio.
    let mix = |hash: u64, word: usize| {
        (hash.rotate_left(26) ^ word as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    };
    let hash = mix(mix(mix(0, parent), site), set);
    // The upper bits depend on all of what was multiplied.
    (hash >> 32) as usize
}
