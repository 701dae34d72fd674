//! What `perf record` has written, which `perf` itself reads best: its format follows the kernel's.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Whether a file begins as these do.
pub(super) fn is_data(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PERFILE2")
}

/// What `perf script` says of a file.
pub(super) fn script(name: &OsStr) -> Result<Vec<u8>, String> {
    let mut perf = Command::new("perf");
    perf.args(["script", "-i"]).arg(name).stdin(Stdio::null());
    let output = perf.output().map_err(|error| {
        format!("cannot run perf, which reads this file: {error}; install it, or give what perf script prints")
    })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("perf script ended with {}: {}", output.status, why.trim()));
    }
    Ok(output.stdout)
}
