use pprof_runtime::profile;

#[profile]
fn stem(word: &str) -> usize {
    word
}

#[profile]
async fn stem_later(word: &str) -> usize {
    word
}

fn main() {
    stem("words");
    drop(stem_later("words"));
}
