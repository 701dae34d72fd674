//! Names from the server that a profile is of.

use std::collections::HashMap;

use url::Url;

use crate::fetch::{Client, Origin};
use crate::profile::{Function, Line, Profile};

/// Asks the servers of a profile's mappings for the names that these have not got.
///
/// # Errors
/// A server does not answer.
pub(super) fn name_locations(
    profile: &mut Profile,
    origins: &[Origin],
    client: &Client,
    force: bool,
) -> Result<(), String> {
    for index in 0..profile.mappings.len() {
        let mapping = &profile.mappings[index];
        if mapping.has_functions && !force {
            continue;
        }
        let (file, build_id) = (profile.text(mapping.file), profile.text(mapping.build_id));
        let is_its = |origin: &&Origin| {
            origin.mapping == file || !build_id.is_empty() && origin.mapping == build_id
        };
        let found = origins.iter().filter(is_its);
        let Some((url, start)) = found.filter_map(|o| Some((symbols_of(&o.url)?, o.start))).next()
        else {
            continue;
        };
        // Merged profiles have the addresses of the first.
        let offset = start.wrapping_sub(mapping.start);
        ask(profile, index as u32, &url, offset, client)?;
        profile.mappings[index].has_functions = true;
    }
    Ok(())
}

/// Where a server answers for symbols, by where it has a profile.
fn symbols_of(profile: &str) -> Option<Url> {
    const GPERFTOOLS: [&str; 5] = [
        "/pprof/heap",
        "/pprof/growth",
        "/pprof/profile",
        "/pprof/pmuprofile",
        "/pprof/contention",
    ];
    let mut url = Url::parse(profile).ok().filter(Url::has_host)?;
    let path = url.path().to_owned();
    let is_known =
        path.contains("/debug/pprof/") || GPERFTOOLS.iter().any(|end| path.ends_with(end));
    let directory = path.trim_end_matches('/').rsplit_once('/').map_or("", |(up, _)| up);
    let name = if is_known { "symbol" } else { "symbolz" };
    url.set_path(&format!("{directory}/{name}"));
    url.set_query(None);
    Some(url)
}

fn ask(
    profile: &mut Profile,
    mapping: u32,
    url: &Url,
    offset: u64,
    client: &Client,
) -> Result<(), String> {
    let addresses: Vec<String> = profile
        .locations
        .iter()
        .filter(|l| l.mapping.get() == Some(mapping) && l.address != 0 && l.lines.is_empty())
        .map(|location| format!("{:#x}", location.address.wrapping_add(offset)))
        .collect();
    if addresses.is_empty() {
        return Ok(());
    }
    let answer = client.post(url, &addresses.join("+"))?;
    let mut names: HashMap<String, u32> = HashMap::new();
    let mut lines: HashMap<u64, Line> = HashMap::new();
    for line in String::from_utf8_lossy(&answer).lines() {
        let Some((address, name)) = entry(line) else { continue };
        let function = *names.entry(name.to_owned()).or_insert_with(|| {
            profile.function_ids.add_new(profile.functions.len());
            let name = profile.texts.intern(name);
            let function = Function { name, system_name: name, ..Function::default() };
            profile.functions.push(function);
            profile.functions.len() as u32 - 1
        });
        lines.insert(address.wrapping_sub(offset), Line { function, ..Line::default() });
    }
    for location in profile.locations.iter_mut().filter(|l| l.mapping.get() == Some(mapping)) {
        if let Some(line) = lines.get(&location.address) {
            location.lines = (*line).into();
        }
    }
    Ok(())
}

/// `0xADDRESS name`, somewhere in a line.
fn entry(line: &str) -> Option<(u64, &str)> {
    let rest = &line[line.find("0x")? + 2..];
    let digits = rest.find(|c: char| !c.is_ascii_hexdigit())?;
    let address = u64::from_str_radix(&rest[..digits], 16).ok()?;
    let name = rest[digits..].trim_start();
    (name.len() < rest[digits..].len()).then_some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_beside_profiles() {
        let of = |url| symbols_of(url).map(|url| url.to_string());
        assert_eq!(of("http://a/debug/pprof/heap?x=1").unwrap(), "http://a/debug/pprof/symbol");
        assert_eq!(of("http://a/pprof/heap").unwrap(), "http://a/pprof/symbol");
        assert_eq!(of("http://a/heapz").unwrap(), "http://a/symbolz");
        assert_eq!(of("/a/file"), None);
        assert_eq!(entry("0x10\tmain.run"), Some((16, "main.run")));
        assert_eq!(entry("num_symbols: 1"), None);
    }
}
