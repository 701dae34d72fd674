//! Errors in the user's own code are where they would be without the attribute.

use pprof_runtime::profile;
use std::future::Future;
use std::pin::Pin;

struct Word(String);

#[profile]
impl Word {
    fn length(&self) -> usize {
        self.0
    }

    async fn later(&self) -> usize {
        self.0
    }

    fn future(&self) -> impl Future<Output = usize> {
        async move { self.1 }
    }

    fn boxed(&self) -> Pin<Box<dyn Future<Output = usize> + '_>> {
        Box::pin(async move { missing(&self.0) })
    }
}

fn main() {
    drop(Word(String::new()).length());
}
