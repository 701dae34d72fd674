//! By the names of functions, files and objects.

use crate::pattern::Pattern;
use crate::profile::{Line, Lines, Location, Profile};

/// Which expressions matched anything; those that were not given did.
#[derive(Clone, Copy, Debug)]
pub struct Matched {
    /// Of samples to keep.
    pub focus: bool,
    /// Of samples to leave out.
    pub ignore: bool,
    /// Of frames to leave out.
    pub hide: bool,
    /// Of frames to keep.
    pub show: bool,
}

/// Expressions that have been tried on each text of a profile once.
struct Tried {
    texts: Vec<bool>,
}

impl Tried {
    fn new(profile: &Profile, pattern: &Pattern) -> Tried {
        let mut is_name = vec![false; profile.texts.len()];
        for function in &profile.functions {
            is_name[function.name.index()] = true;
            is_name[function.filename.index()] = true;
        }
        for mapping in &profile.mappings {
            is_name[mapping.file.index()] = true;
        }
        let texts = profile.texts.iter().zip(is_name);
        Tried { texts: texts.map(|(text, is_name)| is_name && pattern.matches(text)).collect() }
    }

    fn line(&self, profile: &Profile, line: &Line) -> bool {
        let function = &profile.functions[line.function as usize];
        self.texts[function.name.index()] || self.texts[function.filename.index()]
    }

    fn object(&self, profile: &Profile, location: &Location) -> bool {
        let mapping = location.mapping.get().map(|m| &profile.mappings[m as usize]);
        mapping.is_some_and(|mapping| self.texts[mapping.file.index()])
    }

    fn location(&self, profile: &Profile, location: &Location) -> bool {
        location.lines.iter().any(|line| self.line(profile, &line))
            || self.object(profile, location)
    }
}

/// Keeps the samples of which a frame matches `focus` and none matches `ignore`, and of those the frames that match `show` and not `hide`.
pub fn by_name(
    profile: &mut Profile,
    focus: Option<&Pattern>,
    ignore: Option<&Pattern>,
    hide: Option<&Pattern>,
    show: Option<&Pattern>,
) -> Matched {
    let mut matched = Matched {
        focus: focus.is_none(),
        ignore: ignore.is_none(),
        hide: hide.is_none(),
        show: show.is_none(),
    };
    let given = [focus, ignore, hide, show];
    if given.iter().all(Option::is_none) {
        return matched;
    }
    let [focus, ignore, hide, show] = given.map(|p| p.map(|p| Tried::new(profile, p)));
    let count = profile.locations.len();
    let (mut is_focused, mut is_ignored) = (vec![false; count], vec![false; count]);
    let mut is_hidden = vec![false; count];
    let mut locations = std::mem::take(&mut profile.locations);
    for (index, location) in locations.iter_mut().enumerate() {
        let is_of = |tried: &Option<Tried>, location: &Location| {
            tried.as_ref().is_some_and(|tried| tried.location(profile, location))
        };
        if is_of(&ignore, location) {
            is_ignored[index] = true;
            matched.ignore = true;
        } else if focus.is_none() || is_of(&focus, location) {
            is_focused[index] = true;
            matched.focus = true;
        }
        if let Some(hide) = &hide
            && hide.location(profile, location)
        {
            matched.hide = true;
            if hide.object(profile, location) {
                location.lines = Lines::default();
            } else {
                location.lines.retain(|line| !hide.line(profile, line));
            }
            is_hidden[index] |= location.lines.is_empty();
        }
        if let Some(show) = &show {
            if !show.object(profile, location) {
                location.lines.retain(|line| show.line(profile, line));
            }
            is_hidden[index] |= location.lines.is_empty();
            matched.show |= !location.lines.is_empty();
        }
    }
    profile.locations = locations;
    profile.samples.retain(|sample| {
        let mut stack = sample.stack.iter().map(|l| l as usize);
        stack.clone().any(|l| is_focused[l]) && !stack.any(|l| is_ignored[l])
    });
    if is_hidden.contains(&true) {
        profile.samples.retain_frames(|location| !is_hidden[location as usize]);
    }
    matched
}

/// Cuts stacks above the frame next to the root that matches; samples without one are left out. Whether there was any.
pub fn show_from(profile: &mut Profile, pattern: &Pattern) -> bool {
    let tried = Tried::new(profile, pattern);
    let mut is_start = vec![false; profile.locations.len()];
    let mut locations = std::mem::take(&mut profile.locations);
    for (location, is_start) in locations.iter_mut().zip(&mut is_start) {
        let last = location.lines.iter().rposition(|line| tried.line(profile, &line));
        if tried.object(profile, location) {
            *is_start = true;
        } else if let Some(last) = last {
            location.lines.narrow_to(0..last + 1);
            *is_start = true;
        }
    }
    profile.locations = locations;
    profile.samples.cut(|stack| {
        let highest = stack.iter().rposition(|location| is_start[location as usize])?;
        Some(0..highest + 1)
    });
    is_start.contains(&true)
}
