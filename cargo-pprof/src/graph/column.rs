//! What there is of one thing, by the numbers of what has it.

/// Values up to the last that is not the default: most reports tell a few things apart, and what is in no report takes nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Column<T>(Vec<T>);

impl<T: Copy + Default + PartialEq> Column<T> {
    #[inline]
    pub(super) fn get(&self, at: usize) -> T {
        self.0.get(at).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn set(&mut self, at: usize, value: T) {
        match self.0.get_mut(at) {
            Some(place) => *place = value,
            None if value == T::default() => {}
            None => {
                self.0.resize(at, T::default());
                self.0.push(value);
            }
        }
    }

    /// Those up to the last that is not the default.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Column(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_were_set_to() {
        let mut column = Column::default();
        column.set(7, 0);
        assert_eq!((column.get(7), column.0.capacity()), (0, 0));
        column.set(3, 5);
        column.set(9, -1);
        column.set(3, 0);
        column.set(20, 0);
        let found: Vec<i64> = (0..12).map(|at| column.get(at)).collect();
        assert_eq!(found, [0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0]);
        assert_eq!(column.iter_mut().count(), 10);
    }
}
