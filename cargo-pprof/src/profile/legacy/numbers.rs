//! Numbers as Go reads them.

use super::{Refusal, Result, malformed};
use crate::numbers::integer;

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
    use super::addresses;

    #[test]
    fn addresses_are_found_anywhere() {
        let mut found = Vec::new();
        addresses("PC: 0x1f 0xgg0x2:f 0x0x3 0X4 ä0xFF", &mut found).unwrap();
        assert_eq!(found, [0x1f, 2, 0]);
        assert!(addresses("0x12345678901234567", &mut found).is_err());
    }
}
