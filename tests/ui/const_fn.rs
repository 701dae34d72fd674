use pprof_runtime::profile;

#[profile]
pub const fn answer() -> u32 {
    42
}

fn main() {
    answer();
}
