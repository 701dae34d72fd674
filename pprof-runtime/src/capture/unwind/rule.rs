//! How a frame's registers give its caller's: the compact form of one row of call frame information.

/// One unwind step, 8 bytes.
///
/// With `cfa` the canonical frame address, the caller's registers are
///
/// ```text
/// sp = cfa        pc = *(cfa - 8)        fp = by `FpRule`
/// ```
///
/// | `CfaRule`   | cfa                                        | met in                                   |
/// |-------------|--------------------------------------------|------------------------------------------|
/// | `Sp`        | sp + cfa_offset                            | code without frame pointer, prologues    |
/// | `Fp`        | fp + cfa_offset                            | code with frame pointer                  |
/// | `DerefSp`   | *(sp + cfa_offset)                         | realigned stacks                         |
/// | `DerefFp`   | *(fp + cfa_offset)                         | realigned stacks                         |
/// | `Plt`       | sp + 8 + ((pc & 15) >= cfa_offset ? 8 : 0) | lazy binding stubs                       |
/// | `Signal`    | from the `ucontext` at sp                  | return from a signal handler             |
/// | `End`       | none: the outermost frame                  | `_start`, `clone3`                       |
/// | `None`      | none: no rule known here                   | gaps, expressions we do not read         |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub(crate) cfa: CfaRule,
    pub(crate) fp: FpRule,
    /// Bytes; see the table.
    pub(crate) cfa_offset: i32,
    /// Bytes from the cfa (`AtCfa`) or from fp (`AtFp`).
    pub(crate) fp_offset: i16,
}

/// Where the canonical frame address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum CfaRule {
    None,
    End,
    Sp,
    Fp,
    DerefSp,
    DerefFp,
    Plt,
    Signal,
}

/// Where the caller's frame pointer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum FpRule {
    /// Untouched by this frame.
    Same,
    /// *(cfa + fp_offset).
    AtCfa,
    /// *(fp + fp_offset).
    AtFp,
    /// Not recoverable; zero from here on, so that nothing can be derived from it by accident.
    Lost,
}

impl Rule {
    pub(crate) const NONE: Rule = Rule::of(CfaRule::None);
    pub(crate) const END: Rule = Rule::of(CfaRule::End);
    pub(crate) const SIGNAL: Rule = Rule::of(CfaRule::Signal);
    /// `push rbp; mov rbp, rsp`: what code without any information is assumed to have done.
    pub(crate) const FRAME_POINTER: Rule =
        Rule { cfa: CfaRule::Fp, fp: FpRule::AtCfa, cfa_offset: 16, fp_offset: -16 };

    const fn of(cfa: CfaRule) -> Rule {
        Rule { cfa, fp: FpRule::Lost, cfa_offset: 0, fp_offset: 0 }
    }

    /// Packs into one word for the cache: cfa, fp, fp_offset, cfa_offset from the lowest byte up.
    pub(crate) fn to_bits(self) -> u64 {
        (self.cfa as u64)
            | (self.fp as u64) << 8
            | u64::from(self.fp_offset as u16) << 16
            | u64::from(self.cfa_offset as u32) << 32
    }

    /// The inverse of `to_bits`; `None` for a word that no rule packs to.
    pub(crate) fn from_bits(bits: u64) -> Option<Rule> {
        let cfa = match bits as u8 {
            0 => CfaRule::None,
            1 => CfaRule::End,
            2 => CfaRule::Sp,
            3 => CfaRule::Fp,
            4 => CfaRule::DerefSp,
            5 => CfaRule::DerefFp,
            6 => CfaRule::Plt,
            7 => CfaRule::Signal,
            _ => return None,
        };
        let fp = match (bits >> 8) as u8 {
            0 => FpRule::Same,
            1 => FpRule::AtCfa,
            2 => FpRule::AtFp,
            3 => FpRule::Lost,
            _ => return None,
        };
        Some(Rule { cfa, fp, fp_offset: (bits >> 16) as i16, cfa_offset: (bits >> 32) as i32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_one_word_and_packs_both_ways() {
        assert_eq!(size_of::<Rule>(), 8);
        for rule in [
            Rule::NONE,
            Rule::END,
            Rule::SIGNAL,
            Rule::FRAME_POINTER,
            Rule { cfa: CfaRule::Sp, fp: FpRule::AtCfa, cfa_offset: i32::MIN, fp_offset: i16::MIN },
            Rule { cfa: CfaRule::DerefFp, fp: FpRule::AtFp, cfa_offset: -8, fp_offset: 0 },
            Rule { cfa: CfaRule::Plt, fp: FpRule::Same, cfa_offset: 11, fp_offset: 0 },
        ] {
            assert_eq!(Rule::from_bits(rule.to_bits()), Some(rule));
        }
        assert_eq!(Rule::from_bits(u64::MAX), None);
    }
}
