#[pprof_runtime::profile]
mod words;

fn main() {}
