//! Which samples, and which frames of them, a report is of.

mod names;
mod prune;
mod tag_frames;
mod tags;

pub use names::{Matched, by_name, show_from};
pub use prune::{drop_frames, prune_from};
pub use tag_frames::add_tag_frames;
pub use tags::{TagFilter, Units, by_tag, by_tag_name, units};
