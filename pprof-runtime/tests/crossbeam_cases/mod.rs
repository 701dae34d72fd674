//! What a program may expect of `crossbeam_channel`, told without naming whose channels they are: the file that includes this one has
//! `channel` in scope.
//!
//! A case that needs the other side to be waiting gives it `A_MOMENT` to get there. Where the moment proves too short, the case checks
//! less, but it does not fail.

mod grammar;
mod halves;
mod select;
mod timers;
mod traits;
mod waits;

use std::time::Duration;

const A_MOMENT: Duration = Duration::from_millis(15);

/// Long enough never to pass in a case that ends well.
const AGES: Duration = Duration::from_secs(60);
