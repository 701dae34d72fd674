#[pprof_runtime::main(cpu = 100)]
fn main() {}
