// Included twice by main.rs, with `locks` of std and with profiled ones.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use locks::{Mutex, RwLock, mpsc, thread};

const WORKERS: u64 = 6;
const IMAGES: u64 = 64;

struct Service {
    /// Few shards, as memory was short once.
    thumbnails: DashMap<u64, Arc<Vec<u8>>>,
    originals: r2d2::Pool<Originals>,
    sessions: RwLock<HashMap<u64, u64>>,
    served: Mutex<HashMap<u64, u64>>,
}

/// A database of images; its connections wait for the network.
struct Originals;

impl r2d2::ManageConnection for Originals {
    type Connection = ();
    type Error = Infallible;

    fn connect(&self) -> Result<(), Infallible> {
        Ok(())
    }

    fn is_valid(&self, (): &mut ()) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

/// Answers requests for a while; returns the number of them.
pub(super) fn serve(time: Duration) -> u64 {
    let service = Arc::new(Service {
        thumbnails: DashMap::with_shard_amount(2),
        originals: r2d2::Pool::builder().max_size(4).build_unchecked(Originals),
        sessions: RwLock::default(),
        served: Mutex::default(),
    });
    let (requests, queue) = mpsc::sync_channel(64);
    let queue = Arc::new(Mutex::new(queue));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (service, queue) = (Arc::clone(&service), Arc::clone(&queue));
            thread::spawn(move || work(&service, &queue))
        })
        .collect();
    let start = Instant::now();
    for number in 0.. {
        if start.elapsed() > time || requests.send(number).is_err() {
            break;
        }
    }
    drop(requests);
    for worker in workers {
        worker.join().expect("no worker panics");
    }
    service.served.lock().expect("no worker panics").values().sum()
}

fn work(service: &Service, queue: &Mutex<mpsc::Receiver<u64>>) {
    while let Some(number) = next_request(queue) {
        check_session(service, number % 100);
        let thumbnail = thumbnail(service, number * 7 % IMAGES);
        count(service, number % 100, thumbnail.len());
        // Images change, now and then.
        if number % 3 == 0 {
            service.thumbnails.remove(&(number % IMAGES));
        }
    }
}

fn next_request(queue: &Mutex<mpsc::Receiver<u64>>) -> Option<u64> {
    queue.lock().expect("no worker panics").recv().ok()
}

fn check_session(service: &Service, user: u64) {
    let known = service.sessions.read().expect("no worker panics").contains_key(&user);
    if !known {
        service.sessions.write().expect("no worker panics").insert(user, 0);
    }
}

/// The mistake: the image is loaded and scaled while the cache's shard is locked.
fn thumbnail(service: &Service, image: u64) -> Arc<Vec<u8>> {
    service.thumbnails.entry(image).or_insert_with(|| render(service, image)).clone()
}

fn render(service: &Service, image: u64) -> Arc<Vec<u8>> {
    let mut pixels = load(service, image);
    for _ in 0..8 {
        for at in 1..pixels.len() {
            pixels[at] = pixels[at].wrapping_mul(31) ^ pixels[at - 1];
        }
    }
    Arc::new(pixels)
}

fn load(service: &Service, image: u64) -> Vec<u8> {
    let _connection = service.originals.get().expect("the pool has no limit in time");
    thread::sleep(Duration::from_micros(200));
    vec![image as u8; 4096]
}

fn count(service: &Service, user: u64, bytes: usize) {
    let mut served = service.served.lock().expect("no worker panics");
    *served.entry(user).or_insert(0) += u64::from(bytes > 0);
}
