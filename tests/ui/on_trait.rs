use pprof_runtime::profile;

#[profile]
pub trait Stem {
    fn stem(&self);
}

fn main() {}
