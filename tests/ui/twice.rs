use pprof_runtime::profile;

#[profile]
#[inline]
#[profile(name = "again")]
fn twice() {}

#[profile]
#[pprof_runtime::profile]
fn by_its_path() {}

struct Word;

#[profile]
#[profile]
impl Word {
    fn stem(&self) {}
}

#[profile]
#[cfg_attr(all(), cfg_attr(all(), profile))]
mod words {
    pub fn stem() {}
}

#[profile]
mod inside {
    #[pprof_runtime::profile(name = "const")]
    const fn asked_for() {}

    const fn not_asked_for() {}

    #[pprof_runtime::profile]
    #[pprof_runtime::profile(skip)]
    pub mod deeper {}
}

fn main() {
    Word.stem();
    words::stem();
}
