//! Two profiles as one; the first byte says how long the first is.
#![no_main]

use cargo_pprof::{fetch, profile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((at, bytes)) = bytes.split_first() else { return };
    let Some((one, other)) = bytes.split_at_checked(usize::from(*at) * 4) else { return };
    let (Ok(one), Ok(other)) = (fetch::decode(one.to_vec()), fetch::decode(other.to_vec())) else {
        return;
    };
    let mut profiles = vec![one, other];
    if profile::make_compatible(&mut profiles).is_ok() {
        let [one, base] = profiles.as_mut_slice() else { return };
        let _ = profile::normalize(one, base);
        let _ = profile::merge(profiles);
    }
});
