//! What each path answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::index;
use super::request::Request;
use super::response::Response;
use crate::config::DEFAULT_CPU_RATE_HZ;
use crate::cpu;
use crate::deadlock::{self, Stacks};
use crate::error::{Error, ErrorKind};
use crate::heap;
use crate::profile::{Profile, Source, lookup};
use crate::source::heap::unobserved;
use crate::symbol::Symbols;

const PREFIX: &str = "/debug/pprof/";

/// Default length of a CPU profile, in seconds; Go's.
const DEFAULT_SECONDS: u64 = 30;

/// Addresses to one request for symbols: more than the largest profile has.
const MAX_ADDRESSES: usize = 65_536;

type Cancelled<'a> = &'a dyn Fn() -> bool;

/// The answer to a request; `None` if the client has gone meanwhile.
pub(super) fn answer(
    request: &Request,
    hosts: &[String],
    cancelled: Cancelled<'_>,
) -> Option<Response> {
    if !request.is_for(hosts) {
        let host = request.host.as_deref().unwrap_or("");
        return Some(Response::error(
            403,
            format!(
                "host {host:?} is not known here: use the IP address or localhost, or allow the name with \
                 ServerBuilder::allow_host"
            ),
        ));
    }
    // A fault of ours must not end the program that is being profiled.
    // What is allocated for the answer is not the program's.
    let answer = || unobserved(|| route(request, cancelled));
    let result = catch_unwind(AssertUnwindSafe(answer));
    match result.unwrap_or_else(|_| Err(Response::error(500, "the profiler failed; this is a bug")))
    {
        Ok(response) => response,
        Err(response) => Some(response),
    }
}

type Answer = Result<Option<Response>, Response>;

fn route(request: &Request, cancelled: Cancelled<'_>) -> Answer {
    let name = match request.path.as_str() {
        "/" | "/debug/pprof" => return Ok(Some(Response::redirect(PREFIX))),
        path => path.strip_prefix(PREFIX).ok_or_else(|| {
            Response::error(404, format!("not found: profiles are under {PREFIX}"))
        })?,
    };
    let allowed: &[&str] =
        if name == "symbol" { &["GET", "HEAD", "POST"] } else { &["GET", "HEAD"] };
    if !allowed.contains(&request.method.as_str()) {
        let response = Response::error(405, "Method Not Allowed");
        return Err(response.header("Allow", &allowed.join(", ")));
    }
    match name {
        "" => Ok(Some(Response::page(index::page()))),
        "cmdline" => Ok(Some(Response::text(cmdline()))),
        "symbol" => symbol(request),
        "deadlocks" => deadlocks(request),
        "profile" => cpu_profile(request, cancelled),
        name => match lookup(name) {
            Some(source) => snapshot(request, source, cancelled),
            None => Err(Response::error(404, "Unknown profile")),
        },
    }
}

fn cmdline() -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    std::env::args_os().map(|a| a.as_bytes().to_vec()).collect::<Vec<_>>().join(&0)
}

/// Names for addresses given as `0x1234+0x5678`, in the query or in the body.
fn symbol(request: &Request) -> Answer {
    let body = String::from_utf8_lossy(&request.body);
    let list = if request.method == "POST" { &*body } else { &request.query };
    let parse = |word: &str| match word.trim().strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.trim().parse().ok(),
    };
    let addresses: Vec<u64> = list.split('+').filter_map(parse).filter(|a| *a != 0).collect();
    if addresses.len() > MAX_ADDRESSES {
        let text = format!("Content Too Large: at most {MAX_ADDRESSES} addresses");
        return Err(Response::error(413, text));
    }
    let symbols = Symbols::of(addresses.iter().copied());
    let mut text = String::from("num_symbols: 1\n");
    for address in addresses {
        if let Some(function) = symbols.get(address).and_then(|r| r.frames.last()) {
            text.push_str(&format!("{address:#x} {}\n", function.name));
        }
    }
    Ok(Some(Response::text(text)))
}

fn cpu_profile(request: &Request, cancelled: Cancelled<'_>) -> Answer {
    let seconds = seconds(request)?.unwrap_or(DEFAULT_SECONDS);
    let debug = debug(request)?;
    let mut rate_hz = DEFAULT_CPU_RATE_HZ;
    // TiKV, Databend and others have called it `frequency`.
    for name in ["hz", "rate", "frequency"] {
        if let Some(value) = request.parameter(name) {
            rate_hz = value.parse().map_err(|_| {
                Response::error(
                    400,
                    format!("invalid value for \"{name}\" - must be a positive integer"),
                )
            })?;
        }
    }
    if request.method == "HEAD" {
        return Ok(Some(Response::file("profile", Vec::new())));
    }
    let builder = cpu::Builder::new().rate_hz(rate_hz);
    match builder.collect(Duration::from_secs(seconds), cancelled) {
        Ok(profile) => encoded(&profile, "profile", debug),
        Err(e) => failed(&e, "Could not enable CPU profiling: "),
    }
}

/// Text in any case: there is no other form of it.
fn deadlocks(request: &Request) -> Answer {
    let debug = debug(request)?;
    if request.parameter("seconds").is_some() {
        return Err(Response::error(400, "the seconds param does not apply to deadlocks"));
    }
    if request.method == "HEAD" {
        return Ok(Some(Response::text("")));
    }
    let stacks = if debug >= 2 { Stacks::All } else { Stacks::None };
    Ok(Some(Response::text(deadlock::wait_graph(stacks).to_string())))
}

fn snapshot(request: &Request, source: Source, cancelled: Cancelled<'_>) -> Answer {
    let (seconds, debug) = (seconds(request)?, debug(request)?);
    if seconds.is_some() && debug != 0 {
        return Err(Response::error(400, "seconds and debug params are incompatible"));
    }
    let name = match seconds {
        Some(_) => format!("{}-delta", source.name()),
        None => source.name().to_owned(),
    };
    if request.method == "HEAD" {
        return Ok(Some(Response::file(&name, Vec::new())));
    }
    let view = View::of(request, source)?;
    if seconds.is_some() && view.is_some() {
        let text = "the seconds param is incompatible with age, older, peak and lifetimes params";
        return Err(Response::error(400, text));
    }
    if gc(request, source)? && seconds.is_none() {
        heap::purge();
    }
    let profile = match (seconds, view) {
        (Some(seconds), _) => source.delta(Duration::from_secs(seconds), cancelled),
        (None, Some(view)) => view.profile(),
        (None, None) => source.snapshot(),
    };
    match profile {
        Ok(profile) => encoded(&profile, &name, debug),
        Err(e) => failed(&e, ""),
    }
}

/// Other profiles that the heap's samples make.
enum View {
    /// By age, of what is as old at least.
    Age(Duration),
    Peak,
    Lifetimes,
}

impl View {
    /// The one that is asked for; the first of several.
    fn of(request: &Request, source: Source) -> Result<Option<View>, Response> {
        if source.name() != "heap" {
            let others = ["age", "older", "peak", "lifetimes"];
            return match others.iter().find(|name| request.parameter(name).is_some()) {
                Some(name) => {
                    Err(Response::error(400, format!("{name} is a parameter of heap alone")))
                }
                None => Ok(None),
            };
        }
        if let Some(older) = request.parameter("older") {
            let invalid = "invalid value for \"older\" - must be a number of seconds";
            let seconds = older.parse().map_err(|_| Response::error(400, invalid))?;
            return Ok(Some(View::Age(Duration::from_secs(seconds))));
        }
        let views = [
            ("age", View::Age(Duration::ZERO)),
            ("peak", View::Peak),
            ("lifetimes", View::Lifetimes),
        ];
        for (name, view) in views {
            if integer(request, name)? > 0 {
                return Ok(Some(view));
            }
        }
        Ok(None)
    }

    fn profile(self) -> Result<Profile, Error> {
        match self {
            View::Age(older_than) => heap::by_age(older_than),
            View::Peak => heap::peak(),
            View::Lifetimes => heap::lifetimes(),
        }
    }
}

fn gc(request: &Request, source: Source) -> Result<bool, Response> {
    Ok(source.name() == "heap" && integer(request, "gc")? > 0)
}

fn encoded(profile: &Profile, file: &str, debug: i64) -> Answer {
    let mut body = Vec::new();
    let written =
        if debug > 0 { profile.write_text(&mut body) } else { profile.write_to(&mut body) };
    match written {
        Ok(()) if debug > 0 => Ok(Some(Response::text(body))),
        Ok(()) => Ok(Some(Response::file(file, body))),
        Err(e) => failed(&e, ""),
    }
}

fn failed(error: &Error, context: &str) -> Answer {
    match error.kind() {
        ErrorKind::Cancelled => Ok(None),
        ErrorKind::InvalidInput => Err(Response::error(400, error.to_string())),
        _ => Err(Response::error(500, format!("{context}{error}"))),
    }
}

fn seconds(request: &Request) -> Result<Option<u64>, Response> {
    let invalid = "invalid value for \"seconds\" - must be a positive integer";
    match request.parameter("seconds").map(|text| text.parse::<u64>()) {
        None => Ok(None),
        Some(Ok(seconds)) if seconds > 0 => Ok(Some(seconds)),
        Some(_) => Err(Response::error(400, invalid)),
    }
}

fn debug(request: &Request) -> Result<i64, Response> {
    integer(request, "debug")
}

/// Zero if it is not there.
fn integer(request: &Request, name: &str) -> Result<i64, Response> {
    let invalid = || format!("invalid value for \"{name}\" - must be an integer");
    let parse = |text: String| text.parse().map_err(|_| Response::error(400, invalid()));
    request.parameter(name).map_or(Ok(0), parse)
}
