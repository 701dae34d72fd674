#[pprof_runtime::main]
fn helper() {}

#[pprof_runtime::main]
struct Main;

struct Program;

impl Program {
    #[pprof_runtime::main]
    fn main(&self) {}
}

fn main() {
    helper();
    Program.main();
    let _ = Main;
}
