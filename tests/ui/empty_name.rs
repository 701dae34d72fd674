use pprof_runtime::profile;

#[profile(name = "")]
fn stem() {}

fn main() {
    stem();
}
