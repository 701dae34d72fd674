//! Folded stacks, as flame graphs are made of: `main;work;read 12`, root first.

use super::Draft;
use crate::profile::Profile;

/// Lines that are looked at to tell what a text is.
const FIRST: usize = 8;

fn entry(line: &str) -> Option<(&str, i64)> {
    let (stack, value) = line.trim_end().rsplit_once(' ')?;
    let stack = stack.trim_end();
    (!stack.is_empty()).then_some((stack, value.parse().ok()?))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

pub(super) fn begins(text: &str) -> bool {
    let mut first = lines(text).take(FIRST).peekable();
    first.peek().is_some() && first.all(|(_, line)| entry(line).is_some())
}

pub(super) fn parse(text: &str) -> Result<Profile, String> {
    let mut draft = Draft::new(&[("samples", "count")]);
    for (number, line) in lines(text) {
        let Some((stack, value)) = entry(line) else {
            return Err(format!("line {number} of the folded stacks does not end in a number"));
        };
        let stack: Vec<u32> =
            stack.split(';').rev().map(|name| draft.location(0, name.trim(), "")).collect();
        draft.sample(&stack, &[value], Vec::new());
    }
    Ok(draft.profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_read_root_first() {
        let text = "# a remark\nmain;a b;c 3\n\nmain 2\n";
        assert!(begins(text));
        let profile = parse(text).unwrap();
        let names = |index| -> Vec<&str> {
            let stack = profile.samples.get(index).stack.iter();
            let line = stack
                .map(|l| profile.locations[l as usize].lines.get(0).unwrap().function as usize);
            line.map(|f| profile.text(profile.functions[f].name)).collect()
        };
        assert_eq!((names(0), names(1)), (vec!["c", "a b", "main"], vec!["main"]));
        assert_eq!(profile.samples.get(0).values, [3]);
        for other in ["", "a b c", "main;x 1.5", " 12", "one 1\ntwo"] {
            assert!(!begins(other), "{other}");
        }
        let late = format!("{}broken", "a 1\n".repeat(20));
        assert!(parse(&late).unwrap_err().contains("line 21"));
    }
}
