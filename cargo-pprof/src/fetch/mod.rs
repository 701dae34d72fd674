//! Profiles from where they are.

mod http;
mod perf;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use flate2::read::MultiGzDecoder;
use url::Url;

pub use http::Client;

use crate::binary;
use crate::driver::{Error, Ui};
use crate::paths::base;
use crate::profile::{self, DecodeError, Location, Mapping, MappingIndex, Profile, Text};
use crate::save::save_new;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Profiles that are added up.
    pub profiles: Vec<OsString>,
    /// The program, instead of what profiles say.
    pub program: Option<String>,
    /// Its build id, where profiles say none.
    pub build_id: String,
    /// Profiles that are taken away from these.
    pub base: Vec<OsString>,
    /// Whether shares are of the base.
    pub is_diff: bool,
    /// Whether the base's totals are those of both.
    pub normalize: bool,
    /// How servers are asked.
    pub client: Client,
    /// What the name `-` stands for, once it has been read.
    pub input: Vec<u8>,
}

impl Sources {
    /// Reads standard input if one of the profiles is to be there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_input(&mut self, input: &mut dyn Read) -> Result<(), String> {
        if self.profiles.iter().chain(&self.base).any(|name| name == INPUT) {
            let read = input.read_to_end(&mut self.input);
            read.map_err(|error| format!("cannot read standard input: {error}"))?;
        }
        Ok(())
    }
}

/// The name of standard input.
const INPUT: &str = "-";

/// Where a mapping of a profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Build id or else file of the mapping.
    pub mapping: String,
    /// Address of the profile.
    pub url: String,
    /// Where the mapping starts there.
    pub start: u64,
}

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// All as one.
    pub profile: Profile,
    /// Servers that know the addresses of its mappings; empty if all came from files.
    pub origins: Vec<Origin>,
}

/// Profiles that are held at once, and read at the same time.
const CHUNK: usize = 128;

/// Reads all that is asked for as one profile. What cannot be read is told, and left out as long as something is left.
///
/// # Errors
/// Nothing could be read, or what was read does not go together.
pub fn fetch(sources: &Sources, ui: &mut Ui<'_>) -> Result<Fetched, String> {
    let mut fetched = grab(&sources.profiles, "source", sources, ui)?;
    if sources.base.is_empty() {
        return Ok(fetched);
    }
    let mut base = grab(&sources.base, "base", sources, ui)?;
    if sources.is_diff {
        mark_as_base(&mut base.profile);
    }
    if sources.normalize {
        profile::normalize(&mut fetched.profile, &base.profile)?;
    }
    let ratios = vec![-1.0; base.profile.sample_types.len()];
    profile::scale(&mut base.profile, &ratios);
    let profile = combine(vec![fetched.profile, base.profile])?;
    fetched.origins.append(&mut base.origins);
    Ok(Fetched { profile, origins: fetched.origins })
}

fn grab(
    names: &[OsString],
    what: &str,
    sources: &Sources,
    ui: &mut Ui<'_>,
) -> Result<Fetched, String> {
    let failed = |error| format!("problem fetching {what} profiles: {error}");
    let (mut merged, mut origins, mut count) = (None, Vec::new(), 0);
    for names in names.chunks(CHUNK) {
        let mut profiles = Vec::from_iter(merged.take());
        for (name, result) in names.iter().zip(read_all(names, sources, ui)) {
            match result {
                Ok((mut profile, url)) => {
                    binary::locate(&mut profile, &mut |text| ui.say(&text));
                    complete(&mut profile, sources);
                    if let Some(url) = &url {
                        note_origins(&mut profile, url, &mut origins);
                    }
                    profiles.push(profile);
                    count += 1;
                }
                Err(error) => ui.say(&format!("{}: {error}", name.display())),
            }
        }
        if !profiles.is_empty() {
            merged = Some(combine(profiles).map_err(failed)?);
        }
    }
    let Some(profile) = merged else {
        return Err(format!("failed to fetch any {what} profiles"));
    };
    if count < names.len() {
        ui.say(&format!("Fetched {count} {what} profiles out of {}", names.len()));
    }
    Ok(Fetched { profile, origins })
}

/// A profile, and its address if it has one.
type Found = Result<(Profile, Option<Url>), String>;

/// Reads profiles at the same time; what is to be told meanwhile is told at once.
fn read_all(names: &[OsString], sources: &Sources, ui: &mut Ui<'_>) -> Vec<Found> {
    if let [name] = names {
        // Not by another thread: allocators do not give others all that it frees.
        return vec![read_profile(name, sources, &mut |message| ui.say(&message))];
    }
    let (sender, messages) = mpsc::channel();
    thread::scope(|scope| {
        let readers: Vec<_> = names
            .iter()
            .map(|name| {
                let sender = sender.clone();
                // Nobody hears of it if the other side has gone.
                let mut say = move |message| drop(sender.send(message));
                scope.spawn(move || read_profile(name, sources, &mut say))
            })
            .collect();
        drop(sender);
        messages.into_iter().for_each(|message: String| ui.say(&message));
        let gone = || Err("reading it failed".to_owned());
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| gone())).collect()
    })
}

fn read_profile(name: &OsStr, sources: &Sources, say: &mut dyn FnMut(String)) -> Found {
    let compressed = if name == INPUT { None } else { open_compressed(name) };
    let Some((file, len)) = compressed else {
        let (bytes, url) = read_bytes(name, sources, say)?;
        return Ok((decode(bytes)?, url));
    };
    // Not even what is compressed is in memory then.
    if let Some(profile) = decode_inflated(file, len) {
        return Ok((profile?, None));
    }
    let (bytes, url) = read_bytes(name, sources, say)?;
    Ok((decode_whole(bytes)?, url))
}

/// Notes where the mappings of a profile come from. Those of neither name nor build id are named after that, as nothing else tells them.
fn note_origins(profile: &mut Profile, url: &Url, origins: &mut Vec<Origin>) {
    for index in 0..profile.mappings.len() {
        let Mapping { file, build_id, start, .. } = profile.mappings[index];
        let mut name = if build_id.is_empty() { file } else { build_id };
        if name.is_empty() {
            name = profile.texts.intern(url.as_str());
            profile.mappings[index].file = name;
        }
        let mapping = profile.text(name).to_owned();
        origins.push(Origin { mapping, url: url.to_string(), start });
    }
}

/// Takes away the names that [`fetch`] gave to mappings that have none.
pub fn forget_origins(profile: &mut Profile) {
    for mapping in &mut profile.mappings {
        let is_url = || Url::parse(profile.texts.get(mapping.file)).is_ok();
        if mapping.build_id.is_empty() && is_url() {
            mapping.file = Text::EMPTY;
        }
    }
}

/// Keeps what came from a server: in `PPROF_TMPDIR`, in `pprof` in the home directory, or else where temporary files are. What keeps that from being
/// done is told.
pub fn save_copy(profile: &Profile, ui: &mut Ui<'_>) {
    match write_copy(profile) {
        Ok(path) => ui.say(&format!("Saved profile in {}", path.display())),
        Err(Error::Message(error)) => ui.say(&format!("Could not save profile: {error}")),
        // Nobody reads a file that nobody has asked for.
        Err(Error::Closed) => {}
    }
}

fn write_copy(profile: &Profile) -> Result<PathBuf, Error> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = given("HOME").map(|home| Path::new(&home).join("pprof"));
    let places = given("PPROF_TMPDIR").map(PathBuf::from).into_iter().chain(home);
    let mut places = places.chain([std::env::temp_dir()]);
    let place = places.find(|place| fs::create_dir_all(place).is_ok());
    let place = place.unwrap_or_else(std::env::temp_dir);
    let mut prefix = "pprof.".to_owned();
    let main = profile.mappings.first().map_or("", |main| profile.text(main.file));
    if !main.is_empty() {
        prefix += &format!("{}.", base(main));
    }
    for value_type in &profile.sample_types {
        prefix += &format!("{}.", profile.text(value_type.ty));
    }
    // Types are words of whoever wrote the profile: no paths.
    let prefix = prefix.replace('/', "_");
    let names = (1..10_000).map(|number| place.join(format!("{prefix}{number:03}.pb.gz")));
    save_new(names, |file| Ok(profile.write(file)?))
}

fn combine(mut profiles: Vec<Profile>) -> Result<Profile, String> {
    profile::make_compatible(&mut profiles)?;
    match <[Profile; 1]>::try_from(profiles) {
        Ok([profile]) => Ok(profile),
        Err(profiles) => profile::merge(profiles),
    }
}

fn mark_as_base(profile: &mut Profile) {
    let [key, value] = ["pprof::base", "true"].map(|text| profile.texts.intern(text));
    profile.samples.set_label(key, value);
}

/// What a source holds, as it is.
///
/// # Errors
/// It cannot be read.
pub fn read(name: &OsStr, sources: &Sources, ui: &mut Ui<'_>) -> Result<Vec<u8>, String> {
    let found = read_bytes(name, sources, &mut |message| ui.say(&message));
    found.map(|(bytes, _)| bytes)
}

/// Reads what there is a file of, or else an address, which it gives then.
fn read_bytes(
    name: &OsStr,
    sources: &Sources,
    say: &mut dyn FnMut(String),
) -> Result<(Vec<u8>, Option<Url>), String> {
    if name == INPUT {
        return Ok((sources.input.clone(), None));
    }
    let missing = match fs::read(name) {
        Ok(bytes) if perf::is_data(&bytes) => return Ok((perf::script(name)?, None)),
        Ok(bytes) => return Ok((bytes, None)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error.to_string());
        }
        Err(error) => error,
    };
    let client = &sources.client;
    let address = name.to_str().and_then(|name| client.address(name));
    let Some(address) = address else { return Err(missing.to_string()) };
    say(format!("Fetching profile over HTTP from {}", address.url));
    if let Some(seconds) = address.seconds {
        say(format!("Please wait... ({seconds}s)"));
    }
    Ok((client.get(&address)?, Some(address.url)))
}

/// What each file begins with that is compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A compressed file, and how long it is.
fn open_compressed(name: &OsStr) -> Option<(fs::File, u64)> {
    // What is no file can be opened but once.
    let metadata = fs::metadata(name).ok().filter(fs::Metadata::is_file)?;
    let mut file = fs::File::open(name).ok()?;
    let mut start = [0; GZIP.len()];
    let is_compressed = file.read_exact(&mut start).is_ok() && start == GZIP;
    // For whoever reads on from where another has opened it, as through /dev/fd.
    file.rewind().ok()?;
    is_compressed.then_some((file, metadata.len()))
}

/// The profile in so many compressed bytes, without all of them in memory, as they may be many. Nothing if there is none: why, or of what else, is
/// found when they are read as a whole.
fn decode_inflated(source: impl Read, len: u64) -> Option<Result<Profile, String>> {
    match Profile::decode_from(inflated(source, most_inflated(len))) {
        Ok(profile) => Some(Ok(profile)),
        Err(error @ DecodeError::Invalid(_)) => Some(Err(format!("parsing profile: {error}"))),
        Err(_) => None,
    }
}

/// Makes a profile of what a file holds, compressed or not.
///
/// # Errors
/// It is none.
pub fn decode(bytes: Vec<u8>) -> Result<Profile, String> {
    if bytes.starts_with(&GZIP)
        && let Some(profile) = decode_inflated(bytes.as_slice(), bytes.len() as u64)
    {
        return profile;
    }
    decode_whole(bytes)
}

fn decode_whole(mut bytes: Vec<u8>) -> Result<Profile, String> {
    if bytes.starts_with(&GZIP) {
        bytes = decompress(&bytes).map_err(|error| format!("decompressing profile: {error}"))?;
    }
    match Profile::decode(&bytes) {
        Err(DecodeError::Malformed(why)) => {
            let failed = |error| format!("parsing profile: {error}");
            if let Some(profile) = profile::parse_legacy(&bytes).map_err(failed)? {
                return Ok(profile);
            }
            let foreign = profile::parse_foreign(&bytes).map_err(failed)?;
            foreign.ok_or_else(|| {
                failed(format!("unrecognized profile format (as profile.proto: {why}); {FORMATS}"))
            })
        }
        Err(error) => Err(format!("parsing profile: {error}")),
        Ok(profile) => Ok(profile),
    }
}

const FORMATS: &str = "other formats that are read are folded stacks, perf.data and perf script, jemalloc's, DHAT's, and those of gperftools";

/// Bytes of a profile without compression: twenty times what a million stacks take.
const LARGEST: u64 = 4 << 30;

/// A profile may be so many times its size without compression, and a bit: most are three to twenty times.
const MOST_INFLATED: u64 = 100;
const FREE_BYTES: u64 = 64 << 20;

fn most_inflated(len: u64) -> u64 {
    len.saturating_mul(MOST_INFLATED).saturating_add(FREE_BYTES).min(LARGEST)
}

pub(crate) fn decompress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    decompress_within(bytes, most_inflated(bytes.len() as u64))
}

fn decompress_within(bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    inflated(bytes, limit).read_to_end(&mut plain)?;
    Ok(plain)
}

fn inflated(source: impl Read, limit: u64) -> impl Read {
    Bounded { source: MultiGzDecoder::new(source), limit, left: limit }
}

/// What cannot be read if there is more of it than its limit.
struct Bounded<R> {
    source: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            let limit = self.limit;
            let message = format!(
                "it has more than {limit} bytes, as no profile of its size should; if it is to be trusted, decompress it first, with gzip -dc"
            );
            return Err(io::Error::other(message));
        };
        self.left = left;
        Ok(read)
    }
}

/// Gives a profile a mapping if it has none, and the program that was named.
fn complete(profile: &mut Profile, sources: &Sources) {
    if profile.mappings.is_empty() {
        profile.mappings.push(Mapping { id: 1, ..Mapping::default() });
        let in_it = |location: &mut Location| location.mapping = MappingIndex::at(0);
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
pub fn is_program(name: impl AsRef<Path>) -> bool {
    let name = name.as_ref();
    // What is no file can be read but once.
    if !fs::metadata(name).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_is_decompressed_has_a_bound() {
        let mut file = GzEncoder::new(Vec::new(), Compression::fast());
        file.write_all(&[0; 10_000]).expect("memory");
        let file = file.finish().expect("memory");
        assert_eq!(decompress_within(&file, 10_000).expect("it is in bounds").len(), 10_000);
        assert!(decompress_within(&file, 9_999).is_err());
    }
}
