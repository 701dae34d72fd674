//! Every `fn main` that can have `#[pprof_runtime::main]`, in modules of one program: its argument says which is run.

use std::process::ExitCode;

use pprof_runtime as elsewhere;

mod exit_code {
    use std::process::ExitCode;

    #[pprof_runtime::main]
    pub(super) fn main() -> ExitCode {
        ExitCode::from(7)
    }
}

mod never {
    #[crate::elsewhere::main(crate = crate::elsewhere)]
    pub(super) fn main() -> ! {
        //! With attributes inside.
        #![allow(clippy::diverging_sub_expression)]
        std::process::exit(7)
    }
}

mod profile_below {
    use pprof_runtime::profile;

    #[pprof_runtime::main]
    #[profile(name = "main")]
    pub(super) fn main() {}
}

mod profile_above {
    #[pprof_runtime::profile(name = "main")]
    #[pprof_runtime::main]
    pub(super) fn main() {}
}

mod tokio_below {
    use std::error::Error;

    #[pprof_runtime::main]
    #[tokio::main(flavor = "multi_thread", worker_threads = 1)]
    #[pprof_runtime::profile(name = "main")]
    pub(super) async fn main() -> Result<(), Box<dyn Error>> {
        super::in_a_task().await;
        "no number".parse::<u32>()?;
        Ok(())
    }
}

mod tokio_above {
    #[tokio::main(flavor = "current_thread")]
    #[pprof_runtime::profile(name = "main")]
    #[pprof_runtime::main]
    pub(super) async fn main() {
        super::in_a_task().await;
    }
}

mod tokio_above_all {
    #[tokio::main(flavor = "current_thread")]
    #[pprof_runtime::main]
    pub(super) async fn main() {
        super::main_is_a_call().await;
    }
}

async fn in_a_task() {
    tokio::spawn(async { tokio::task::yield_now().await }).await.unwrap();
}

#[pprof_runtime::profile(name = "main")]
async fn main_is_a_call() {
    in_a_task().await;
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref().unwrap_or_default() {
        "exit_code" => return exit_code::main(),
        "never" => never::main(),
        "profile_below" => profile_below::main(),
        "profile_above" => profile_above::main(),
        "tokio_below" => assert!(tokio_below::main().is_err()),
        "tokio_above" => tokio_above::main(),
        "tokio_above_all" => tokio_above_all::main(),
        "by hand" => by_hand(),
        other => panic!("{other:?} is no main of this program"),
    }
    ExitCode::SUCCESS
}

#[pprof_runtime::profile]
fn called() {}

/// `env::start` instead of the attribute.
fn by_hand() {
    let started = pprof_runtime::env::start();
    let again = pprof_runtime::env::start();
    match started {
        Ok(guard) => {
            let again = again.map(|_| ()).map_err(|e| e.kind());
            called();
            match guard.stop() {
                Ok(files) => println!("{again:?} {} files", files.len()),
                Err(e) => println!("{:?} {e}", e.kind()),
            }
            drop(pprof_runtime::env::start().expect("the first one has been stopped"));
        }
        Err(e) => {
            let off = pprof_runtime::set_mutex_profile_fraction(-1) == 0;
            println!("{:?} {e}; nothing is on: {off}", e.kind());
        }
    }
}
