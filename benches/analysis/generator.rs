//! Profiles of any size, the same each time: 20 000 functions, 40 000 locations, and calls as programs have them, where some are made often and most
//! seldom. Nearly all stacks differ.

use std::fs::File;
use std::io::{self, BufWriter};
use std::ops::Range;
use std::path::Path;

use cargo_pprof::profile::{
    Function, Label, Line, Location, Mapping, MappingIndex, Profile, Samples, Value, ValueType,
};

const FUNCTIONS: u32 = 20_000;
const LOCATIONS: u32 = 40_000;
/// Locations that each calls.
const CALLEES: u64 = 6;

/// How large a profile is.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) samples: usize,
    pub(crate) depth: Range<u64>,
}

/// A sequence without end.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Below a bound, the small ones most often: by the cube.
    fn skewed(&mut self, bound: u64) -> u64 {
        let part = self.below(1 << 20) as f64 / (1 << 20) as f64;
        (part * part * part * bound as f64) as u64
    }
}

impl Shape {
    /// Writes a profile of that size; others for other seeds, of the same program.
    pub(crate) fn write(&self, seed: u64, path: &Path) -> io::Result<()> {
        let mut profile = program();
        let key = profile.texts.intern("request");
        let values: Vec<_> =
            (0..100).map(|n| profile.texts.intern(&format!("handler-{n}"))).collect();
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut stack = Vec::new();
        for index in 0..self.samples {
            stack.clear();
            let depth = self.depth.start + numbers.below(self.depth.end - self.depth.start);
            let mut at = 0u64;
            for _ in 0..depth {
                stack.push(at as u32);
                let callee = numbers.skewed(CALLEES);
                at = (at.wrapping_mul(CALLEES) + callee + 1).wrapping_mul(2_654_435_761)
                    % u64::from(LOCATIONS);
            }
            let value = values[numbers.below(values.len() as u64) as usize];
            let label = Label { key, value: Value::Text(value) };
            let labels = (index % 4 == 0).then_some(label);
            let ticks = 1 + numbers.skewed(20) as i64;
            profile.samples.push(stack.iter().rev().copied(), &[ticks, ticks * 10_000_000], labels);
        }
        profile.write(BufWriter::new(File::create(path)?))
    }
}

/// A program and no samples of it.
fn program() -> Profile {
    let mut profile = Profile::default();
    let mut value_type = |ty: &str, unit: &str| ValueType {
        ty: profile.texts.intern(ty),
        unit: profile.texts.intern(unit),
    };
    let types = vec![value_type("samples", "count"), value_type("cpu", "nanoseconds")];
    profile.period_type = types[1];
    profile.sample_types = types;
    profile.period = 10_000_000;
    profile.time_nanos = 1_700_000_000_000_000_000;
    profile.duration_nanos = 60_000_000_000;
    profile.samples = Samples::new(2);
    profile.mappings.push(Mapping {
        id: 1,
        start: 0x40_0000,
        limit: 0x400_0000,
        file: profile.texts.intern("/opt/app/bin/server"),
        has_functions: true,
        ..Mapping::default()
    });
    for index in 0..FUNCTIONS {
        let name = format!("app::module{}::f{index:05}", index % 200);
        let name = profile.texts.intern(&name);
        let filename = profile.texts.intern(&format!("/src/app/module{}.rs", index % 200));
        profile.functions.push(Function { name, system_name: name, filename, start_line: 10 });
    }
    for index in 0..LOCATIONS {
        let line = Line { function: index / 2, line: 11 + i64::from(index % 2), column: 0 };
        profile.locations.push(Location {
            mapping: MappingIndex::at(0),
            address: 0x40_0000 + 16 * u64::from(index),
            lines: line.into(),
            ..Location::default()
        });
    }
    profile
}
