//! Tells the crate what `cfg` does not on a stable compiler: whether the program is built with a sanitizer.
//!
//! It also makes room for the key `links` in `Cargo.toml`, for which cargo demands a build script: the profiler's state, signals and C
//! functions are the process's, so two versions of it in one program are refused when dependencies are resolved.

/// Sanitizers that stand before functions of libc, as the feature `futex` does.
const INTERCEPTING: [&str; 5] = ["address", "hwaddress", "leak", "memory", "thread"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(sanitized)");
    let sanitizers = std::env::var("CARGO_CFG_SANITIZE").unwrap_or_default();
    if sanitizers.split(',').any(|name| INTERCEPTING.contains(&name)) {
        println!("cargo::rustc-cfg=sanitized");
    }
}
