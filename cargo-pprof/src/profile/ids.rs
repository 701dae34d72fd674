//! The ids of a table: in most files they are counted from one.

/// Ids as in the file. There is nothing to keep of those that are one more than where they are, as long as all are.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    all: Vec<u64>,
    /// Of `all`; once new ones are given, the last of these.
    greatest: u64,
}

impl Ids {
    /// The id of the entry at `index`.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        self.all.get(index).copied().unwrap_or(index as u64 + 1)
    }

    /// Notes the id of the entry at `index`, which is the next one.
    #[inline]
    pub(super) fn add(&mut self, index: usize, id: u64) {
        if !self.all.is_empty() || id != index as u64 + 1 {
            self.add_other(index, id);
        }
    }

    #[cold]
    fn add_other(&mut self, index: usize, id: u64) {
        if self.all.is_empty() {
            self.all = (1..=index as u64).collect();
            self.greatest = index as u64;
        }
        debug_assert_eq!(self.all.len(), index);
        self.all.push(id);
        self.greatest = self.greatest.max(id);
    }

    /// Gives the entry at `index`, which is the next one, the id after the greatest. After the last that there is they start from zero, as in
    /// the reference, which then refuses most reports; here nothing is found by its id any more.
    pub(crate) fn add_new(&mut self, index: usize) {
        if !self.all.is_empty() {
            debug_assert_eq!(self.all.len(), index);
            self.greatest = self.greatest.wrapping_add(1);
            self.all.push(self.greatest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_they_were_and_new_ones_are_their_own() {
        for given in [&[][..], &[1, 2, 3], &[2, 1], &[1, 2, 9, 4], &[u64::MAX - 1, 1]] {
            let mut ids = Ids::default();
            given.iter().enumerate().for_each(|(index, id)| ids.add(index, *id));
            let greatest = given.iter().copied().max().unwrap_or(0);
            let new = [1, 2, 3].map(|nth| greatest.wrapping_add(nth));
            let count = given.len();
            (count..count + new.len()).for_each(|index| ids.add_new(index));
            let found: Vec<u64> = (0..count + new.len()).map(|index| ids.get(index)).collect();
            assert_eq!(found, [given, &new].concat());
        }
        let mut ids = Ids::default();
        (0..1000).for_each(|index| ids.add(index, index as u64 + 1));
        assert_eq!(ids.all.capacity(), 0);
    }
}
