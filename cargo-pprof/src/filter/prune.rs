//! Cuts what lies below a frame.

use std::collections::HashMap;

use crate::pattern::Pattern;
use crate::profile::{Profile, Text};

/// The name without what is of one call of it: arguments, and a dot that some systems put in front.
fn simple_name(name: &str) -> &str {
    let name = name.strip_prefix('.').unwrap_or(name);
    let mut from = 0;
    while let Some(at) = name[from..].find(['(', 'o']) {
        let at = from + at;
        let rest = &name[at..];
        from = at
            + if rest.starts_with("(anonymous namespace)") {
                "(anonymous namespace)".len()
            } else if rest.starts_with("operator()") {
                "operator()".len()
            } else if rest.starts_with('(') {
                return &name[..at];
            } else {
                1
            };
    }
    name
}

/// Takes away what the profile itself says that nobody wants to see: frames that match its `drop_frames` and not its `keep_frames`, with all below
/// them, but none before the first that stays.
///
/// An expression that is none is left alone, as the profile is not the user's to mend.
pub fn drop_frames(profile: &mut Profile) {
    let whole = |text: Text| Pattern::new(&format!("^({})$", profile.text(text)));
    if profile.drop_frames.is_empty() {
        return;
    }
    let Ok(drop) = whole(profile.drop_frames) else { return };
    let keep = match profile.keep_frames {
        Text::EMPTY => None,
        keep => match whole(keep) {
            Ok(keep) => Some(keep),
            Err(_) => return,
        },
    };
    let texts = &profile.texts;
    let mut known: HashMap<Text, bool> = HashMap::new();
    let mut is_dropped = |name: Text| {
        *known.entry(name).or_insert_with(|| {
            let name = simple_name(texts.get(name));
            drop.matches(name) && !keep.as_ref().is_some_and(|keep| keep.matches(name))
        })
    };
    /// What is left of a location.
    #[derive(Clone, Copy, PartialEq)]
    enum Left {
        All,
        Part,
        Nothing,
    }
    let mut left = vec![Left::All; profile.locations.len()];
    for (location, left) in profile.locations.iter_mut().zip(&mut left) {
        let found = location.lines.iter().rposition(|line| {
            let name = profile.functions[line.function as usize].name;
            !name.is_empty() && is_dropped(name)
        });
        match found {
            Some(at) if at + 1 == location.lines.len() => *left = Left::Nothing,
            Some(at) => {
                location.lines.narrow_to(at + 1..location.lines.len());
                *left = Left::Part;
            }
            None => {}
        }
    }
    if left.iter().all(|left| *left == Left::All) {
        return;
    }
    profile.samples.cut(|stack| {
        let mut nearer = stack.iter().enumerate().rev();
        let mut find = |is_all: bool| {
            let left = |(at, location): (usize, u32)| (at, left[location as usize]);
            nearer.by_ref().map(left).find(|(_, left)| (*left == Left::All) == is_all)
        };
        let cut = find(true).and_then(|_| find(false));
        let start = cut.map_or(0, |(at, left)| if left == Left::Nothing { at + 1 } else { at });
        Some(start..stack.len())
    });
}

/// Takes away what lies below the frame next to the leaf that matches.
pub fn prune_from(profile: &mut Profile, pattern: &Pattern) {
    let mut is_end = vec![false; profile.locations.len()];
    for (location, is_end) in profile.locations.iter_mut().zip(&mut is_end) {
        let found = location.lines.iter().position(|line| {
            let name = profile.functions[line.function as usize].name;
            !name.is_empty() && pattern.matches(simple_name(profile.texts.get(name)))
        });
        if let Some(at) = found {
            location.lines.narrow_to(at..location.lines.len());
            *is_end = true;
        }
    }
    profile.samples.cut(|stack| {
        let end = stack.iter().position(|location| is_end[location as usize]);
        Some(end.unwrap_or(0)..stack.len())
    });
}

#[cfg(test)]
mod tests {
    use super::simple_name;

    #[test]
    fn arguments_are_no_part_of_a_name() {
        let cases = [
            (".foo(int)", "foo"),
            ("a::operator()(int) const", "a::operator()"),
            ("(anonymous namespace)::f(x)", "(anonymous namespace)::f"),
            ("no", "no"),
            ("boot", "boot"),
        ];
        for (name, simple) in cases {
            assert_eq!(simple_name(name), simple);
        }
    }
}
