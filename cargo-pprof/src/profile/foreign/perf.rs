//! What `perf script` prints: of each sample a line that says whose and of which event it is, its frames from the leaf on, and an empty line.
//!
//! ```text
//! server  812/815  [001] 3917.221: 250000 cpu-clock:u:
//!         55d0c1 app::work+0x21 (/usr/bin/server)
//!         55d2f4 main (/usr/bin/server)
//! ```

use super::Draft;
use crate::paths::base;
use crate::profile::{Label, Mapping, Profile, Text, Value};

/// The first line of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Head<'t> {
    command: &'t str,
    pid: Option<i64>,
    tid: i64,
    event: &'t str,
    period: i64,
}

impl<'t> Head<'t> {
    fn new(line: &'t str) -> Option<Head<'t>> {
        if line.starts_with(char::is_whitespace) {
            return None;
        }
        // The command may have blanks in it: what follows it has not.
        let (before, after) =
            line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
        let (rest, time) = before.trim_end().rsplit_once(char::is_whitespace)?;
        let is_time = time.contains('.') && time.chars().all(|c| c.is_ascii_digit() || c == '.');
        let rest = rest.trim_end();
        let rest = match rest.rsplit_once(char::is_whitespace) {
            Some((rest, cpu)) if cpu.starts_with('[') => rest.trim_end(),
            _ => rest,
        };
        let (command, ids) = rest.rsplit_once(char::is_whitespace)?;
        let (pid, tid) = match ids.split_once('/') {
            Some((pid, tid)) => (Some(pid.parse().ok()?), tid.parse().ok()?),
            None => (None, ids.parse().ok()?),
        };
        let mut words = after.split_whitespace();
        let mut event = words.next().unwrap_or_default();
        let mut period = 1;
        if let Ok(number) = event.parse() {
            period = number;
            event = words.next().unwrap_or_default();
        }
        let event = event.trim_end_matches(':');
        let event = if event.is_empty() { "samples" } else { event };
        is_time.then_some(Head { command: command.trim(), pid, tid, event, period })
    }

    /// The event without which of the levels it counts: `cycles:u` is `cycles`.
    fn event_name(self) -> &'t str {
        self.event.split(':').next().unwrap_or(self.event)
    }
}

/// Address, function, which may not be known, and object.
fn frame(line: &str) -> Option<(u64, &str, &str)> {
    let line = line.trim();
    let (address, rest) = line.split_once(char::is_whitespace)?;
    let address = u64::from_str_radix(address, 16).ok()?;
    let (name, object) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
        Some((name, object)) => (name, object),
        None => (rest, ""),
    };
    let name = match name.rsplit_once("+0x") {
        Some((name, offset)) if u64::from_str_radix(offset, 16).is_ok() => name,
        _ => name,
    };
    let name = if name == "[unknown]" { "" } else { name };
    let object = if matches!(object, "[unknown]" | "inlined") { "" } else { object };
    Some((address, name, object))
}

pub(super) fn begins(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.next().is_some_and(|line| Head::new(line).is_some())
        && lines.next().is_some_and(|line| frame(line).is_some() || Head::new(line).is_some())
}

pub(super) fn parse(text: &str) -> Result<Profile, String> {
    let mut events: Vec<&str> = Vec::new();
    for head in text.lines().filter_map(Head::new) {
        if !events.contains(&head.event_name()) && events.len() < MOST_EVENTS {
            events.push(head.event_name());
        }
    }
    let unit = |event: &str| match event {
        "cpu-clock" | "task-clock" => "nanoseconds",
        _ => "count",
    };
    let types = events.iter().map(|event| (*event, unit(event)));
    let types: Vec<_> = [("samples", "count")].into_iter().chain(types).collect();
    let mut draft = Draft::new(&types);
    let mut current: Option<(Head<'_>, Vec<u32>)> = None;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#')) {
        if line.trim().is_empty() {
            finish(&mut draft, &events, current.take());
        } else if let Some(head) = Head::new(line) {
            finish(&mut draft, &events, current.replace((head, Vec::new())));
        } else if let (Some((_, stack)), Some((address, name, object))) =
            (&mut current, frame(line))
        {
            stack.push(draft.location(address, name, object));
        } else {
            return Err(format!(
                "line {number} of what perf printed is neither a sample nor a frame"
            ));
        }
    }
    finish(&mut draft, &events, current);
    let mut profile = draft.profile;
    put_program_first(&mut profile, text.lines().find_map(Head::new));
    Ok(profile)
}

/// The first mapping is the main program: the one that the first command is called after, or else one that is a file.
fn put_program_first(profile: &mut Profile, head: Option<Head<'_>>) {
    let file = |mapping: &Mapping| profile.texts.get(mapping.file);
    let command = head.map_or("", |head| head.command);
    // The kernel keeps so much of its name.
    const MOST_BYTES: usize = 15;
    let is_named = |mapping: &Mapping| match base(file(mapping)) {
        name if command.len() >= MOST_BYTES => name.starts_with(command),
        name => name == command,
    };
    let named = profile.mappings.iter().position(is_named);
    let found = named
        .or_else(|| profile.mappings.iter().position(|mapping| !file(mapping).starts_with('[')));
    let Some(index) = found.filter(|index| *index != 0) else { return };
    profile.mappings.swap(0, index);
    let index = index as u32;
    for location in &mut profile.locations {
        let moved = location.mapping.get().map(|mapping| match mapping {
            0 => index,
            other if other == index => 0,
            other => other,
        });
        location.mapping = moved.into();
    }
}

/// Further ones are counted as samples alone.
const MOST_EVENTS: usize = 32;

fn finish(draft: &mut Draft, events: &[&str], sample: Option<(Head<'_>, Vec<u32>)>) {
    let Some((head, stack)) = sample else { return };
    let mut values = vec![0; events.len() + 1];
    values[0] = 1;
    if let Some(at) = events.iter().position(|event| *event == head.event_name()) {
        values[at + 1] = head.period;
    }
    let texts = &mut draft.profile.texts;
    let mut labels = vec![
        Label { key: texts.intern("command"), value: Value::Text(texts.intern(head.command)) },
        Label { key: texts.intern("tid"), value: Value::Number(head.tid, Text::EMPTY) },
    ];
    if let Some(pid) = head.pid {
        labels.push(Label { key: texts.intern("pid"), value: Value::Number(pid, Text::EMPTY) });
    }
    draft.sample(&stack, &values, labels);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a remark
my server  812/815  [001]  3917.221000:     250000 cpu-clock:u: 
\t    55d0c1 core::ops<a (b)>::work+0x21 (/usr/bin/server)
\t    55d2f4 [unknown] (/usr/bin/server)
\tffffffff81 entry+0x1 ([kernel.kallsyms])

perf 900 4000.1: cycles: 
\t    1 main (inlined)
";

    #[test]
    fn samples_are_read() {
        assert!(begins(TEXT));
        let profile = parse(TEXT).unwrap();
        let types: Vec<_> = profile.sample_types.iter().map(|t| profile.text(t.ty)).collect();
        assert_eq!(types, ["samples", "cpu-clock", "cycles"]);
        let first = profile.samples.get(0);
        assert_eq!(
            (first.values, first.stack.len(), first.labels.len()),
            (&[1, 250_000, 0][..], 3, 3)
        );
        let leaf = &profile.locations[first.stack.get(0).unwrap() as usize];
        let name = profile.functions[leaf.lines.get(0).unwrap().function as usize].name;
        assert_eq!((leaf.address, profile.text(name)), (0x55_d0c1, "core::ops<a (b)>::work"));
        assert!(profile.locations[first.stack.get(1).unwrap() as usize].lines.is_empty());
        assert_eq!(profile.samples.get(1).values, [1, 0, 1]);
    }

    #[test]
    fn the_program_comes_first() {
        let text = "work 1 2.0: 1 cycles:\n\t1 a ([kernel.kallsyms])\n\t2 b (/lib/c.so)\n\t3 d (/x/work)\n\t2 b (/lib/c.so)\n";
        let profile = parse(text).unwrap();
        let object = |index: usize| {
            let location = profile.samples.get(0).stack.get(index).unwrap() as usize;
            profile.text(profile.object_of(&profile.locations[location]))
        };
        assert_eq!(profile.text(profile.mappings[0].file), "/x/work");
        assert_eq!([0, 1, 2].map(object), ["[kernel.kallsyms]", "/lib/c.so", "/x/work"]);
        let other = parse(&text.replace("work 1", "a 1")).unwrap();
        assert_eq!(other.text(other.mappings[0].file), "/lib/c.so");
        let long =
            text.replace("work 1", "a_very_long_nam 1").replace("/x/work", "/x/a_very_long_name");
        assert_eq!(profile.mappings.len(), 3);
        let long = parse(&long).unwrap();
        assert_eq!(long.text(long.mappings[0].file), "/x/a_very_long_name");
    }

    #[test]
    fn what_is_not_of_perf_is_not() {
        for text in ["", "a b c", "main;a 1", "x 1 2.0: 1 cycles:\nnonsense", "x 1 2.0: 1 cycles:"]
        {
            assert!(!begins(text), "{text}");
        }
        let broken = format!("{TEXT}\nnonsense\n");
        assert!(parse(&broken).unwrap_err().contains("line 10"), "{:?}", parse(&broken));
    }
}
