use pprof_runtime::profile;

struct Word;

#[profile]
impl Word {
    fn stem(&self) {}
}

fn main() {
    Word.stem();
}
