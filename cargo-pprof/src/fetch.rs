//! Profiles from where they are.

use std::fs;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::driver::Ui;
use crate::profile::{self, DecodeError, Location, Mapping, Profile, Text};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Profiles that are added up.
    pub profiles: Vec<String>,
    /// The program, instead of what profiles say.
    pub program: Option<String>,
    /// Its build id, where profiles say none.
    pub build_id: String,
    /// Profiles that are taken away from these.
    pub base: Vec<String>,
    /// Whether shares are of the base.
    pub is_diff: bool,
    /// Whether the base's totals are those of both.
    pub normalize: bool,
}

/// Reads all that is asked for as one profile. What cannot be read is told, and left out as long as something is left.
///
/// # Errors
/// Nothing could be read, or what was read does not go together.
pub fn fetch(sources: &Sources, ui: &mut Ui<'_>) -> Result<Profile, String> {
    let mut profile = grab(&sources.profiles, "source", sources, ui)?;
    if sources.base.is_empty() {
        return Ok(profile);
    }
    let mut base = grab(&sources.base, "base", sources, ui)?;
    if sources.is_diff {
        mark_as_base(&mut base);
    }
    if sources.normalize {
        profile::normalize(&mut profile, &base)?;
    }
    let ratios = vec![-1.0; base.sample_types.len()];
    profile::scale(&mut base, &ratios);
    combine(vec![profile, base])
}

fn grab(
    names: &[String],
    what: &str,
    sources: &Sources,
    ui: &mut Ui<'_>,
) -> Result<Profile, String> {
    let mut profiles = Vec::with_capacity(names.len());
    for name in names {
        match read(name) {
            Ok(mut profile) => {
                complete(&mut profile, sources);
                profiles.push(profile);
            }
            Err(error) => ui.say(&format!("{name}: {error}")),
        }
    }
    if profiles.is_empty() {
        return Err(format!("failed to fetch any {what} profiles"));
    }
    if profiles.len() < names.len() {
        let (got, wanted) = (profiles.len(), names.len());
        ui.say(&format!("Fetched {got} {what} profiles out of {wanted}"));
    }
    combine(profiles).map_err(|error| format!("problem fetching {what} profiles: {error}"))
}

fn combine(mut profiles: Vec<Profile>) -> Result<Profile, String> {
    profile::make_compatible(&mut profiles)?;
    match <[Profile; 1]>::try_from(profiles) {
        Ok([profile]) => Ok(profile),
        Err(profiles) => profile::merge(&profiles),
    }
}

fn mark_as_base(profile: &mut Profile) {
    let [key, value] = ["pprof::base", "true"].map(|text| profile.texts.intern(text));
    profile.samples.set_label(key, value);
}

/// Reads a file.
fn read(name: &str) -> Result<Profile, String> {
    let bytes = match fs::read(name) {
        Ok(bytes) => bytes,
        Err(error) if name.contains("://") => {
            return Err(format!("{error}; profiles are read from files"));
        }
        Err(error) => return Err(error.to_string()),
    };
    decode(bytes)
}

/// Makes a profile of what a file holds, compressed or not.
///
/// # Errors
/// It is none.
pub fn decode(mut bytes: Vec<u8>) -> Result<Profile, String> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let read = MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain);
        read.map_err(|error| format!("decompressing profile: {error}"))?;
        bytes = plain;
    }
    match Profile::decode(&bytes) {
        Err(DecodeError::Malformed(why)) => match profile::parse_legacy(&bytes) {
            Ok(Some(profile)) => Ok(profile),
            Ok(None) => Err(format!("parsing profile: unrecognized profile format ({why})")),
            Err(error) => Err(format!("parsing profile: {error}")),
        },
        Err(error) => Err(format!("parsing profile: {error}")),
        Ok(profile) => Ok(profile),
    }
}

/// Gives a profile a mapping if it has none, and the program that was named.
fn complete(profile: &mut Profile, sources: &Sources) {
    if profile.mappings.is_empty() {
        profile.mappings.push(Mapping { id: 1, ..Mapping::default() });
        let in_it = |location: &mut Location| location.mapping = Some(0);
        profile.locations.iter_mut().for_each(in_it);
    }
    let main = &mut profile.mappings[0];
    if let Some(program) = &sources.program {
        main.file = profile.texts.intern(program);
    }
    if main.build_id == Text::EMPTY {
        main.build_id = profile.texts.intern(&sources.build_id);
    }
}

/// Whether a file is a program, and no profile.
#[must_use]
pub fn is_program(name: &str) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(name).and_then(|mut file| file.read_exact(&mut magic));
    let is_macho = |magic: u32| matches!(magic, 0xfeed_face | 0xfeed_facf | 0xcafe_babe);
    read.is_ok()
        && (magic == *b"\x7fELF"
            || magic.starts_with(b"MZ")
            // An object file of PE for no machine in particular, as the reference takes also a binary CPU profile to be.
            || magic.starts_with(&[0, 0])
            || is_macho(u32::from_be_bytes(magic))
            || is_macho(u32::from_le_bytes(magic)))
}
