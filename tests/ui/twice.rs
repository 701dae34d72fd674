use pprof_runtime::profile;

#[profile]
#[inline]
#[profile(name = "again")]
fn twice() {}

#[profile]
#[pprof_runtime::profile]
fn by_its_path() {}

fn main() {}
