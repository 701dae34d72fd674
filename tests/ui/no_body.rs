use pprof_runtime::profile;

pub trait Stem {
    #[profile]
    fn stem(&self);
}

fn main() {}
