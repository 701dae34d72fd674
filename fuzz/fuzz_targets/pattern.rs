//! Regular expressions and filters of labels.
#![no_main]

use cargo_pprof::filter::TagFilter;
use cargo_pprof::pattern::Pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(pattern) = Pattern::new(text) {
        let _ = pattern.matches("core::ops::function::FnOnce::call_once{{vtable.shim}}");
    }
    let _ = TagFilter::new(text);
});
