//! The `profile.proto` data model: build, encode, decode and validate profiles that `go tool pprof` reads.
//!
//! [`Profile`] mirrors the message field by field: texts are indices into one string table, and samples, locations,
//! functions and mappings refer to each other by id. [`Builder`] makes one without the reader having to care about
//! either; [`Profile::decode`] reads one from anywhere and vouches that every reference in it holds.
//!
//! ```
//! use pprof_format::{Builder, NewFunction, NewLine, Profile};
//!
//! let mut builder = Builder::new();
//! builder.sample_type("samples", "count");
//! let work = builder.function(&NewFunction { name: "app::work", filename: "app.rs", ..Default::default() });
//! let here = builder.location(None, 0x1234, &[NewLine { function: work, line: 7, column: 0 }]);
//! builder.sample(&[here], &[3], &[]);
//! let profile = builder.build()?;
//!
//! let mut file = Vec::new();
//! profile.write_to(&mut file)?;
//! assert_eq!(Profile::decode(&file)?, profile);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod builder;
mod error;
mod gzip;
mod model;
mod validate;
mod wire;

pub use builder::{
    Builder, FunctionId, LabelValue, LocationId, MappingId, NewFunction, NewLabel, NewLine,
    NewMapping,
};
pub use error::{Error, ErrorKind};
pub use gzip::Limits;
pub use model::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
