//! Heap profiles of DHAT: of Valgrind's and of the crate `dhat`, in JSON.
//!
//! ```text
//! {"dhatFileVersion":2,"mode":"rust-heap","bklt":true,..., "pps":[
//!   {"tb":8192,"tbk":2,"gb":4096,"gbk":1,"eb":0,"ebk":0,"fs":[1,2]}, ...
//! ],"ftbl":["[root]","0x10ae8441b: alloc::vec::Vec<T>::push (src/vec.rs:226:9)","0x10ae84000: main (src/main.rs:1:1)"]}
//! ```
//!
//! `tb` bytes in `tbk` blocks were allocated in all, `gb` of these were there when most was, `eb` at the end; `fs` is a stack, innermost first.

use serde_json::Value;

use super::Draft;
use crate::profile::Profile;

/// What is counted, and what it is called in the file; what is there at the end comes last, and is shown if nothing else is asked for.
const HEAP: [(&str, &str, &str); 6] = [
    ("alloc_objects", "count", "tbk"),
    ("alloc_space", "bytes", "tb"),
    ("peak_objects", "count", "gbk"),
    ("peak_space", "bytes", "gb"),
    ("inuse_objects", "count", "ebk"),
    ("inuse_space", "bytes", "eb"),
];

/// Without lifetimes of blocks there are totals alone, of whatever the program counted.
const OTHERS: [(&str, &str, &str); 2] = [("events", "count", "tbk"), ("units", "count", "tb")];

pub(super) fn begins(text: &str) -> bool {
    let start = text.trim_start();
    // It is the first key of all.
    start.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"dhatFileVersion\""))
}

pub(super) fn parse(text: &str) -> Result<Profile, String> {
    let file: Value =
        serde_json::from_str(text).map_err(|e| format!("broken file of DHAT: {e}"))?;
    if file["dhatFileVersion"].as_u64() != Some(2) {
        let version = &file["dhatFileVersion"];
        return Err(format!("files of DHAT are read in version 2, and this is of {version}"));
    }
    let list = |key: &str| {
        file[key].as_array().ok_or_else(|| format!("broken file of DHAT: {key} is no list"))
    };
    let columns = if file["bklt"].as_bool() == Some(true) { &HEAP[..] } else { &OTHERS };
    let types: Vec<(&str, &str)> = columns.iter().map(|(ty, unit, _)| (*ty, *unit)).collect();
    let mut draft = Draft::new(&types);
    let frames = list("ftbl")?.iter().map(|frame| draft.frame(frame.as_str().unwrap_or_default()));
    let frames: Vec<u32> = frames.collect();
    for point in list("pps")? {
        let broken = || format!("broken file of DHAT: {point}");
        let stack = point["fs"].as_array().ok_or_else(broken)?;
        let frame = |index: &Value| frames.get(usize::try_from(index.as_u64()?).ok()?).copied();
        let stack = stack.iter().map(frame).collect::<Option<Vec<u32>>>().ok_or_else(broken)?;
        let value = |(_, _, key): &(&str, &str, &str)| point[key].as_i64();
        let values = columns.iter().map(value).collect::<Option<Vec<i64>>>().ok_or_else(broken)?;
        draft.sample(&stack, &values, Vec::new());
    }
    Ok(draft.profile)
}

/// Address, function, file and line of `0x1f: f (file.rs:12:3)`, as far as they are there.
fn parts(frame: &str) -> (u64, &str, &str, i64) {
    let address = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let (address, rest) = frame
        .split_once(": ")
        .and_then(|(text, rest)| Some((address(text)?, rest)))
        .unwrap_or((0, frame));
    let place = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let Some((name, place)) = place.filter(|(_, place)| !place.starts_with("in ")) else {
        let name = place.map_or(rest, |(name, _)| name);
        return (address, name, "", 0);
    };
    // A column may come after the line.
    let mut words = place.rsplitn(3, ':');
    let (last, middle, file) = (words.next(), words.next(), words.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    match (file, number(middle), number(last)) {
        (Some(file), Some(line), Some(_)) => (address, name, file, line),
        _ => match place.rsplit_once(':') {
            Some((file, line)) => (address, name, file, line.parse().unwrap_or(0)),
            None => (address, name, place, 0),
        },
    }
}

impl Draft {
    fn frame(&mut self, frame: &str) -> u32 {
        let (address, name, file, line) = parts(frame);
        self.line(address, name, file, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart() {
        for (frame, expected) in [
            ("0x1f: f (a/b.rs:12:3)", (0x1f, "f", "a/b.rs", 12)),
            ("0x1f: <A as B>::f (b.c:12)", (0x1f, "<A as B>::f", "b.c", 12)),
            ("0x1f: malloc (in /usr/lib/x.so)", (0x1f, "malloc", "", 0)),
            ("0x1f: f(int) (b.cc:7)", (0x1f, "f(int)", "b.cc", 7)),
            ("[root]", (0, "[root]", "", 0)),
            ("0x1f: ???", (0x1f, "???", "", 0)),
            ("a: b", (0, "a: b", "", 0)),
            ("0x1f: f (C:\\a.rs:12:3)", (0x1f, "f", "C:\\a.rs", 12)),
        ] {
            assert_eq!(parts(frame), expected, "{frame}");
        }
    }

    #[test]
    fn files_are_read() {
        let text = r#"{"dhatFileVersion":2,"mode":"rust-heap","bklt":true,"pps":[
            {"tb":8192,"tbk":2,"tl":1,"mb":1,"mbk":1,"gb":4096,"gbk":1,"eb":5,"ebk":1,"fs":[1,2]}],
            "ftbl":["[root]","0x2: inner (a.rs:1:2)","0x1: main (a.rs:9:2)"]}"#;
        assert!(begins(text));
        let profile = parse(text).unwrap();
        let sample = profile.samples.get(0);
        assert_eq!(sample.values, [2, 8192, 1, 4096, 1, 5]);
        let line = profile.locations[sample.stack.get(0).unwrap() as usize].lines.get(0).unwrap();
        let function = &profile.functions[line.function as usize];
        assert_eq!(
            (profile.text(function.name), profile.text(function.filename)),
            ("inner", "a.rs")
        );
        assert_eq!(line.line, 1);
        let counted = r#"{"dhatFileVersion":2,"bklt":false,"pps":[{"tb":7,"tbk":3,"fs":[0]}],"ftbl":["[root]"]}"#;
        assert_eq!(parse(counted).unwrap().samples.get(0).values, [3, 7]);
    }

    #[test]
    fn broken_files_are_told() {
        for text in [
            "{\"dhatFileVersion\"",
            r#"{"dhatFileVersion":3}"#,
            r#"{"dhatFileVersion":2}"#,
            r#"{"dhatFileVersion":2,"pps":[{"fs":[9],"tb":1,"tbk":1}],"ftbl":[]}"#,
            r#"{"dhatFileVersion":2,"pps":[{"fs":[0]}],"ftbl":["a"]}"#,
            r#"{"dhatFileVersion":2,"pps":[{"fs":[0],"tb":1e300,"tbk":1}],"ftbl":["a"]}"#,
        ] {
            assert!(begins(text) && parse(text).is_err(), "{text}");
        }
        assert!(!begins("{\"a\":1}") && !begins("main;a 1"));
    }
}
