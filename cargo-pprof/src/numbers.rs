//! Numbers as Go reads them.

/// A number in the notation of Go's sources, as `strconv.ParseInt` takes it with base 0: `-12`, `0x1f`, `0b1`, `017` and `0o17`, `1_000`.
#[must_use]
pub fn integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let size = i128::from(unsigned(digits)?);
    i64::try_from(if is_negative { -size } else { size }).ok()
}

fn unsigned(text: &str) -> Option<u64> {
    let (radix, digits) = match text.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', _, ..] => (16, text.get(2..)?),
        [b'0', b'b' | b'B', _, ..] => (2, text.get(2..)?),
        [b'0', b'o' | b'O', _, ..] => (8, text.get(2..)?),
        [b'0', ..] => (8, &text[1..]),
        _ => (10, text),
    };
    // Underscores lie between digits, of which the sign of the base is one.
    let mut may_be_underscore = radix != 10;
    let mut value: u64 = 0;
    for c in digits.chars() {
        if c == '_' {
            if !may_be_underscore {
                return None;
            }
            may_be_underscore = false;
        } else {
            let digit = c.to_digit(radix)?;
            value = value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
            may_be_underscore = true;
        }
    }
    if digits.ends_with('_') { None } else { Some(value) }
}

/// The same as `strconv.ParseFloat`: `1e3`, `.5`, `0x1.8p3`, `1_000.5`, `-inf`, `nan`.
#[must_use]
pub fn float(text: &str) -> Option<f64> {
    let plain = without_underscores(&text.to_lowercase())?;
    let value = match unsigned_part(&plain).strip_prefix("0x") {
        Some(digits) => {
            let size = hexadecimal(digits)?;
            if plain.starts_with('-') { -size } else { size }
        }
        None => plain.parse::<f64>().ok()?,
    };
    // What is too large is no infinity, unless it is called that.
    (!value.is_infinite() || plain.contains("inf")).then_some(value)
}

fn unsigned_part(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

/// Nothing if one lies elsewhere than between digits, of which the sign of the base is one.
fn without_underscores(text: &str) -> Option<String> {
    let digits = unsigned_part(text).as_bytes();
    let is_hexadecimal = digits.starts_with(b"0x");
    let is_digit = |at: usize| {
        digits.get(at).is_some_and(|digit| match is_hexadecimal {
            true => at == 1 || digit.is_ascii_hexdigit(),
            false => digit.is_ascii_digit(),
        })
    };
    let lies_right = |at: usize| at > 0 && is_digit(at - 1) && is_digit(at + 1);
    let mut places = (0..digits.len()).filter(|at| digits[*at] == b'_');
    places.all(lies_right).then(|| text.replace('_', ""))
}

/// Digits with a point, and a power of two, as in `1.8p3`, which is 12.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, power) = text.split_once('p')?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = 0.0;
    for digit in whole.chars().chain(part.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let has_digits = !(whole.is_empty() && part.is_empty());
    let power: i32 = power.parse().ok().filter(|_| has_digits)?;
    let places = i32::try_from(part.len()).ok()?.checked_mul(4)?;
    Some(value * 2f64.powi(power.checked_sub(places)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_go() {
        let cases = [
            ("0", Some(0)),
            ("-12", Some(-12)),
            ("+7", Some(7)),
            ("017", Some(15)),
            ("0o17", Some(15)),
            ("08", None),
            ("0X1f", Some(31)),
            ("0b101", Some(5)),
            ("1_000", Some(1000)),
            ("0x_1", Some(1)),
            ("0_7", Some(7)),
            ("_1", None),
            ("1__0", None),
            ("1_", None),
            ("0x_", None),
            ("0x", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("1 ", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("99999999999999999999999", None),
            ("0ä", None),
        ];
        for (text, number) in cases {
            assert_eq!(integer(text), number, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_by_go() {
        let cases = [
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1_0.2_5", Some(10.25)),
            ("0x1p4", Some(16.0)),
            ("-0x_1.8p3", Some(-12.0)),
            ("0x.8P0", Some(0.5)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("infinity", Some(f64::INFINITY)),
            ("1e400", None),
            ("0x1p99999", None),
            ("0x1", None),
            ("0xp1", None),
            ("1e_3", None),
            ("1_.5", None),
            ("", None),
            ("x", None),
        ];
        for (text, value) in cases {
            assert_eq!(float(text), value, "{text}");
        }
        assert!(float("nan").expect("of its kind").is_nan());
    }
}
