//! By labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::measurement::scale;
use crate::pattern::Pattern;
use crate::profile::{Label, Profile, Sample, Text, Value};

/// In which unit the numbers of a key are told.
#[derive(Clone, Debug, Default)]
pub struct Units {
    of: HashMap<Text, String>,
    /// Keys with other units than the one that is used, and those.
    pub ignored: BTreeMap<String, Vec<String>>,
}

impl Units {
    /// The unit of a key; empty if it has no numbers.
    #[must_use]
    pub fn of(&self, key: Text) -> &str {
        self.of.get(&key).map_or("", String::as_str)
    }
}

/// The first unit that each key has; if it has none, what is known of the key, or the key itself.
#[must_use]
pub fn units(profile: &Profile) -> Units {
    let mut found: HashMap<Text, Text> = HashMap::new();
    let mut others: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for label in profile.samples.iter().flat_map(|sample| sample.labels) {
        let Value::Number(_, unit) = label.value else { continue };
        let used = found.entry(label.key).or_default();
        if used.is_empty() {
            *used = unit;
        } else if !unit.is_empty() && *used != unit {
            let others = others.entry(profile.text(label.key).to_owned()).or_default();
            others.insert(profile.text(unit).to_owned());
        }
    }
    let name = |(key, unit): (Text, Text)| {
        let unit = match (profile.text(unit), profile.text(key)) {
            ("", "alignment" | "request") => "bytes",
            ("", key) => key,
            (unit, _) => unit,
        };
        (key, unit.to_owned())
    };
    let ignored = others.into_iter().map(|(key, units)| (key, units.into_iter().collect()));
    Units { of: found.into_iter().map(name).collect(), ignored: ignored.collect() }
}

/// What labels a sample is to have.
#[derive(Debug)]
pub struct TagFilter {
    key: Option<String>,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    /// Numbers, from one to another.
    Range(Range),
    /// Texts.
    Patterns(Vec<Pattern>),
}

/// In a unit of a kind; both ends are in it.
#[derive(Debug, PartialEq)]
struct Range {
    from: Option<f64>,
    to: Option<f64>,
    unit: String,
}

impl TagFilter {
    /// `[key=]range`, or `[key=]expression,...`.
    ///
    /// # Errors
    /// An expression is none.
    pub fn new(text: &str) -> Result<TagFilter, String> {
        let (key, wanted) = match text.split_once('=') {
            Some((key, wanted)) => (Some(key.to_owned()), wanted),
            None => (None, text),
        };
        let wanted = match Range::new(wanted)? {
            Some(range) => Wanted::Range(range),
            None => {
                let patterns = wanted.split(',').map(Pattern::new).collect::<Result<_, _>>()?;
                Wanted::Patterns(patterns)
            }
        };
        Ok(TagFilter { key: key.filter(|key| !key.is_empty()), wanted })
    }

    /// Whether it is of numbers.
    #[must_use]
    pub fn is_range(&self) -> bool {
        matches!(self.wanted, Wanted::Range(_))
    }

    fn matches(&self, profile: &Profile, units: &Units, sample: Sample<'_>) -> bool {
        let texts = || {
            sample.labels.iter().filter_map(|label| match label.value {
                Value::Text(text) => Some((profile.text(label.key), profile.text(text))),
                Value::Number(..) => None,
            })
        };
        match (&self.wanted, &self.key) {
            (Wanted::Range(range), key) => sample.labels.iter().any(|label| match label.value {
                Value::Number(number, _) => {
                    let is_meant = key.as_ref().is_none_or(|key| profile.text(label.key) == key);
                    is_meant && range.holds(number, units.of(label.key))
                }
                Value::Text(_) => false,
            }),
            // Each of them, somewhere.
            (Wanted::Patterns(patterns), None) => {
                let pairs: Vec<String> =
                    texts().map(|(key, value)| format!("{key}:{value}")).collect();
                patterns.iter().all(|pattern| pairs.iter().any(|pair| pattern.matches(pair)))
            }
            // One of them, there.
            (Wanted::Patterns(patterns), Some(wanted)) => {
                let mut values = texts().filter(|(key, _)| key == wanted);
                values.any(|(_, value)| patterns.iter().any(|pattern| pattern.matches(value)))
            }
        }
    }
}

impl Range {
    /// `N`, `N:`, `:N` or `N:M`, with units; nothing if it is none of these.
    fn new(text: &str) -> Result<Option<Range>, String> {
        let first = text.strip_prefix(':').unwrap_or(text);
        let Some((number, unit, rest)) = number(first) else { return Ok(None) };
        let parse = |digits: &str| {
            digits.parse::<i64>().map_err(|_| format!("{digits} is out of range: it is too large"))
        };
        if !(matches!(rest, "" | ":") || rest.starts_with(':') && first.len() == text.len()) {
            return Ok(None);
        }
        let (value, unit) = scale(parse(number)?, unit, unit);
        let range = |from, to| Ok(Some(Range { from, to, unit: unit.clone() }));
        match (first.len() < text.len(), rest) {
            (true, "") => range(None, Some(value)),
            (true, _) => Ok(None),
            (false, "") => range(Some(value), Some(value)),
            (false, ":") => range(Some(value), None),
            (false, rest) => match self::number(&rest[1..]) {
                Some((number, unit_of_end, "")) => {
                    let (end, end_unit) = scale(parse(number)?, unit_of_end, &unit);
                    if end_unit == unit { range(Some(value), Some(end)) } else { Ok(None) }
                }
                _ => Ok(None),
            },
        }
    }

    fn holds(&self, number: i64, unit: &str) -> bool {
        let (value, unit) = scale(number, unit, &self.unit);
        unit == self.unit
            && self.from.is_none_or(|from| value >= from)
            && self.to.is_none_or(|to| value <= to)
    }
}

/// A number with a sign, its unit, and what follows.
fn number(text: &str) -> Option<(&str, &str, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    if digits == 0 {
        return None;
    }
    let end = text.len() - unsigned.len() + digits;
    let (number, rest) = text.split_at(end);
    let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit);
    Some((number, unit, rest))
}

/// Keeps the samples that `focus` matches and `ignore` does not. Whether either matched any.
pub fn by_tag(
    profile: &mut Profile,
    units: &Units,
    focus: Option<&TagFilter>,
    ignore: Option<&TagFilter>,
) -> (bool, bool) {
    if focus.is_none() && ignore.is_none() {
        return (true, true);
    }
    let (mut focused, mut ignored) = (false, false);
    let mut samples = std::mem::take(&mut profile.samples);
    samples.retain(|sample| {
        let is_focused = focus.is_none_or(|filter| filter.matches(profile, units, sample));
        let is_ignored = ignore.is_some_and(|filter| filter.matches(profile, units, sample));
        focused |= is_focused;
        ignored |= is_ignored;
        is_focused && !is_ignored
    });
    profile.samples = samples;
    (focused, ignored)
}

/// Keeps the labels whose keys match `show` and not `hide`. Whether either matched any.
pub fn by_tag_name(
    profile: &mut Profile,
    show: Option<&Pattern>,
    hide: Option<&Pattern>,
) -> (bool, bool) {
    if show.is_none() && hide.is_none() {
        return (true, true);
    }
    let (mut shown, mut hidden) = (false, false);
    let mut known: HashMap<Text, bool> = HashMap::new();
    let texts = &profile.texts;
    profile.samples.retain_labels(|&Label { key, .. }| {
        *known.entry(key).or_insert_with(|| {
            let is_shown = show.is_none_or(|show| show.matches(texts.get(key)));
            let is_hidden = hide.is_some_and(|hide| hide.matches(texts.get(key)));
            shown |= is_shown;
            hidden |= is_hidden;
            is_shown && !is_hidden
        })
    });
    (shown, hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_from_expressions() {
        let range = |text: &str| Range::new(text).unwrap();
        let of = |from: Option<f64>, to: Option<f64>, unit: &str| {
            Some(Range { from, to, unit: unit.to_owned() })
        };
        assert_eq!(range("32kb"), of(Some(32.0), Some(32.0), "kB"));
        assert_eq!(range(":64kb"), of(None, Some(64.0), "kB"));
        assert_eq!(range("4mb:"), of(Some(4.0), None, "MB"));
        assert_eq!(range("1kb:1mb"), of(Some(1.0), Some(1024.0), "kB"));
        assert_eq!(range("-5:5"), of(Some(-5.0), Some(5.0), ""));
        for text in ["foo", "1kb:1s", "12x34", "1:2:3", ":1:", "", ":"] {
            assert_eq!(range(text), None, "{text}");
        }
        assert!(Range::new("99999999999999999999").is_err());
    }
}
