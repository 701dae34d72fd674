//! Go's own locks and channels with the same profiles, by `go.go`; left out if there is no toolchain.

use pprof_benches::go;

use crate::{Contender, Setup, ns};

/// Go's with profiles off and on.
pub(crate) fn contenders(primitive: &'static str, setup: Setup) -> Vec<Contender> {
    let row = |name, profiles| {
        let [threads, microseconds] =
            [setup.threads as u64, setup.microseconds].map(|n| n.to_string());
        ns(name, move || go::run("contention", &[primitive, &threads, &microseconds, profiles]))
    };
    if go::is_there() { vec![row("Go, off", "off"), row("Go, on", "on")] } else { vec![] }
}
