use pprof_runtime::profile;

struct Word;

#[profile(name = "word")]
impl Word {
    fn stem(&self) {}
}

#[profile]
mod inside {
    #[profile(name = "trait")]
    pub trait Stem {
        fn stem(&self) {}
    }
}

fn main() {
    Word.stem();
}
