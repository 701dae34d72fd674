#[pprof_runtime::main]
const fn main() {}
