//! A profile while its samples are read.

use std::collections::HashMap;

use super::{Lines, Result, maps};
use crate::profile::{Label, Location, Profile, Samples, Text, Value, ValueType};

/// What samples there are, and a location for each address, in the order of first use.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) profile: Profile,
    by_address: HashMap<u64, u32, foldhash::fast::RandomState>,
    /// Of the sample that is added; kept for its memory.
    stack: Vec<u32>,
}

/// Whether stacks name calls or the instructions after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// Taken as they are.
    Exact,
    /// All are return addresses: one less is within the call.
    Return,
    /// All but the leaf, which was interrupted rather than called. Where the signal handler has put it in twice, the second one goes.
    ReturnButLeaf,
}

impl Draft {
    /// `types` and `period_type` are of names and units.
    pub(super) fn new(types: &[(&str, &str)], period_type: (&str, &str), period: i64) -> Draft {
        let mut profile =
            Profile { samples: Samples::new(types.len()), period, ..Profile::default() };
        for (ty, unit) in types {
            let ty = value_type(&mut profile, ty, unit);
            profile.sample_types.push(ty);
        }
        profile.period_type = value_type(&mut profile, period_type.0, period_type.1);
        Draft { profile, ..Draft::default() }
    }

    /// Adds a sample.
    pub(super) fn push(
        &mut self,
        stack: impl IntoIterator<Item = u64>,
        kind: Addresses,
        values: &[i64],
        label: Option<Label>,
    ) {
        let mut indices = std::mem::take(&mut self.stack);
        indices.clear();
        let (mut leaf, mut is_twice) = (0, false);
        for (depth, address) in stack.into_iter().enumerate() {
            let address = match kind {
                Addresses::ReturnButLeaf if depth == 0 => address,
                Addresses::Exact => address,
                Addresses::Return | Addresses::ReturnButLeaf => address.wrapping_sub(1),
            };
            indices.push(self.location(address));
            match depth {
                0 => leaf = address,
                1 => is_twice = leaf == address.wrapping_add(1),
                _ => {}
            }
        }
        if is_twice && kind == Addresses::ReturnButLeaf {
            indices.remove(1);
        }
        self.profile.samples.push(indices.iter().copied(), values, label);
        self.stack = indices;
    }

    /// The index of the location at an address, if there is a sample of it.
    pub(super) fn find(&self, address: u64) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// The label that says how large allocated blocks are.
    pub(super) fn block_size(&mut self, bytes: i64) -> Label {
        let key = self.profile.texts.intern("bytes");
        Label { key, value: Value::Number(bytes, Text::EMPTY) }
    }

    /// The profile, with the memory map that may come after the samples.
    pub(super) fn finish(mut self, lines: Lines<'_>) -> Result<Profile> {
        maps::read_section(&mut self.profile, lines)?;
        Ok(self.profile)
    }

    fn location(&mut self, address: u64) -> u32 {
        let locations = &mut self.profile.locations;
        *self.by_address.entry(address).or_insert_with(|| {
            let index = locations.len() as u32;
            locations.push(Location { address, ..Location::default() });
            index
        })
    }
}

/// A type of values by its name and unit.
pub(super) fn value_type(profile: &mut Profile, ty: &str, unit: &str) -> ValueType {
    ValueType { ty: profile.texts.intern(ty), unit: profile.texts.intern(unit) }
}

#[cfg(test)]
mod tests {
    use super::{Addresses, Draft};
    use crate::profile::Stack;

    #[test]
    fn return_addresses_are_put_within_the_call() {
        let cases = [
            (Addresses::Exact, vec![0x10, 0x20, 0], vec![0, 1, 2]),
            (Addresses::Return, vec![0xf, 0x1f, u64::MAX], vec![0, 1, 2]),
            (Addresses::ReturnButLeaf, vec![0x10, 0x1f, u64::MAX], vec![0, 1, 2]),
        ];
        for (kind, addresses, stack) in cases {
            let mut draft = Draft::new(&[("a", "b")], ("a", "b"), 1);
            draft.push([0x10, 0x20, 0], kind, &[1], None);
            let found: Vec<u64> = draft.profile.locations.iter().map(|l| l.address).collect();
            assert_eq!(found, addresses, "{kind:?}");
            assert_eq!(draft.profile.samples.get(0).stack, Stack::Wide(&stack));
        }
    }

    #[test]
    fn a_leaf_that_is_there_twice_is_kept_once() {
        let mut draft = Draft::new(&[("a", "b")], ("a", "b"), 1);
        draft.push([0x10, 0x10, 0x20], Addresses::ReturnButLeaf, &[1], None);
        draft.push([0x10, 0x10], Addresses::Return, &[1], None);
        draft.push([], Addresses::ReturnButLeaf, &[1], None);
        let stacks: Vec<Stack<'_>> = draft.profile.samples.iter().map(|s| s.stack).collect();
        assert_eq!(stacks, [&[0, 2][..], &[1, 1], &[]].map(Stack::Wide));
        assert_eq!((draft.find(0x1f), draft.find(0x20)), (Some(2), None));
    }
}
