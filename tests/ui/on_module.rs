use pprof_runtime::profile;

#[profile]
mod words {
    pub fn stem() {}
}

fn main() {
    words::stem();
}
