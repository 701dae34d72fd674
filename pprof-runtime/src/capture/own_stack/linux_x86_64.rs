//! Where the calling thread's stack ends, from `/proc/self/maps`, for code that may not ask libc.
//!
//! The mapping that the stack pointer lies in is a thread's own stack if the thread's control block lies in it, which glibc and musl put at
//! the top of every stack that they begin; up to there it stays mapped while the thread lives, whatever the kernel has joined to it above.
//! The main thread's is the one that the kernel calls `[stack]`. A coroutine's is neither.

use std::arch::asm;

/// Bytes of the list that are read at most: some ten thousand mappings.
const MAX_BYTES: usize = 1 << 20;

/// `(lowest, end)` of the stack that `sp` is on.
///
/// # Signal safety
/// Bare system calls, through `syscall`, which is no cancellation point as `open` and `read` are.
pub(super) fn find(sp: u64) -> Option<(u64, u64)> {
    let path = c"/proc/self/maps".as_ptr();
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: SIGNAL-SAFE: a bare system call on a string of ours.
    let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags) };
    if file < 0 {
        return None;
    }
    let found = search(sp, |buffer| {
        // SAFETY: SIGNAL-SAFE: a bare system call that fills a buffer of ours.
        let n = unsafe { libc::syscall(libc::SYS_read, file, buffer.as_mut_ptr(), buffer.len()) };
        usize::try_from(n).unwrap_or(0)
    });
    // SAFETY: SIGNAL-SAFE: a bare system call on the file opened above.
    unsafe { libc::syscall(libc::SYS_close, file) };
    let Mapping { start, end, is_main } = found?;
    let control_block = control_block();
    if is_main {
        Some((start, end))
    } else if sp < control_block && control_block < end {
        Some((start, control_block & !7))
    } else {
        None
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    is_main: bool,
}

/// The mapping that holds `address`, of lines `start-end perms offset dev inode name`.
fn search(address: u64, mut read: impl FnMut(&mut [u8]) -> usize) -> Option<Mapping> {
    let mut buffer = [0; 1024];
    let mut line = Line::default();
    let mut total = 0;
    while total < MAX_BYTES {
        let n = read(&mut buffer);
        if n == 0 {
            break;
        }
        total += n;
        for byte in buffer.get(..n)? {
            if *byte != b'\n' {
                line.push(*byte);
                continue;
            }
            let mapping = std::mem::take(&mut line).mapping();
            if mapping.start <= address && address < mapping.end {
                return Some(mapping);
            }
        }
    }
    None
}

#[derive(Default)]
struct Line {
    /// Start and end, as far as they were read.
    bounds: [u64; 2],
    /// Whether both are over, or the first.
    fields: usize,
    /// The last bytes of the line.
    tail: u64,
}

impl Line {
    fn push(&mut self, byte: u8) {
        self.tail = self.tail << 8 | u64::from(byte);
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match (digit, self.bounds.get_mut(self.fields)) {
            (Some(digit), Some(bound)) => *bound = *bound << 4 | digit,
            (None, Some(_)) => self.fields += 1,
            (_, None) => {}
        }
    }

    fn mapping(self) -> Mapping {
        let [start, end] = self.bounds;
        let is_main = self.tail << 8 == u64::from_be_bytes(*b"[stack]\0");
        Mapping { start, end, is_main }
    }
}

/// The thread pointer, which both C libraries keep in the first word that it points to.
fn control_block() -> u64 {
    let address;
    // SAFETY: the first word of the control block is always readable; touches neither stack nor flags.
    unsafe {
        asm!("mov {}, fs:0", out(reg) address, options(nostack, readonly, preserves_flags));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_is_found_wherever_reads_end() {
        let maps = b"\
            55d0c0000000-55d0c0001000 r--p 00000000 08:01 1234  /usr/bin/[stack]x\n\
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n";
        let find = |address, step: usize| {
            let mut rest = &maps[..];
            search(address, |buffer| {
                let n = step.min(rest.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                n
            })
        };
        for step in [1, 7, 64, 1000] {
            let mapping = |start, end, is_main| Some(Mapping { start, end, is_main });
            assert_eq!(find(0x7f0000000000, step), mapping(0x7f0000000000, 0x7f0000021000, false));
            assert_eq!(find(0x7ffc00020fff, step), mapping(0x7ffc00000000, 0x7ffc00021000, true));
            assert_eq!(find(0x55d0c0000010, step), mapping(0x55d0c0000000, 0x55d0c0001000, false));
            assert_eq!(find(0x7f0000021000, step), None);
        }
    }
}
