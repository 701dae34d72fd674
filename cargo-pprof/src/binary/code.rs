//! Machine code as text.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, IntelFormatter, OpKind};
use object::{Architecture, Object, ObjectSection, SectionKind};
use yaxpeax_arch::{Arch, Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64::ARMv8;

use super::{Binary, Symbols};
use crate::demangle::{Style, demangle};

/// How code is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Source before destination, as AT&T did.
    Att,
    /// Destination before source.
    Intel,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it is.
    pub address: u64,
    /// Bytes that it has.
    pub length: u64,
    /// As text.
    pub text: String,
}

/// More than one function has; whoever asks for more is told so.
const MAX_BYTES: u64 = 4 << 20;

impl Binary {
    /// The instructions from one address up to another, those of them that are wanted. Where there is none, a byte is taken for one.
    ///
    /// # Errors
    /// There is no code, or it is for a machine that is not known here.
    pub fn disassemble(
        &self,
        range: Range<u64>,
        syntax: Syntax,
        symbols: &Symbols<'_>,
        wanted: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Instruction>, String> {
        let code = Code { bytes: self.code(&range)?, start: range.start, symbols, wanted };
        match self.architecture() {
            Architecture::X86_64 => Ok(code.x86(64, syntax)),
            Architecture::I386 => Ok(code.x86(32, syntax)),
            Architecture::Aarch64 => Ok(code.aarch64()),
            other => Err(format!(
                "{}: code of {other:?} cannot be disassembled, only that of x86 and AArch64",
                self.path().display()
            )),
        }
    }

    fn code(&self, range: &Range<u64>) -> Result<&[u8], String> {
        let Range { start, end } = *range;
        let missing = || format!("{} has no code at {start:#x}", self.path().display());
        let object = self.object().map_err(|error| error.to_string())?;
        let is_here = |section: &object::Section<'_, '_>| {
            let into = start.checked_sub(section.address());
            section.kind() == SectionKind::Text && into.is_some_and(|into| into < section.size())
        };
        let section = object.sections().find(is_here).ok_or_else(missing)?;
        let (offset, size) = section.file_range().ok_or_else(missing)?;
        let into = start - section.address();
        let length = end.saturating_sub(start).min(size.saturating_sub(into));
        if length > MAX_BYTES {
            return Err(format!("{length} bytes of code are more than can be shown"));
        }
        let from = usize::try_from(offset.saturating_add(into)).map_err(|_| missing())?;
        let bytes = self.bytes.get(from..).and_then(|bytes| bytes.get(..length as usize));
        bytes.ok_or_else(missing)
    }
}

/// Code that is put into words.
struct Code<'c> {
    bytes: &'c [u8],
    start: u64,
    symbols: &'c Symbols<'c>,
    wanted: &'c dyn Fn(u64) -> bool,
}

impl Code<'_> {
    fn x86(&self, bits: u32, syntax: Syntax) -> Vec<Instruction> {
        let mut formatter: Box<dyn Formatter> = match syntax {
            Syntax::Att => Box::new(GasFormatter::new()),
            Syntax::Intel => Box::new(IntelFormatter::new()),
        };
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_branch_leading_zeros(false);
        options.set_space_after_operand_separator(true);
        options.set_rip_relative_addresses(true);
        options.set_show_branch_size(false);
        let decoder = Decoder::with_ip(bits, self.bytes, self.start, DecoderOptions::NONE);
        let wanted = decoder.into_iter().filter(|instruction| (self.wanted)(instruction.ip()));
        wanted
            .map(|instruction| {
                let mut text = String::new();
                formatter.format(&instruction, &mut text);
                let is_branch = matches!(
                    instruction.op0_kind(),
                    OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
                );
                if is_branch {
                    text += &self.place(instruction.near_branch_target());
                } else if instruction.is_ip_rel_memory_operand() {
                    text += &self.place(instruction.ip_rel_memory_address());
                }
                Instruction { address: instruction.ip(), length: instruction.len() as u64, text }
            })
            .collect()
    }

    fn aarch64(&self) -> Vec<Instruction> {
        const LENGTH: u64 = 4;
        let decoder = <ARMv8 as Arch>::Decoder::default();
        let words = (0..).zip(self.bytes.chunks_exact(LENGTH as usize));
        let words = words
            .map(|(index, word): (u64, &[u8])| (self.start.wrapping_add(index * LENGTH), word));
        words
            .filter(|(address, _)| (self.wanted)(*address))
            .map(|(address, word)| {
                let text = match decoder.decode(&mut U8Reader::new(word)) {
                    Ok(instruction) => self.with_target(instruction.to_string(), address),
                    Err(_) => {
                        let word = u32::from_le_bytes(word.try_into().unwrap_or_default());
                        format!(".word {word:#010x}")
                    }
                };
                Instruction { address, length: LENGTH, text }
            })
            .collect()
    }

    /// With the address that a branch leads to, not the distance.
    fn with_target(&self, mut text: String, address: u64) -> String {
        if let (Some(target), Some(at)) = (branch_target(&text, address), text.find('$')) {
            text.truncate(at);
            text += &format!("{target:#x}{}", self.place(target));
        }
        text
    }

    /// `<name+0x10>` of an address, for the eyes.
    fn place(&self, address: u64) -> String {
        let Some(symbol) = self.symbols.of(address) else { return String::new() };
        let name = symbol.name();
        let name = demangle(&name, Style::Short);
        match address - symbol.start {
            0 => format!(" <{name}>"),
            into => format!(" <{name}+{into:#x}>"),
        }
    }
}

/// Where `$+0x10` leads to.
fn branch_target(text: &str, address: u64) -> Option<u64> {
    let (_, distance) = text.split_once('$')?;
    let (sign, digits) = distance.split_at_checked(1)?;
    let digits = digits.strip_prefix("0x")?;
    let distance =
        u64::from_str_radix(digits.trim_end_matches(|c: char| !c.is_ascii_hexdigit()), 16).ok()?;
    match sign {
        "+" => address.checked_add(distance),
        "-" => address.checked_sub(distance),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: Vec<Instruction>) -> Vec<(u64, u64, String)> {
        code.into_iter().map(|i| (i.address, i.length, i.text)).collect()
    }

    #[test]
    fn code_of_each_machine_is_read() {
        let symbols = Symbols::default();
        let of = |bytes| Code { bytes, start: 16, symbols: &symbols, wanted: &|_| true };
        let code = [0x50, 0xe8, 0x0a, 0, 0, 0, 0xc3];
        let expected = [(16, 1, "push %rax"), (17, 5, "call 0x20"), (22, 1, "ret")];
        let expected = expected.map(|(address, length, text)| (address, length, text.to_owned()));
        assert_eq!(texts(of(&code).x86(64, Syntax::Att)), expected);
        let expected = [(16, 1, "push eax"), (17, 5, "call 0x20"), (22, 1, "ret")];
        let expected = expected.map(|(address, length, text)| (address, length, text.to_owned()));
        assert_eq!(texts(of(&code).x86(32, Syntax::Intel)), expected);
        // A branch, a return, and what is none.
        let code = [4, 0, 0, 0x94, 0xc0, 3, 0x5f, 0xd6, 0, 0, 0, 0, 1];
        let expected = [(16, 4, "bl 0x20"), (20, 4, "ret"), (24, 4, "udf #0x0")];
        let expected = expected.map(|(address, length, text)| (address, length, text.to_owned()));
        assert_eq!(texts(of(&code).aarch64()), expected);
        assert_eq!(branch_target("bl $+0x10", 16), Some(32));
        assert_eq!(branch_target("b.ne $-0x10", 32), Some(16));
        assert_eq!(branch_target("ret", 32), None);
    }
}
