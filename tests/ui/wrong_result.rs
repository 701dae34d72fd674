use pprof_runtime::profile;

#[profile]
fn stem(word: &str) -> usize {
    word
}

#[profile]
async fn stem_later(word: &str) -> usize {
    word
}

#[profile(time = off)]
fn stem_counted(word: &str) -> usize {
    word
}

fn main() {
    stem("words");
    stem_counted("words");
    drop(stem_later("words"));
}
