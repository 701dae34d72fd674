//! Pictures of graphs, without Graphviz.
//!
//! A report says what is in a [`Picture`]; the layout says where; a file for each type of image draws what a [`Drawing`] has. All measure text alike,
//! by the widths that a standard font of PDF has, and squeeze what their own font has wider: what has room in one has room in all.

mod font;
mod pdf;
mod picture;
mod place;
mod png;
mod strokes;
mod svg;

pub use picture::{Arrow, Color, Node, Picture, Shape};
pub use place::{Boxed, Drawing, Drawn, Text};
pub(crate) use svg::escape;

use std::io::{self, Write};

/// A type of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// For browsers.
    Svg,
    /// Of pixels.
    Png,
    /// For paper.
    Pdf,
}

impl Image {
    /// The one whose files have this ending.
    #[must_use]
    pub fn of(ending: &str) -> Option<Image> {
        match ending {
            "svg" => Some(Image::Svg),
            "png" => Some(Image::Png),
            "pdf" => Some(Image::Pdf),
            _ => None,
        }
    }
}

impl Drawing {
    /// Writes it.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, image: Image, out: &mut dyn Write) -> io::Result<()> {
        match image {
            Image::Svg => svg::write(self, out),
            Image::Png => png::write(self, out),
            Image::Pdf => pdf::write(self, out),
        }
    }
}
