//! Names for addresses, and names as people read them.

mod local;
mod remote;

use std::borrow::Cow;

use crate::binary::Detail;
use crate::demangle::{Style, demangle};
use crate::fetch::{Client, Origin};
use crate::profile::{Profile, Text};

/// How names are looked up.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Nothing is done.
    pub is_none: bool,
    /// Binaries on this machine are read.
    pub local: Option<Detail>,
    /// Servers are asked.
    pub is_remote: bool,
    /// Also those that are known.
    pub force: bool,
    /// How they are shown.
    pub style: Style,
}

impl Mode {
    /// Options with colons between them, and those of them that are none.
    #[must_use]
    pub fn new(text: &str) -> (Mode, Vec<String>) {
        let local = Some(Detail::Lines);
        let (is_none, style) = (false, Style::Short);
        let mut mode = Mode { is_none, local, is_remote: true, force: false, style };
        let mut unknown = Vec::new();
        for option in text.to_lowercase().split(':') {
            match option {
                "no" | "none" => {
                    mode.is_none = true;
                    break;
                }
                "" | "demangle=default" => {}
                "local" => (mode.local, mode.is_remote) = (local, false),
                "fastlocal" => (mode.local, mode.is_remote) = (Some(Detail::Names), false),
                "remote" => (mode.local, mode.is_remote) = (None, true),
                "force" => mode.force = true,
                "demangle=full" => (mode.style, mode.force) = (Style::Full, true),
                "demangle=templates" => (mode.style, mode.force) = (Style::Templates, true),
                "demangle=none" => (mode.style, mode.force) = (Style::Mangled, true),
                _ => unknown.push(option.to_owned()),
            }
        }
        (mode, unknown)
    }
}

/// Gives names to what has none, and makes all of them those that people read, where that is not done yet. What is not found is told.
///
/// # Errors
/// A server that is asked does not answer.
pub fn symbolize(
    profile: &mut Profile,
    mode: Mode,
    origins: &[Origin],
    client: &Client,
    say: &mut dyn FnMut(String),
) -> Result<(), String> {
    if mode.is_none {
        return Ok(());
    }
    if let Some(detail) = mode.local {
        local::name_locations(profile, detail, mode.force, say);
    }
    if mode.is_remote {
        remote::name_locations(profile, origins, client, mode.force)?;
    }
    name_functions(profile, mode);
    Ok(())
}

fn name_functions(profile: &mut Profile, mode: Mode) {
    for function in &mut profile.functions {
        if mode.force && !function.name.is_empty() && !function.system_name.is_empty() {
            function.name = function.system_name;
        }
        let is_mangled = function.name == Text::EMPTY || function.name == function.system_name;
        if mode.style != Style::Mangled && is_mangled {
            let mangled = profile.texts.get(function.system_name);
            function.name = match demangle(mangled, mode.style) {
                Cow::Borrowed(_) => function.system_name,
                Cow::Owned(name) => profile.texts.intern(&name),
            };
        }
    }
}
