//! Numbers as Go reads them.

use super::{Refusal, Result, malformed};

/// A number in the notation of Go's sources, as `strconv.ParseInt` takes it with base 0: `-12`, `0x1f`, `0b1`, `017` and `0o17`, `1_000`.
pub(super) fn integer(text: &str) -> Option<i64> {
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

/// A decimal number of a sample, of which `line` is told if it is too large.
pub(super) fn decimal(text: &str, line: &str) -> Result<i64> {
    text.parse().or_else(|_| malformed("malformed sample: a number is out of range", line))
}

/// Appends all numbers in a text that are written as `0x12ab`.
pub(super) fn addresses(text: &str, found: &mut Vec<u64>) -> Result<()> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("0x") {
        let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        let (digits, after) = after.split_at(after.find(|c| !is_digit(c)).unwrap_or(after.len()));
        if !digits.is_empty() {
            let Ok(address) = u64::from_str_radix(digits, 16) else {
                return malformed("malformed sample: an address has more than 64 bits", text);
            };
            found.push(address);
        }
        rest = after;
    }
    Ok(())
}

/// An attribute's number; one that is none says that the file is in another format.
pub(super) fn attribute(text: &str) -> Result<i64> {
    integer(text).ok_or(Refusal::Unknown)
}

#[cfg(test)]
mod tests {
    use super::{addresses, integer};

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
    fn addresses_are_found_anywhere() {
        let mut found = Vec::new();
        addresses("PC: 0x1f 0xgg0x2:f 0x0x3 0X4 ä0xFF", &mut found).unwrap();
        assert_eq!(found, [0x1f, 2, 0]);
        assert!(addresses("0x12345678901234567", &mut found).is_err());
    }
}
