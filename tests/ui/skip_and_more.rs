use pprof_runtime::profile;

#[profile(skip, name = "word")]
fn word() {}

struct Word;

#[profile]
impl Word {
    #[profile(skipped)]
    fn stem(&self) {}

    #[profile = "skip"]
    fn case(&self) {}
}

fn main() {
    word();
    Word.stem();
    Word.case();
}
