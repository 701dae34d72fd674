use pprof_runtime::profile;

#[profile(name = "stem", name = "root")]
fn stem() {}

fn main() {
    stem();
}
