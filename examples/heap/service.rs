//! The service as it was written.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

const WORKERS: u64 = 4;
const TOPICS: u64 = 50;
const ARTICLE_BYTES: usize = 24 * 1024;
const CACHED_ARTICLES: usize = 2500;

#[derive(Default)]
pub(super) struct Service {
    clients: Mutex<HashMap<u64, Client>>,
    /// Who is to be told of news.
    subscribers: Mutex<HashMap<u64, Vec<Subscriber>>>,
    cache: Mutex<Cache>,
    read: AtomicU64,
}

struct Client {
    name: String,
    topics: Vec<u64>,
}

struct Subscriber {
    _name: String,
    /// Words that a message is to have.
    _filter: Vec<String>,
}

/// The articles rendered last, for each reader.
#[derive(Default)]
struct Cache {
    articles: HashMap<(u64, u64), Arc<String>>,
    latest: VecDeque<(u64, u64)>,
}

/// Serves so many clients.
pub(super) fn run(clients: u64) -> Service {
    let service = Service::default();
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    // ORDERING: Relaxed: a counter.
                    let client = next.fetch_add(1, Ordering::Relaxed);
                    if client >= clients {
                        break;
                    }
                    service.serve(client);
                }
            });
        }
    });
    service
}

impl Service {
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    fn serve(&self, client: u64) {
        self.connect(client);
        for topic in [client % TOPICS, (client * 7) % TOPICS] {
            self.subscribe(client, topic);
            let article = self.article(client, topic);
            let words = article.split(' ').map(str::to_owned).filter(|w| w.len() > 4).count();
            self.read.fetch_add(u64::from(words > 0), Ordering::Relaxed);
        }
        self.disconnect(client);
    }

    fn connect(&self, client: u64) {
        let new = Client { name: format!("client-{client}"), topics: Vec::new() };
        lock(&self.clients).insert(client, new);
    }

    fn subscribe(&self, client: u64, topic: u64) {
        let mut clients = lock(&self.clients);
        let Some(client) = clients.get_mut(&client) else { return };
        client.topics.push(topic);
        let subscriber = new_subscriber(&client.name, topic);
        lock(&self.subscribers).entry(topic).or_default().push(subscriber);
    }

    /// The client's topics go with it. It stays among their subscribers.
    fn disconnect(&self, client: u64) {
        lock(&self.clients).remove(&client);
    }

    fn article(&self, client: u64, topic: u64) -> Arc<String> {
        let key = (client, topic);
        if let Some(article) = lock(&self.cache).articles.get(&key) {
            return Arc::clone(article);
        }
        let article = Arc::new(render(client, topic));
        let mut cache = lock(&self.cache);
        cache.articles.insert(key, Arc::clone(&article));
        cache.latest.push_back(key);
        if cache.latest.len() > CACHED_ARTICLES
            && let Some(oldest) = cache.latest.pop_front()
        {
            cache.articles.remove(&oldest);
        }
        article
    }
}

fn new_subscriber(name: &str, topic: u64) -> Subscriber {
    let filter = (0..10).map(|word| format!("news of topic {topic} with the word {word}"));
    Subscriber { _name: name.to_owned(), _filter: filter.collect() }
}

fn render(client: u64, topic: u64) -> String {
    let mut article = String::with_capacity(ARTICLE_BYTES);
    let mut word = client ^ topic;
    while article.len() < ARTICLE_BYTES - 16 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        article.push_str(&(word >> 40).to_string());
        article.push(' ');
    }
    article
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
