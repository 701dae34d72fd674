//! A small search service that profiles itself.
//!
//! Workers take articles from a channel, tokenise and stem them and put the words into an index behind one lock; readers rank
//! articles for queries; a crawler writes articles, faster than they are indexed. Everything it needs is in it.
//!
//! ```text
//! cargo run --release --example server [-- --addr 127.0.0.1:6060] [--seconds N] [--out DIR]
//! ```
#![forbid(unsafe_code)]

mod flags;
mod index;
mod text;

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use flags::Flags;
use index::Index;
use pprof_runtime::profile;
use pprof_runtime::sync::Mutex;
use pprof_runtime::sync::mpsc::{Receiver, SyncSender, sync_channel};
use text::Article;

const WORKERS: usize = 3;

fn main() -> ExitCode {
    let result = Flags::parse(std::env::args().skip(1)).map_err(Into::into).and_then(run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("server: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Option<Flags>) -> Result<(), Box<dyn Error>> {
    let Some(flags) = flags else {
        print!("{}", flags::USAGE);
        return Ok(());
    };
    if let Some(dir) = &flags.out {
        std::fs::create_dir_all(dir)
            .map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    }

    // What it takes to be profiled: choose what to record, and serve it.
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    pprof_runtime::set_function_profile(true);
    let server = pprof_runtime::serve(&flags.addr)?;

    let url = format!("http://{}/debug/pprof/", server.local_addr());
    println!("profiles: {url}");
    println!("try, in another terminal:");
    println!("  go tool pprof -top '{url}profile?seconds=5'");
    println!("  go tool pprof -top {url}mutex");
    println!("  go tool pprof -http=: {url}functions");
    // For the files; a CPU profile leaves no room for the one that a client asks for, so only then.
    let cpu = match &flags.out {
        Some(_) => Some(pprof_runtime::cpu::start()?),
        None => None,
    };

    let service = Service::start();
    match flags.seconds {
        Some(seconds) => thread::sleep(Duration::from_secs(seconds)),
        None => loop {
            thread::sleep(Duration::from_secs(3600));
        },
    }
    let (articles, queries) = service.stop();
    println!("indexed {articles} articles and answered {queries} queries");

    if let Some(dir) = &flags.out {
        if let Some(cpu) = cpu {
            write(&cpu.stop()?, &dir.join("cpu.pb.gz"))?;
        }
        for source in pprof_runtime::profiles() {
            write(&source.snapshot()?, &dir.join(format!("{}.pb.gz", source.name())))?;
        }
    }
    server.stop();
    Ok(())
}

fn write(profile: &pprof_runtime::Profile, path: &Path) -> Result<(), Box<dyn Error>> {
    let file = File::create(path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
    profile.write_to(file)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The service's threads and what they share.
struct Service {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

struct Shared {
    index: Mutex<Index>,
    stopping: AtomicBool,
    articles: AtomicU64,
    queries: AtomicU64,
}

impl Service {
    fn start() -> Service {
        let shared = Arc::new(Shared {
            index: Mutex::new(Index::default()),
            stopping: AtomicBool::new(false),
            articles: AtomicU64::new(0),
            queries: AtomicU64::new(0),
        });
        let mut threads = Vec::new();
        let mut start = |name: &str, body: Box<dyn FnOnce(&Shared) + Send>| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(name.to_owned());
            threads
                .push(thread.spawn(move || body(&shared)).expect("a few threads can be started"));
        };
        // One receiver for all workers, as std has it: they take turns at it.
        let (articles, queue) = sync_channel(4);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            let queue = Arc::clone(&queue);
            start("worker", Box::new(move |shared| work(shared, &queue)));
        }
        start("crawler", Box::new(move |shared| crawl(shared, &articles)));
        start("reader", Box::new(read));
        Service { shared, threads }
    }

    /// Ends all threads; returns the numbers of articles indexed and queries answered.
    fn stop(self) -> (u64, u64) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if thread.join().is_err() {
                eprintln!("server: a thread of the service panicked");
            }
        }
        (self.shared.articles.load(Ordering::Relaxed), self.shared.queries.load(Ordering::Relaxed))
    }
}

/// Writes articles until the service stops; waits while the workers are behind.
fn crawl(shared: &Shared, articles: &SyncSender<Article>) {
    for number in 0.. {
        let article = text::article(number);
        if shared.stopping.load(Ordering::Relaxed) || articles.send(article).is_err() {
            return;
        }
    }
}

/// Indexes articles until there are no more.
fn work(shared: &Shared, queue: &Mutex<Receiver<Article>>) {
    while let Some(article) = next_article(queue) {
        index_article(shared, &article);
        shared.articles.fetch_add(1, Ordering::Relaxed);
    }
}

fn next_article(queue: &Mutex<Receiver<Article>>) -> Option<Article> {
    let queue = queue.lock().expect("no worker panics while it waits");
    queue.recv().ok()
}

#[profile]
fn index_article(shared: &Shared, article: &Article) {
    let words = text::words(&article.text);
    let stems: Vec<String> = words.iter().map(|word| text::stem(word)).collect();
    add_to_index(shared, article.number, &stems);
}

/// Holds the lock for all words of an article: what the readers and the other workers wait for.
#[profile]
fn add_to_index(shared: &Shared, article: u64, stems: &[String]) {
    let mut index = shared.index.lock().expect("no thread panics with the index");
    index.add(article, stems);
}

/// Answers queries, one after the other, until the service stops.
fn read(shared: &Shared) {
    for number in 0.. {
        if shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        let found = answer(shared, &text::query(number));
        shared.queries.fetch_add(1, Ordering::Relaxed);
        std::hint::black_box(found);
        thread::sleep(Duration::from_millis(2));
    }
}

#[profile]
fn answer(shared: &Shared, query: &str) -> Vec<u64> {
    let words = text::words(query);
    let stems: Vec<String> = words.iter().map(|word| text::stem(word)).collect();
    let index = shared.index.lock().expect("no thread panics with the index");
    index.search(&stems)
}
