//! Files of all formats: what is read can be written, and that read again.
#![no_main]

use cargo_pprof::{fetch, lint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = lint::lint(bytes);
    if let Ok(profile) = fetch::decode(bytes.to_vec()) {
        let mut written = Vec::new();
        profile.write(&mut written).expect("memory");
        let again = fetch::decode(written).expect("what is written is read");
        assert_eq!(again.samples.len(), profile.samples.len());
    }
});
