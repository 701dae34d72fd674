//! Units, and values as people read them.

/// Units of one kind.
struct Family {
    units: &'static [Unit],
    /// What values are in that fit no unit, or are asked for in one of another kind.
    default: (&'static str, f64),
}

struct Unit {
    name: &'static str,
    aliases: &'static [&'static str],
    factor: f64,
}

const fn unit(name: &'static str, aliases: &'static [&'static str], factor: f64) -> Unit {
    Unit { name, aliases, factor }
}

const KB: f64 = 1024.0;

const FAMILIES: [Family; 3] = [
    Family {
        units: &[
            unit("B", &["b", "byte"], 1.0),
            unit("kB", &["kb", "kbyte", "kilobyte"], KB),
            unit("MB", &["mb", "mbyte", "megabyte"], KB * KB),
            unit("GB", &["gb", "gbyte", "gigabyte"], KB * KB * KB),
            unit("TB", &["tb", "tbyte", "terabyte"], KB * KB * KB * KB),
            unit("PB", &["pb", "pbyte", "petabyte"], KB * KB * KB * KB * KB),
        ],
        default: ("B", 1.0),
    },
    Family {
        units: &[
            unit("ns", &["ns", "nanosecond"], 1.0),
            unit("us", &["μs", "us", "microsecond"], 1e3),
            unit("ms", &["ms", "millisecond"], 1e6),
            unit("s", &["s", "sec", "second"], 1e9),
            unit("hrs", &["hour", "hr"], 3600e9),
        ],
        default: ("s", 1e9),
    },
    Family {
        units: &[
            unit("n*GCU", &["nanogcu"], 1e-9),
            unit("u*GCU", &["microgcu"], 1e-6),
            unit("m*GCU", &["milligcu"], 1e-3),
            unit("GCU", &["gcu"], 1.0),
            unit("k*GCU", &["kilogcu"], 1e3),
            unit("M*GCU", &["megagcu"], 1e6),
            unit("G*GCU", &["gigagcu"], 1e9),
            unit("T*GCU", &["teragcu"], 1e12),
            unit("P*GCU", &["petagcu"], 1e15),
        ],
        default: ("GCU", 1.0),
    },
];

impl Family {
    fn find(&self, name: &str) -> Option<&'static Unit> {
        let name = name.to_lowercase();
        let singular = if name.len() > 2 { name.strip_suffix('s').unwrap_or(&name) } else { &name };
        self.units.iter().find(|unit| unit.aliases.contains(&singular))
    }

    /// In the largest unit of which it is one at least.
    fn natural(&self, value: f64) -> Option<&'static Unit> {
        self.units.iter().rev().find(|unit| value / unit.factor >= 1.0)
    }
}

/// Whether values in one unit can be told in the other.
#[must_use]
pub fn are_of_one_kind(one: &str, other: &str) -> bool {
    one == other || FAMILIES.iter().any(|f| f.find(one).is_some() && f.find(other).is_some())
}

/// Whether that is a unit.
#[must_use]
pub fn is_unit(name: &str) -> bool {
    FAMILIES.iter().any(|family| family.find(name).is_some())
}

/// A value in another unit, and that unit's name, which is empty if it says nothing. `auto` and `minimum` ask for the most natural one.
#[must_use]
pub fn scale(value: i64, from: &str, to: &str) -> (f64, String) {
    if value < 0 && value != i64::MIN {
        let (scaled, unit) = scale(-value, from, to);
        return (-scaled, unit);
    }
    for family in &FAMILIES {
        let Some(from) = family.find(from) else { continue };
        let value = value as f64 * from.factor;
        let wanted = match to {
            "minimum" | "auto" => family.natural(value),
            to => family.find(to),
        };
        let (name, factor) = wanted.map_or(family.default, |unit| (unit.name, unit.factor));
        return (value / factor, name.to_owned());
    }
    let unit = match to {
        "count" | "sample" | "unit" | "minimum" | "auto" => "",
        unit => unit,
    };
    (value as f64, unit.to_owned())
}

/// As x86-64 converts: what is no number, or too large for one, is the least integer.
#[must_use]
pub fn to_integer(value: f64) -> i64 {
    if value.is_nan() || value >= i64::MAX as f64 || value < i64::MIN as f64 {
        i64::MIN
    } else {
        value as i64
    }
}

/// A value in its most natural unit.
#[must_use]
pub fn label(value: i64, unit: &str) -> String {
    scaled_label(value, unit, "auto")
}

/// A value in another unit, to two decimals.
#[must_use]
pub fn scaled_label(value: i64, from: &str, to: &str) -> String {
    let (value, unit) = scale(value, from, to);
    let text = format!("{value:.2}");
    let text = text.strip_suffix(".00").unwrap_or(&text);
    if matches!(text, "0" | "-0") { "0".to_owned() } else { format!("{text}{unit}") }
}

/// How much of `total` that is, with at least two digits, in at least six characters.
#[must_use]
pub fn percentage(value: i64, total: i64) -> String {
    let ratio = if total == 0 { 0.0 } else { (value as f64 / total as f64).abs() * 100.0 };
    if (99.95..=100.05).contains(&ratio) {
        "  100%".to_owned()
    } else if ratio >= 1.0 {
        format!("{ratio:5.2}%")
    } else {
        format!("{:>5}%", two_digits(ratio))
    }
}

/// As C's `%.2g`, of a number from 0 to 1.
fn two_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.1e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 {
        let digits = digits.strip_suffix(".0").unwrap_or(digits);
        return format!("{digits}e-{:02}", -exponent);
    }
    let plain = format!("{value:.*}", (1 - exponent).max(0) as usize);
    if plain.contains('.') {
        plain.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_in_the_unit_that_fits() {
        let cases = [
            (0, "nanoseconds", "auto", "0"),
            (1_500_000_000, "nanoseconds", "auto", "1.50s"),
            (2_000_000_000, "ns", "ms", "2000ms"),
            (7_200_000_000_000, "nanoseconds", "auto", "2hrs"),
            (-3 << 20, "bytes", "auto", "-3MB"),
            (1 << 10, "bytes", "seconds", "1024B"),
            (5, "count", "auto", "5"),
            (5, "count", "bananas", "5bananas"),
            (5, "kb", "bananas", "5120B"),
            (1, "ns", "s", "0"),
        ];
        for (value, from, to, text) in cases {
            assert_eq!(scaled_label(value, from, to), text, "{value} {from} {to}");
        }
    }

    #[test]
    fn percentages_have_two_digits() {
        let cases = [
            (1, 1, "  100%"),
            (9996, 10000, "  100%"),
            (1, 3, "33.33%"),
            (1, 200, "  0.5%"),
            (1, 100_000, "0.001%"),
            (1, 100_000_000, "1e-06%"),
            (123, 100_000_000, "0.00012%"),
            (0, 7, "    0%"),
            (5, 0, "    0%"),
            (-1, 2, "50.00%"),
            (999, 100_000, "    1%"),
        ];
        for (value, total, text) in cases {
            assert_eq!(percentage(value, total), text, "{value} of {total}");
        }
    }
}
