use pprof_runtime::profile;

#[profile(nmae = "stem")]
fn stem() {}

fn main() {
    stem();
}
