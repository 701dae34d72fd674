use pprof_runtime::profile;

#[profile(labels(user))]
fn no_such_argument(id: u64) -> u64 {
    id
}

#[profile(labels)]
fn no_labels(_id: u64) {}

#[profile(labels())]
fn none(_id: u64) {}

#[profile(labels(5))]
fn not_a_key(_id: u64) {}

#[profile(labels("" = id))]
fn empty_key(id: u64) -> u64 {
    id
}

struct NotDisplayed;

#[profile(labels(id, "secret" = secret))]
fn not_displayed(id: u64, secret: NotDisplayed) -> u64 {
    drop(secret);
    id
}

#[profile(labels(id))]
impl NotDisplayed {
    fn method(&self, _id: u64) {}
}

fn main() {
    no_such_argument(1);
    no_labels(1);
    none(1);
    not_a_key(1);
    empty_key(1);
    not_displayed(1, NotDisplayed);
    NotDisplayed.method(1);
}
