use pprof_runtime::profile;

#[profile]
#[derive(Default)]
pub struct Word(String);

fn main() {
    Word::default();
}
