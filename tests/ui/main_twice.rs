#[pprof_runtime::main]
#[pprof_runtime::main]
fn main() {}
