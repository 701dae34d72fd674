//! What a sample stands for.

/// Bits after the point of numbers of objects, and of bytes: a stack that allocates 100 million times a second and 6 GB a second fills the rest
/// in three years.
const OBJECT_BITS: u32 = 10;
pub(super) const BYTE_BITS: u32 = 4;

/// How many allocations of its size a sample stands for, and how many bytes they have together; what it adds when it is made it takes away again
/// when it is freed, to the last bit, so rates may change in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

impl Weight {
    /// Of an allocation of so many bytes, where one byte of `rate` is looked at.
    pub(super) fn of(size: usize, rate: u64) -> Weight {
        let (size, rate) = (size as f64, rate as f64);
        // The chance that it was looked at. Exact for small arguments too.
        let chance = if rate <= 1.0 { 1.0 } else { -(-size / rate).exp_m1() };
        let scaled =
            |value: f64, bits: u32| (value / chance * f64::from(1_u32 << bits)).round() as i64;
        Weight { objects: scaled(1.0, OBJECT_BITS), bytes: scaled(size, BYTE_BITS) }
    }
}

/// What is in use, of what was made and what was freed. Those are added and read one after the other: for a moment there may be more freed than
/// made.
pub(super) fn in_use(made: i64, freed: i64) -> i64 {
    made.wrapping_sub(freed).max(0)
}

/// Whole objects and bytes of sums of weights. Cut, as Go's.
pub(super) fn whole(objects: i64, bytes: i64) -> [i64; 2] {
    [objects >> OBJECT_BITS, bytes >> BYTE_BITS]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of Go's own tests.
    #[test]
    fn sums_are_gos() {
        let of = |count: i64, size, rate| {
            let weight = Weight::of(size, rate);
            whole(count * weight.objects, count * weight.bytes)
        };
        assert_eq!(of(4, 1024, 512 * 1024), [2050, 2_099_200]);
        assert_eq!(of(3, 1024, 512 * 1024), [1537, 1_574_400]);
        assert_eq!(of(1, 512 * 1024, 512 * 1024), [1, 829_411]);
        assert_eq!(of(7, 24, 1), [7, 168]);
        assert_eq!(of(1, 1 << 40, 512 * 1024), [1, 1 << 40]);
    }

    #[test]
    fn the_least_likely_ones_have_room() {
        let weight = Weight::of(1, super::super::MAX_RATE);
        // 1 / (1 - e^-x) is 1 / x and a half.
        assert_eq!(whole(1000 * weight.objects, 1000 * weight.bytes), [(1000 << 40) + 500; 2]);
    }
}
