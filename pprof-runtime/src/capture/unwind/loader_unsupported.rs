//! Platforms whose loader is not asked: no object has unwind sections.

use super::build::Sections;
use crate::modules::Module;

pub(super) fn sections(_module: &Module) -> Option<Sections> {
    None
}
