//! Building an object's unwind table from its `.eh_frame`, outside any handler.
//!
//! The bytes are copied while the loader's lock keeps the object in place, then parsed at leisure: an object may be
//! unloaded by another thread at any moment.

use std::collections::HashMap;

use gimli::{
    BaseAddresses, CfaRule as GimliCfa, CieOrFde, EhFrame, EhFrameHdr, EhFrameOffset, NativeEndian,
    Operation, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
};

use super::rule::{CfaRule, FpRule, Rule};
use super::table::{ModuleTable, Rows};

type Slice<'a> = gimli::EndianSlice<'a, NativeEndian>;

/// DWARF register numbers of x86_64 (System V psABI, figure 3.36).
const RBP: Register = Register(6);
const RSP: Register = Register(7);
const RETURN_ADDRESS: Register = Register(16);

/// An object's unwind sections, copied out of memory.
#[derive(Debug)]
pub(crate) struct Sections {
    /// Runtime address of `.eh_frame_hdr`.
    pub(crate) hdr_address: u64,
    /// Runtime address of `bytes`, which begin with or before `.eh_frame`.
    pub(crate) address: u64,
    /// From there to the end of its segment.
    pub(crate) bytes: Vec<u8>,
}

impl Sections {
    /// Where `.eh_frame` lies, according to a copied `.eh_frame_hdr`.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(crate) fn eh_frame_address(hdr: &[u8], hdr_address: u64) -> Option<u64> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(hdr_address);
        let parsed = EhFrameHdr::new(hdr, NativeEndian).parse(&bases, 8).ok()?;
        match parsed.eh_frame_ptr() {
            gimli::Pointer::Direct(address) => Some(address),
            gimli::Pointer::Indirect(_) => None,
        }
    }
}

/// The table of the object whose code starts at `base`.
///
/// Information that does not parse is left out: its code then has no rule.
pub(crate) fn table(base: u64, sections: &Sections) -> ModuleTable {
    let bases = BaseAddresses::default()
        .set_eh_frame_hdr(sections.hdr_address)
        .set_eh_frame(sections.address);
    let eh_frame = EhFrame::new(&sections.bytes, NativeEndian);
    let mut cies = HashMap::new();
    let mut cie = |eh_frame: &EhFrame<_>, bases: &_, offset| match cies.get(&offset) {
        Some(cie) => Ok(Clone::clone(cie)),
        None => {
            let cie = eh_frame.cie_from_offset(bases, offset)?;
            cies.insert(offset, Clone::clone(&cie));
            Ok(cie)
        }
    };
    // Entries lie in the linker's order, not by address. They are a tenth of their rows, which would be megabytes.
    let mut functions = Vec::new();
    let mut entries = eh_frame.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(fde) = partial.parse(&mut cie)
        {
            functions.push((fde.initial_address(), EhFrameOffset(fde.offset())));
        }
    }
    functions.sort_unstable_by_key(|(start, offset)| (*start, offset.0));
    let mut context = UnwindContext::new();
    let mut rows = Rows::new(base);
    for (start, offset) in functions {
        let Ok(fde) = eh_frame.fde_from_offset(&bases, offset, &mut cie) else { continue };
        let Ok(mut table) = fde.rows(&eh_frame, &bases, &mut context) else { continue };
        rows.begin(start);
        let is_signal_frame = fde.is_signal_trampoline();
        while let Ok(Some(row)) = table.next_row() {
            let rule = if is_signal_frame { Rule::SIGNAL } else { rule_of(row, &eh_frame) };
            rows.push(row.start_address(), rule);
        }
        rows.push(start.saturating_add(fde.len()), Rule::NONE);
    }
    rows.into_table()
}

fn rule_of(row: &gimli::UnwindTableRow<usize>, section: &EhFrame<Slice<'_>>) -> Rule {
    match row.register(RETURN_ADDRESS) {
        Some(RegisterRule::Undefined) => return Rule::END,
        Some(RegisterRule::Offset(-8)) => {}
        _ => return Rule::NONE,
    }
    let Some((cfa, cfa_offset)) = cfa_of(row.cfa(), section) else { return Rule::NONE };
    let Some((fp, fp_offset)) = fp_of(row.register(RBP), section) else { return Rule::NONE };
    Rule { cfa, fp, cfa_offset, fp_offset }
}

fn cfa_of(cfa: &GimliCfa<usize>, section: &EhFrame<Slice<'_>>) -> Option<(CfaRule, i32)> {
    match cfa {
        GimliCfa::RegisterAndOffset { register, offset } => {
            let offset = i32::try_from(*offset).ok()?;
            match *register {
                RSP => Some((CfaRule::Sp, offset)),
                RBP => Some((CfaRule::Fp, offset)),
                _ => None,
            }
        }
        GimliCfa::Expression(expression) => match operations(expression, section)?.as_slice() {
            [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { .. }] => {
                let offset = i32::try_from(*offset).ok()?;
                match *register {
                    RSP => Some((CfaRule::DerefSp, offset)),
                    RBP => Some((CfaRule::DerefFp, offset)),
                    _ => None,
                }
            }
            // sp + 8 + ((pc & 15) >= threshold) << 3, written by linkers for the procedure linkage table.
            [
                Operation::RegisterOffset { register: RSP, offset: 8, .. },
                Operation::RegisterOffset { register: RETURN_ADDRESS, offset: 0, .. },
                Operation::UnsignedConstant { value: 15 },
                Operation::And,
                Operation::UnsignedConstant { value: threshold },
                Operation::Ge,
                Operation::UnsignedConstant { value: 3 },
                Operation::Shl,
                Operation::Plus,
            ] => Some((CfaRule::Plt, i32::try_from(*threshold).ok()?)),
            _ => None,
        },
    }
}

fn fp_of(rule: Option<RegisterRule<usize>>, section: &EhFrame<Slice<'_>>) -> Option<(FpRule, i16)> {
    match rule {
        None | Some(RegisterRule::SameValue) => Some((FpRule::Same, 0)),
        Some(RegisterRule::Undefined) => Some((FpRule::Lost, 0)),
        Some(RegisterRule::Offset(offset)) => Some((FpRule::AtCfa, i16::try_from(offset).ok()?)),
        Some(RegisterRule::Expression(expression)) => {
            match operations(&expression, section)?.as_slice() {
                [Operation::RegisterOffset { register: RBP, offset, .. }] => {
                    Some((FpRule::AtFp, i16::try_from(*offset).ok()?))
                }
                _ => Some((FpRule::Lost, 0)),
            }
        }
        // The pc and the cfa are still good; only what depends on fp further out is not.
        Some(_) => Some((FpRule::Lost, 0)),
    }
}

fn operations<'a>(
    expression: &UnwindExpression<usize>,
    section: &EhFrame<Slice<'a>>,
) -> Option<Vec<Operation<Slice<'a>>>> {
    let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 5 };
    let mut operations = expression.get(section).ok()?.operations(encoding);
    let mut list = Vec::new();
    while let Some(operation) = operations.next().ok()? {
        list.push(operation);
        if list.len() > 16 {
            return None;
        }
    }
    Some(list)
}
