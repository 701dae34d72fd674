//! The entries of a report.

use super::column::Column;
use super::mean;

/// An entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Node {
    /// What it is: its number in [`Graph::infos`](super::Graph::infos).
    pub(super) info: u32,
    /// The function that it belongs to, as a number that only tells functions apart; zero if that is not asked for.
    pub function: u32,
    /// Spent here.
    pub flat: i64,
    /// What `flat` is a mean over; zero if it is none.
    pub flat_div: i64,
    /// Spent here and in callees.
    pub cum: i64,
    /// What `cum` is a mean over; zero if it is none.
    pub cum_div: i64,
}

impl Node {
    /// `flat`, or its mean.
    #[must_use]
    pub fn flat_value(&self) -> i64 {
        mean(self.flat, self.flat_div)
    }

    /// `cum`, or its mean.
    #[must_use]
    pub fn cum_value(&self) -> i64 {
        mean(self.cum, self.cum_div)
    }
}

/// All entries, in columns: there may be one for each address, and most have little.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// What each is; if there is nothing, as many as there are are what their own numbers say.
    infos: Vec<u32>,
    functions: Column<u32>,
    flats: Vec<i64>,
    flat_divs: Column<i64>,
    cums: Vec<i64>,
    cum_divs: Column<i64>,
}

impl Nodes {
    /// One for each info, of these functions, of which nothing is spent yet.
    pub(super) fn of_infos(count: usize, functions: Vec<u32>) -> Nodes {
        let (flats, cums) = (vec![0; count], vec![0; count]);
        Nodes { functions: functions.into(), flats, cums, ..Nodes::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cums.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Node {
        let at = number as usize;
        Node {
            info: self.infos.get(at).copied().unwrap_or(number),
            function: self.functions.get(at),
            flat: self.flats[at],
            flat_div: self.flat_divs.get(at),
            cum: self.cums[at],
            cum_div: self.cum_divs.get(at),
        }
    }

    /// All, in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Node> {
        (0..self.len()).map(|at| self.get(at as u32))
    }

    /// Adds one that is this and of which nothing is spent yet. All have to be added so.
    pub(super) fn push(&mut self, info: u32, function: u32) {
        self.functions.set(self.len(), function);
        self.infos.push(info);
        self.flats.push(0);
        self.cums.push(0);
    }

    /// Adds to what is spent in a node itself.
    #[inline]
    pub(super) fn add_flat(&mut self, number: u32, weight: (i64, i64)) {
        add(&mut self.flats, &mut self.flat_divs, number as usize, weight);
    }

    /// Adds to what is spent in a node and its callees.
    #[inline]
    pub(super) fn add_cum(&mut self, number: u32, weight: (i64, i64)) {
        add(&mut self.cums, &mut self.cum_divs, number as usize, weight);
    }
}

#[inline]
fn add(sums: &mut [i64], divs: &mut Column<i64>, at: usize, (value, divisor): (i64, i64)) {
    sums[at] = sums[at].wrapping_add(value);
    if divisor != 0 {
        add_div(divs, at, divisor);
    }
}

/// Away from the loops that add: they are of every frame, and means are hardly ever asked for.
#[cold]
#[inline(never)]
fn add_div(divs: &mut Column<i64>, at: usize, divisor: i64) {
    divs.set(at, divs.get(at).wrapping_add(divisor));
}
