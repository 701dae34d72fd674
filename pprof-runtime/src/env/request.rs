//! What the variables say.

use std::env;

use super::files::Files;
use crate::config::{DEFAULT_CPU_RATE_HZ, DEFAULT_MEM_PROFILE_RATE, MAX_CPU_RATE_HZ};
use crate::error::{Error, ErrorKind};

/// What is to be started.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Each at most once, with its rate; those without one have 1.
    pub(super) instruments: Vec<(Instrument, i64)>,
    /// `None` if none are wanted, or none can be written.
    pub(super) files: Option<Files>,
    pub(super) address: Option<String>,
}

/// What `PPROF` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instrument {
    Cpu,
    Mutex,
    Block,
    Hold,
    Functions,
    Heap,
    Allocs,
    Leaks,
    Futex,
}

/// How it is written.
struct Entry {
    instrument: Instrument,
    name: &'static str,
    rate: Option<Rate>,
}

struct Rate {
    default: i64,
    max: i64,
    /// In a message: what the number means.
    meaning: &'static str,
}

const fn rate(default: i64, max: i64, meaning: &'static str) -> Option<Rate> {
    Some(Rate { default, max, meaning })
}

const MEM_RATE: Option<Rate> =
    rate(DEFAULT_MEM_PROFILE_RATE as i64, i64::MAX, "bytes allocated for each recorded allocation");

/// Of mutexes a tenth is the default, since each that is recorded delays whoever unlocks; of waits, all that last, as they delay nobody.
static ENTRIES: [Entry; 9] = [
    Entry {
        instrument: Instrument::Cpu,
        name: "cpu",
        rate: rate(
            DEFAULT_CPU_RATE_HZ as i64,
            MAX_CPU_RATE_HZ as i64,
            "samples per second of CPU time",
        ),
    },
    Entry {
        instrument: Instrument::Mutex,
        name: "mutex",
        rate: rate(10, i64::MAX, "contended unlocks for each recorded one"),
    },
    Entry {
        instrument: Instrument::Block,
        name: "block",
        rate: rate(10_000, i64::MAX, "nanoseconds, above which every wait is recorded"),
    },
    Entry {
        instrument: Instrument::Hold,
        name: "hold",
        rate: rate(10_000, i64::MAX, "nanoseconds, above which every hold is recorded"),
    },
    Entry { instrument: Instrument::Functions, name: "functions", rate: None },
    Entry { instrument: Instrument::Heap, name: "heap", rate: MEM_RATE },
    Entry { instrument: Instrument::Allocs, name: "allocs", rate: MEM_RATE },
    Entry { instrument: Instrument::Leaks, name: "leaks", rate: MEM_RATE },
    Entry { instrument: Instrument::Futex, name: "futex", rate: None },
];

impl Instrument {
    /// What is written; `None` if nothing is.
    pub(super) fn profile(self) -> Option<&'static str> {
        if self == Instrument::Futex {
            return None;
        }
        ENTRIES.iter().find(|entry| entry.instrument == self).map(|entry| entry.name)
    }
}

impl Request {
    /// What the process's environment asks for; `None` if that is nothing. What is wrong goes to `mistakes`.
    pub(super) fn from_environment(mistakes: &mut Vec<Error>) -> Option<Request> {
        let mut read = |name: &str| match env::var(name) {
            Ok(value) => Some(value).filter(|value| !value.trim().is_empty()),
            Err(env::VarError::NotPresent) => None,
            Err(env::VarError::NotUnicode(value)) => {
                let message = format!("{name}={value:?} is not UTF-8: write it in plain text");
                mistakes.push(Error::new(ErrorKind::InvalidInput, message));
                None
            }
        };
        let (list, address) = (read("PPROF"), read("PPROF_HTTP"));
        if list.is_none() && address.is_none() {
            return None;
        }
        let out = read("PPROF_OUT");
        let instruments = list.map_or_else(Vec::new, |list| parse(&list, mistakes));
        let mut request = Request { instruments, files: None, address };
        let profiles = request.instruments.iter().filter_map(|(i, _)| i.profile());
        let profiles: Vec<&str> = profiles.collect();
        if profiles.is_empty() || out.as_deref() == Some("/dev/null") {
            return Some(request);
        }
        match Files::new(out.as_deref().unwrap_or("."), &profiles) {
            Ok(files) => request.files = Some(files),
            Err(mistake) => {
                mistakes.push(mistake);
                // They could not be seen any more.
                if request.address.is_none() {
                    request.instruments.clear();
                }
            }
        }
        Some(request)
    }
}

/// The list `PPROF`, in its order.
fn parse(list: &str, mistakes: &mut Vec<Error>) -> Vec<(Instrument, i64)> {
    let mut instruments: Vec<(Instrument, i64)> = Vec::new();
    let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
    for word in words {
        match parse_word(word) {
            Ok((instrument, _)) if instruments.iter().any(|(other, _)| *other == instrument) => {
                mistakes.push(invalid(
                    list,
                    &format!("{word:?} names again what is named before: leave one out"),
                ));
            }
            Ok(known) => instruments.push(known),
            Err(message) => mistakes.push(invalid(list, &message)),
        }
    }
    let is_named = |wanted: Instrument| instruments.iter().any(|(i, _)| *i == wanted);
    if is_named(Instrument::Futex) && !is_named(Instrument::Mutex) && !is_named(Instrument::Block) {
        let message = "futex adds to the profiles mutex and block, and neither is named: write futex,mutex,block";
        mistakes.push(invalid(list, message));
        instruments.retain(|(i, _)| *i != Instrument::Futex);
    }
    instruments
}

fn invalid(list: &str, message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("PPROF={list}: {message}"))
}

fn parse_word(word: &str) -> Result<(Instrument, i64), String> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (word, None),
    };
    let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name) else {
        let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
        return Err(format!(
            "{name:?} is not known: write some of {}, with commas between them",
            names.join(", ")
        ));
    };
    let value = match (&entry.rate, value) {
        (None, None) => 1,
        (None, Some(_)) => return Err(format!("{name} takes no number: write {name}")),
        (Some(rate), None) => rate.default,
        (Some(rate), Some(value)) => {
            let number = value.parse().ok().filter(|n| (1..=rate.max).contains(n));
            number.ok_or_else(|| refused(name, value, rate))?
        }
    };
    Ok((entry.instrument, value))
}

fn refused(name: &str, value: &str, rate: &Rate) -> String {
    let Rate { default, max, meaning } = rate;
    let range = match *max {
        i64::MAX => "a whole number above zero".to_owned(),
        max => format!("a whole number from 1 to {max}"),
    };
    format!("{value:?} is not {range} ({meaning}): write {name}={default}, or {name} for the same")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(list: &str) -> (Vec<(Instrument, i64)>, Vec<String>) {
        let mut mistakes = Vec::new();
        let instruments = parse(list, &mut mistakes);
        (instruments, mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_profile_can_be_asked_for() {
        for source in crate::profiles() {
            let (instruments, mistakes) = parsed(source.name());
            assert_eq!(mistakes, [""; 0]);
            assert_eq!(instruments[0].0.profile(), Some(source.name()));
        }
        assert_eq!(parsed("cpu"), (vec![(Instrument::Cpu, 100)], vec![]));
    }

    #[test]
    fn numbers_spaces_and_empty_words_are_understood() {
        let (instruments, mistakes) = parsed(" cpu = 250, ,mutex=1,block,futex,");
        assert_eq!(mistakes, [""; 0]);
        let expected = [
            (Instrument::Cpu, 250),
            (Instrument::Mutex, 1),
            (Instrument::Block, 10_000),
            (Instrument::Futex, 1),
        ];
        assert_eq!(instruments, expected);
    }

    #[test]
    fn each_mistake_is_named_and_the_rest_is_done() {
        for (list, said) in [
            (
                "cpuu,block",
                "PPROF=cpuu,block: \"cpuu\" is not known: write some of cpu, mutex, block, hold, functions, heap, allocs, leaks, futex, with",
            ),
            (
                "cpu=fast,block",
                "\"fast\" is not a whole number from 1 to 10000 (samples per second of CPU time): write cpu=100, or cpu",
            ),
            ("cpu=10001,block", "\"10001\" is not a whole number from 1 to 10000"),
            (
                "mutex=0,block",
                "\"0\" is not a whole number above zero (contended unlocks for each recorded one): write mutex=10",
            ),
            ("hold=-5,block", "\"-5\" is not a whole number above zero"),
            ("hold=,block", "\"\" is not a whole number above zero"),
            ("mutex=99999999999999999999,block", "\"99999999999999999999\" is not a whole number"),
            ("functions=1,block", "functions takes no number: write functions"),
            ("block,block=1", "\"block=1\" names again what is named before: leave one out"),
        ] {
            let (instruments, mistakes) = parsed(list);
            assert_eq!(instruments, [(Instrument::Block, 10_000)], "{list}");
            assert!(mistakes.len() == 1 && mistakes[0].contains(said), "{list}: {mistakes:?}");
        }
        let (instruments, mistakes) = parsed("futex,cpu");
        assert_eq!(instruments, [(Instrument::Cpu, 100)]);
        assert!(mistakes[0].ends_with("write futex,mutex,block"), "{mistakes:?}");
    }
}
