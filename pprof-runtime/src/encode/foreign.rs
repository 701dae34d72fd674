//! Samples of waits seen as system calls, and of unlocks that end them.

use std::collections::HashMap;

use pprof_format::LocationId;

use super::encoder::Encoder;
use super::shape::Shape;
use super::{TRUNCATED, add, primitives};
use crate::aggregate::snapshot::{LabelSet, Labels, PHASE, StackSample, Waiter};

/// Waits seen as system calls: what they were is told by names. Those that differ in nothing that is shown become one sample.
pub(super) struct Foreign<const N: usize> {
    pub(super) samples: HashMap<(Vec<LocationId>, Labels, Option<LabelSet>), [i64; N]>,
    /// Waits on locks that nobody is known to have ended.
    unseen: [i64; N],
}

impl<const N: usize> Foreign<N> {
    pub(super) fn new() -> Foreign<N> {
        Foreign { samples: HashMap::new(), unseen: [0; N] }
    }

    pub(super) fn add(
        &mut self,
        encoder: &mut Encoder<'_>,
        shape: &Shape<N>,
        stack: &StackSample<N>,
        waiter: &Waiter,
    ) {
        let own = encoder.kind(&stack.frames);
        let kind = if shape.locks_alone {
            let waiter = encoder.kind(waiter);
            if stack.frames.is_empty() {
                if primitives::is_lock(waiter) {
                    add(&mut self.unseen, stack.values);
                }
                return;
            }
            // Who unlocks may wake one that waits for something else, and to whom the lock was handed on.
            let is_other = |kind| !primitives::is_lock(kind) && kind != primitives::UNKNOWN;
            if is_other(waiter) || is_other(own) {
                return;
            }
            if own == primitives::UNKNOWN { waiter } else { own }
        } else {
            own
        };
        let mut labels = stack.labels.clone();
        for (key, value) in &mut labels {
            if *key == "kind" && **value == *primitives::UNKNOWN {
                *value = kind.into();
            }
        }
        // Others have no holder.
        let kind = labels.iter().find(|(key, _)| *key == "kind").map(|(_, kind)| &**kind);
        if !kind.is_some_and(primitives::is_lock) {
            labels.retain(|(key, _)| *key != PHASE);
        }
        let mut locations = encoder.foreign_stack(&stack.frames);
        if stack.truncated {
            locations.push(encoder.pseudo(TRUNCATED));
        }
        let key = (locations, labels, stack.set.clone());
        add(self.samples.entry(key).or_insert([0; N]), stack.values);
    }

    pub(super) fn take_unseen(&mut self) -> [i64; N] {
        std::mem::replace(&mut self.unseen, [0; N])
    }
}
