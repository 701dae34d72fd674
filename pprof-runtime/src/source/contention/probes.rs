//! Where tables with open addressing look.

/// Where to begin, for a table of at most 2^24: Fibonacci hashing, as the upper bits of the product depend on all of the key.
pub(super) fn spread(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// So `many` indices, from `start` on, into a table of `len`.
pub(super) fn probes(start: usize, many: usize, len: usize) -> impl Iterator<Item = usize> {
    (0..many).map(move |i| start.wrapping_add(i) % len)
}
